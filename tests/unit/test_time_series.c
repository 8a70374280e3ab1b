/* The series of the worked examples (metrics.md 18) and the degenerate cases (17); random journals are compared with
 * brute force in test_rollup.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/analytics/report.h"
#include "tests/support/journal_csv.h"
#include "tests/support/json_text.h"
#include "tests/support/worked_examples.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])

static struct journal journal;
static struct buf text;

/* Computes and writes the series of one range. */
static const char *series(enum asset asset, const struct range_request *request)
{
    struct time_range range = time_range_resolve(request, journal.today);
    struct report *report;
    struct json_writer w;

    assert_int_equal(report_new(&report, NULL), STATUS_OK);
    assert_int_equal(report_compute(report, &journal, asset, &range, 1, NULL), STATUS_OK);
    assert_int_equal(report_compute_time_series(report, 0, NULL), STATUS_OK);
    buf_clear(&text);
    json_init(&w, &text);
    report_write_time_series(report, &w);
    assert_int_equal(buf_status(&text), STATUS_OK);
    report_free(&report);
    return text.data;
}

static const char *series_of_preset(enum asset asset, enum range_name name)
{
    struct range_request request = {.name = name};

    return series(asset, &request);
}

static void begin(bool options, const char *csv, const char *as_of, const char *equity)
{
    buf_init(&text);
    journal_from_csv(&journal, options, csv, as_of, equity);
}

static void end(void)
{
    journal_release(&journal);
    buf_release(&text);
}

static void begin_a(void)
{
    begin(false, example_a_csv, EXAMPLE_A_AS_OF, "10000");
}

static void begin_b(void)
{
    begin(true, example_b_csv, EXAMPLE_B_AS_OF, NULL);
}

static const struct expected a_series[] = {
    {"daily_pnl", "[{\"date\":\"2025-02-24\",\"value\":249,\"cumulative_value\":249,\"trade_count\":1},"
                  "{\"date\":\"2025-02-26\",\"value\":-181.5,\"cumulative_value\":67.5,\"trade_count\":2},"
                  "{\"date\":\"2025-02-27\",\"value\":-101,\"cumulative_value\":-33.5,\"trade_count\":1},"
                  "{\"date\":\"2025-03-03\",\"value\":-52.55,\"cumulative_value\":-86.05,\"trade_count\":2},"
                  "{\"date\":\"2025-03-07\",\"value\":201.3827,\"cumulative_value\":115.3327,\"trade_count\":1},"
                  "{\"date\":\"2025-03-09\",\"value\":96,\"cumulative_value\":211.3327,\"trade_count\":1},"
                  "{\"date\":\"2025-03-11\",\"value\":-191,\"cumulative_value\":20.3327,\"trade_count\":1},"
                  "{\"date\":\"2025-03-14\",\"value\":179.4,\"cumulative_value\":199.7327,\"trade_count\":1}]"},
    {"weekly_pnl",
     "[{\"date\":\"2025-W09\",\"start_date\":\"2025-02-24\",\"value\":-33.5,\"cumulative_value\":-33.5,"
     "\"trade_count\":4},"
     "{\"date\":\"2025-W10\",\"start_date\":\"2025-03-03\",\"value\":244.8327,\"cumulative_value\":211.3327,"
     "\"trade_count\":4},"
     "{\"date\":\"2025-W11\",\"start_date\":\"2025-03-10\",\"value\":-11.6,\"cumulative_value\":199.7327,"
     "\"trade_count\":2}]"},
    {"monthly_pnl",
     "[{\"date\":\"2025-02\",\"start_date\":\"2025-02-01\",\"value\":-33.5,\"cumulative_value\":-33.5,"
     "\"trade_count\":4},"
     "{\"date\":\"2025-03\",\"start_date\":\"2025-03-01\",\"value\":233.2327,\"cumulative_value\":199.7327,"
     "\"trade_count\":6}]"},
    {"profit_by_day_of_week", "{\"Sunday\":96,\"Monday\":196.45,\"Tuesday\":-191,\"Wednesday\":-181.5,"
                              "\"Thursday\":-101,\"Friday\":380.7827,\"Saturday\":0}"},
    {"profit_by_month", "{\"January\":0,\"February\":-33.5,\"March\":233.2327,\"April\":0,\"May\":0,\"June\":0,"
                        "\"July\":0,\"August\":0,\"September\":0,\"October\":0,\"November\":0,\"December\":0}"},
    {"profit_by_hour", "{\"00\":0,\"01\":0,\"02\":0,\"03\":0,\"04\":0,\"05\":0,\"06\":0,\"07\":0,\"08\":0,\"09\":0,"
                       "\"10\":-344.55,\"11\":-181.5,\"12\":0,\"13\":0,\"14\":249,\"15\":179.4,\"16\":0,\"17\":0,"
                       "\"18\":0,\"19\":0,\"20\":0,\"21\":0,\"22\":0,\"23\":297.3827}"},
    {"profit_by_entry_hour", "{\"00\":96,\"01\":0,\"02\":0,\"03\":0,\"04\":0,\"05\":0,\"06\":0,\"07\":0,\"08\":0,"
                             "\"09\":-165.35,\"10\":269.0827,\"11\":0,\"12\":0,\"13\":0,\"14\":0,\"15\":0,\"16\":0,"
                             "\"17\":0,\"18\":0,\"19\":0,\"20\":0,\"21\":0,\"22\":0,\"23\":0}"},
    {"cumulative_return", "199.7327"},
    {"total_return_percentage", "1.9973"},
    {"annualized_return", "14.8475"},
    {"total_trades", "10"},
};

static void test_example_a_has_the_published_series(void **state)
{
    (void)state;
    begin_a();
    series_of_preset(ASSET_ALL, RANGE_ALL_TIME);
    assert_int_equal(check_members(text.data, a_series, N_ITEMS(a_series)), 0);
    assert_int_equal(n_members(text.data), 17);
    end();
}

static void test_example_a_has_the_published_drawdown_curve(void **state)
{
    static const struct {
        const char *date, *drawdown, *percentage;
    } rows[] = {
        {"2025-02-24", "0", "0"},
        {"2025-02-26", "181.5", "1.7709"},
        {"2025-02-27", "282.5", "2.7564"},
        {"2025-03-03", "335.05", "3.2691"},
        {"2025-03-07", "133.6673", "1.3042"},
        {"2025-03-09", "37.6673", "0.3675"},
        {"2025-03-11", "228.6673", "2.2311"},
        {"2025-03-14", "49.2673", "0.4807"},
    };
    const char *at;

    (void)state;
    begin_a();
    at = strstr(series_of_preset(ASSET_ALL, RANGE_ALL_TIME), "\"drawdown_curve\":[");
    assert_non_null(at);
    for (size_t i = 0; i < N_ITEMS(rows); i++) {
        const struct expected expected[] = {{"value", rows[i].drawdown},
                                            {"cumulative_value", rows[i].drawdown},
                                            {"max_value", rows[i].drawdown},
                                            {"percentage", rows[i].percentage}};

        at = strstr(at, rows[i].date);
        assert_non_null(at);
        assert_int_equal(check_members(at, expected, N_ITEMS(expected)), 0);
    }
    end();
}

/* "Every rolling value is null (10 trades; 15 observation days by 2025-03-14 ..., 16 with the Sunday)." */
static void test_example_a_has_no_rolling_values(void **state)
{
    static const char *const keys[] = {"rolling_win_rate_20", "rolling_win_rate_50", "rolling_win_rate_100",
                                       "rolling_sharpe_ratio_20", "rolling_sharpe_ratio_50"};
    static const char last[] = "{\"date\":\"2025-03-14\",\"value\":null,\"cumulative_value\":null,\"trade_count\":10}]";

    (void)state;
    begin_a();
    series_of_preset(ASSET_ALL, RANGE_ALL_TIME);
    for (size_t i = 0; i < N_ITEMS(keys); i++) {
        const char *points = member(text.data, keys[i]);

        assert_null(strstr(points, "\"value\":0"));
        assert_true(strlen(points) > sizeof last);
        assert_string_equal(points + strlen(points) - (sizeof last - 1), last);
    }
    end();
}

static void test_example_a_returns_over_the_published_ranges(void **state)
{
    static const struct {
        enum range_name name;
        const char *total, *annualized;
    } rows[] = {{RANGE_TODAY, "null", "null"},        {RANGE_7D, "null", "null"},
                {RANGE_30D, "1.7904", "22.5395"}, /* 179.4 / 10020.33272 */
                {RANGE_90D, "1.9973", "14.8475"},     {RANGE_6M, "1.9973", "14.8475"},
                {RANGE_1Y, "1.9973", "14.8475"},      {RANGE_YTD, "1.9973", "14.8475"},
                {RANGE_ALL_TIME, "1.9973", "14.8475"}};
    struct range_request custom = {.name = RANGE_CUSTOM, .has_start = true, .has_end = true};

    (void)state;
    custom.start = date_of("2025-03-07");
    custom.end = date_of("2025-03-10");
    begin_a();
    for (size_t i = 0; i < N_ITEMS(rows); i++) {
        const struct expected expected[] = {{"total_return_percentage", rows[i].total},
                                            {"annualized_return", rows[i].annualized}};

        series_of_preset(ASSET_ALL, rows[i].name);
        assert_int_equal(check_members(text.data, expected, N_ITEMS(expected)), 0);
    }
    series(ASSET_ALL, &custom);
    assert_string_equal(member(text.data, "annualized_return"), "null");
    assert_string_equal(member(text.data, "total_return_percentage"), "2.9996"); /* 297.38272 / 9913.95 */
    series_of_preset(ASSET_STOCKS, RANGE_YTD); /* one asset class has no return base */
    assert_string_equal(member(text.data, "annualized_return"), "null");
    assert_string_equal(member(strstr(text.data, "drawdown_curve"), "percentage"), "null");
    end();
}

static void test_example_b_has_the_published_rolling_sharpe_ratios(void **state)
{
    static const struct {
        const char *date, *sharpe_20, *exits_20, *sharpe_50, *exits_50;
    } rows[] = {
        {"2025-01-08", "null", "1", "null", "1"},           {"2025-02-04", "5.004566", "2", "null", "2"},
        {"2025-02-21", "5.032987", "2", "null", "3"},       {"2025-03-21", "-3.549648", "1", "-0.804654", "3"},
        {"2025-04-17", "-1.197517", "2", "-0.305948", "3"}, {"2025-05-12", "-1.205706", "2", "-2.048899", "3"},
        {"2025-06-16", "-3.549648", "1", "-0.798782", "3"}, {"2025-06-18", "3.021829", "2", "-0.606053", "4"},
        {"2025-06-20", "4.231582", "3", "0.141039", "5"},
    };

    (void)state;
    begin_b();
    for (enum range_name range = RANGE_7D; range <= RANGE_ALL_TIME; range += RANGE_ALL_TIME - RANGE_7D) {
        /* The range's start does not cut the windows. */
        size_t first = range == RANGE_7D ? 6 : 0;
        const char *at_20, *at_50;

        series_of_preset(ASSET_ALL, range);
        at_20 = strstr(text.data, "\"rolling_sharpe_ratio_20\":[");
        at_50 = strstr(text.data, "\"rolling_sharpe_ratio_50\":[");
        for (size_t i = first; i < N_ITEMS(rows); i++) {
            const struct expected expected_20[] = {{"value", rows[i].sharpe_20},
                                                   {"cumulative_value", rows[i].sharpe_20},
                                                   {"trade_count", rows[i].exits_20}};
            const struct expected expected_50[] = {{"value", rows[i].sharpe_50},
                                                   {"cumulative_value", rows[i].sharpe_50},
                                                   {"trade_count", rows[i].exits_50}};

            at_20 = strstr(at_20, rows[i].date);
            at_50 = strstr(at_50, rows[i].date);
            assert_true(at_20 != NULL && at_50 != NULL);
            assert_int_equal(check_members(at_20, expected_20, N_ITEMS(expected_20)), 0);
            assert_int_equal(check_members(at_50, expected_50, N_ITEMS(expected_50)), 0);
        }
    }
    end();
}

#define HEADER "id,symbol,trade_type,number_shares,entry_price,exit_price,entry_date,exit_date\n"

/* 30 December 2024 is a Monday: its ISO week is the first of 2025. */
static void test_a_week_over_new_year_is_one_week(void **state)
{
    static const char csv[] = HEADER "1,X,BUY,1,10,11,2024-12-30T14:00:00Z,2024-12-30T15:00:00Z\n"
                                     "2,X,BUY,1,10,12,2025-01-03T14:00:00Z,2025-01-03T15:00:00Z\n";

    (void)state;
    begin(false, csv, EXAMPLE_A_AS_OF, NULL);
    series_of_preset(ASSET_ALL, RANGE_ALL_TIME);
    assert_string_equal(member(text.data, "weekly_pnl"),
                        "[{\"date\":\"2025-W01\",\"start_date\":\"2024-12-30\",\"value\":3,\"cumulative_value\":3,"
                        "\"trade_count\":2}]");
    end();
}

/* A day's deepest point is deeper than where the day ends, and that is maximum_drawdown. */
static void test_the_drawdown_curve_sees_the_hole_within_a_day(void **state)
{
    static const char csv[] = HEADER "1,X,BUY,1,10,30,2025-04-01T14:00:00Z,2025-04-01T14:00:00Z\n"
                                     "2,X,BUY,1,10,3,2025-04-02T14:00:00Z,2025-04-02T14:00:00Z\n"
                                     "3,X,BUY,1,10,15,2025-04-02T14:00:00Z,2025-04-02T15:00:00Z\n";
    static const struct expected expected[] = {{"value", "2"}, {"max_value", "7"}, {"percentage", "0.1961"}};
    const char *at;

    (void)state;
    begin(false, csv, EXAMPLE_A_AS_OF, "1000");
    at = strstr(series_of_preset(ASSET_ALL, RANGE_ALL_TIME), "drawdown_curve");
    assert_int_equal(check_members(strstr(at, "2025-04-02"), expected, N_ITEMS(expected)), 0);
    end();
}

/* Equity was below zero before the range: a window that reaches back to it has no returns. */
static void test_a_window_with_equity_at_or_below_zero_has_no_sharpe_ratio(void **state)
{
    static const char csv[] = HEADER "1,X,BUY,1,200,50,2025-03-10T14:00:00Z,2025-03-10T15:00:00Z\n"
                                     "2,X,BUY,1,200,700,2025-03-11T14:00:00Z,2025-03-11T15:00:00Z\n"
                                     "3,X,BUY,1,200,201,2025-04-07T14:00:00Z,2025-04-07T15:00:00Z\n"
                                     "4,X,BUY,1,200,201,2025-04-08T14:00:00Z,2025-04-08T15:00:00Z\n";
    const char *points;

    (void)state;
    begin(false, csv, EXAMPLE_A_AS_OF, "100");
    series_of_preset(ASSET_ALL, RANGE_7D);
    assert_string_equal(member(text.data, "total_return_percentage"), "0.4444"); /* 2 / 450 */
    points = strstr(text.data, "\"rolling_sharpe_ratio_20\":[{\"date\":\"2025-04-07\"");
    assert_string_equal(member(points, "value"), "null");
    assert_string_not_equal(member(strstr(points, "2025-04-08"), "value"), "null");
    end();
}

static void test_no_trades_give_empty_lists_and_full_maps(void **state)
{
    static const struct expected expected[] = {
        {"daily_pnl", "[]"},
        {"weekly_pnl", "[]"},
        {"monthly_pnl", "[]"},
        {"rolling_win_rate_20", "[]"},
        {"rolling_sharpe_ratio_50", "[]"},
        {"drawdown_curve", "[]"},
        {"profit_by_day_of_week",
         "{\"Sunday\":0,\"Monday\":0,\"Tuesday\":0,\"Wednesday\":0,\"Thursday\":0,\"Friday\":0,"
         "\"Saturday\":0}"},
        {"cumulative_return", "0"},
        {"total_return_percentage", "null"},
        {"annualized_return", "null"},
        {"total_trades", "0"},
    };
    struct range_request future = {.name = RANGE_CUSTOM, .has_start = true, .start = date_of("2030-01-01")};
    struct range_request past = {.name = RANGE_CUSTOM, .has_end = true, .end = date_of("2001-01-01")};

    (void)state;
    begin(false, HEADER, EXAMPLE_A_AS_OF, "1000");
    series_of_preset(ASSET_ALL, RANGE_ALL_TIME);
    assert_int_equal(check_members(text.data, expected, N_ITEMS(expected)), 0);
    end();
    begin_a();
    assert_int_equal(check_members(series(ASSET_ALL, &future), expected, N_ITEMS(expected)), 0);
    assert_int_equal(check_members(series(ASSET_ALL, &past), expected, N_ITEMS(expected)), 0);
    assert_int_equal(check_members(series_of_preset(ASSET_OPTIONS, RANGE_1Y), expected, N_ITEMS(expected)), 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_a_has_the_published_series),
        cmocka_unit_test(test_example_a_has_the_published_drawdown_curve),
        cmocka_unit_test(test_example_a_has_no_rolling_values),
        cmocka_unit_test(test_example_a_returns_over_the_published_ranges),
        cmocka_unit_test(test_example_b_has_the_published_rolling_sharpe_ratios),
        cmocka_unit_test(test_a_week_over_new_year_is_one_week),
        cmocka_unit_test(test_the_drawdown_curve_sees_the_hole_within_a_day),
        cmocka_unit_test(test_a_window_with_equity_at_or_below_zero_has_no_sharpe_ratio),
        cmocka_unit_test(test_no_trades_give_empty_lists_and_full_maps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
