/* The P&L calendar (metrics.md 15), with that of the worked example (18.1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/analytics/pnl_calendar.h"
#include "tests/support/journal_csv.h"
#include "tests/support/json_text.h"
#include "tests/support/worked_examples.h"

static struct journal journal;
static struct buf text;

static void begin(const char *csv)
{
    buf_init(&text);
    journal_from_csv(&journal, false, csv, EXAMPLE_A_AS_OF, NULL);
}

static void end(void)
{
    journal_release(&journal);
    buf_release(&text);
}

static const char *month(const char *day, enum asset asset)
{
    struct json_writer w;

    buf_clear(&text);
    json_init(&w, &text);
    pnl_calendar_write(&journal, asset, date_of(day), &w);
    assert_int_equal(buf_status(&text), STATUS_OK);
    return text.data;
}

static size_t count_of(const char *json, const char *what)
{
    size_t n = 0;

    for (const char *at = strstr(json, what); at != NULL; at = strstr(at + 1, what))
        n++;
    return n;
}

static void test_example_a_has_the_published_month(void **state)
{
    static const char head[] = "{\"year\":2025,\"month\":3,\"month_profit\":233.2327,\"trade_count\":6,"
                               "\"trading_days\":5,\"grid_start\":\"2025-02-23\",\"grid_end\":\"2025-04-05\",\"days\":["
                               "{\"date\":\"2025-03-01\",\"profit\":0,\"trade_count\":0,\"win_rate\":null},";
    static const char weeks[] =
        "[{\"week_index\":1,\"week_start\":\"2025-02-23\",\"week_end\":\"2025-03-01\",\"profit\":0,\"trade_count\":0,"
        "\"trading_days\":0},"
        "{\"week_index\":2,\"week_start\":\"2025-03-02\",\"week_end\":\"2025-03-08\",\"profit\":148.8327,"
        "\"trade_count\":3,\"trading_days\":2},"
        "{\"week_index\":3,\"week_start\":\"2025-03-09\",\"week_end\":\"2025-03-15\",\"profit\":84.4,"
        "\"trade_count\":3,\"trading_days\":3},"
        "{\"week_index\":4,\"week_start\":\"2025-03-16\",\"week_end\":\"2025-03-22\",\"profit\":0,\"trade_count\":0,"
        "\"trading_days\":0},"
        "{\"week_index\":5,\"week_start\":\"2025-03-23\",\"week_end\":\"2025-03-29\",\"profit\":0,\"trade_count\":0,"
        "\"trading_days\":0},"
        "{\"week_index\":6,\"week_start\":\"2025-03-30\",\"week_end\":\"2025-04-05\",\"profit\":0,\"trade_count\":0,"
        "\"trading_days\":0}]";

    (void)state;
    begin(example_a_csv);
    month("2025-03-17", ASSET_ALL);
    assert_int_equal(strncmp(text.data, head, sizeof head - 1), 0);
    assert_string_equal(member(text.data, "weeks"), weeks);
    assert_int_equal(count_of(text.data, "\"date\":"), 31);
    assert_non_null(
        strstr(text.data, "{\"date\":\"2025-03-03\",\"profit\":-52.55,\"trade_count\":2,\"win_rate\":50},"));
    assert_string_equal(member(month("2025-03-01", ASSET_OPTIONS), "trade_count"), "0");
    end();
}

static void test_weeks_may_begin_on_monday(void **state)
{
    static const struct {
        const char *day, *grid_start, *grid_end;
        size_t n_weeks;
    } months[] = {
        {"2025-03-31", "\"2025-02-24\"", "\"2025-04-06\"", 6},
        {"2021-02-28", "\"2021-02-01\"", "\"2021-02-28\"", 4}, /* four whole weeks */
        {"2024-02-01", "\"2024-01-29\"", "\"2024-03-03\"", 5},
    };

    (void)state;
    begin(example_a_csv);
    journal.account.week_starts_monday = true;
    for (size_t i = 0; i < sizeof months / sizeof months[0]; i++) {
        month(months[i].day, ASSET_ALL);
        assert_string_equal(member(text.data, "grid_start"), months[i].grid_start);
        assert_string_equal(member(text.data, "grid_end"), months[i].grid_end);
        assert_int_equal(count_of(text.data, "week_index"), months[i].n_weeks);
    }
    end();
}

/* 23:59:59 on the last day in New York is the next month in UTC. */
static void test_the_last_day_of_the_month_counts(void **state)
{
    static const char csv[] = "id,symbol,trade_type,number_shares,entry_price,exit_price,entry_date,exit_date\n"
                              "1,X,BUY,1,10,11,2025-02-28T14:00:00Z,2025-03-01T04:59:59Z\n"
                              "2,X,BUY,1,10,9,2025-02-28T14:00:00Z,2025-03-01T05:00:00Z\n"
                              "3,X,BUY,1,10,10,2025-03-30T14:00:00Z,2025-03-30T15:00:00Z\n"
                              "4,X,BUY,1,10,10,2025-03-31T14:00:00Z,2025-03-31T15:00:00Z\n"
                              "5,X,BUY,1,10,12,2025-03-31T14:00:00Z,2025-04-01T03:59:59Z\n";

    (void)state;
    begin(csv);
    month("2025-02-01", ASSET_ALL);
    assert_string_equal(member(text.data, "month_profit"), "1");
    assert_non_null(strstr(text.data, "{\"date\":\"2025-02-28\",\"profit\":1,\"trade_count\":1,\"win_rate\":100}]"));
    assert_string_equal(member(month("2025-03-01", ASSET_ALL), "month_profit"), "1");
    assert_string_equal(member(text.data, "trading_days"), "3"); /* a break-even is an exit too, and no win */
    assert_non_null(strstr(text.data, "{\"date\":\"2025-03-30\",\"profit\":0,\"trade_count\":1,\"win_rate\":0}"));
    assert_non_null(strstr(text.data, "{\"date\":\"2025-03-31\",\"profit\":2,\"trade_count\":2,\"win_rate\":50}]"));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_a_has_the_published_month),
        cmocka_unit_test(test_weeks_may_begin_on_monday),
        cmocka_unit_test(test_the_last_day_of_the_month_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
