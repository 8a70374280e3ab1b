/* The worked examples of metrics.md 18, digit for digit. The tables are copied from there; trailing zeros,
 * which carry no meaning in a JSON number, are left out. */
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

static const struct expected a_core_metrics[] = {
    {"total_trades", "10"},
    {"winning_trades", "5"},
    {"losing_trades", "4"},
    {"break_even_trades", "1"},
    {"win_rate", "50"},
    {"loss_rate", "40"},
    {"win_rate_ex_breakeven", "55.5556"},
    {"total_pnl", "199.7327"},
    {"net_profit_loss", "199.7327"},
    {"pnl_before_costs", "212.8827"},
    {"gross_profit", "974.9827"},
    {"gross_loss", "-775.25"},
    {"average_win", "194.9965"},
    {"average_loss", "-193.8125"},
    {"average_win_percentage", "3.7056"},
    {"average_loss_percentage", "-3.8415"},
    {"average_position_size", "6150.0617"},
    {"biggest_winner", "249.2"},
    {"biggest_loser", "-301.75"},
    {"biggest_winner_trade", "{\"trade_type\":\"stock\",\"trade_id\":6,\"symbol\":\"AAPL\",\"net_pnl\":249.2,\"exit_"
                             "date\":\"2025-03-03T15:30:00Z\"}"},
    {"biggest_loser_trade", "{\"trade_type\":\"stock\",\"trade_id\":5,\"symbol\":\"AMD\",\"net_pnl\":-301.75,\"exit_"
                            "date\":\"2025-03-03T15:30:00Z\"}"},
    {"profit_factor", "1.257637"},
    {"win_loss_ratio", "1.006109"},
    {"max_consecutive_wins", "3"},
    {"max_consecutive_losses", "2"},
    {"current_streak", "1"},
    {"total_commissions", "12.6"},
    {"total_fees", "0.55"},
    {"total_costs", "13.15"},
    {"average_commission_per_trade", "1.26"},
};

static const struct expected a_risk_metrics[] = {
    {"return_basis", "\"equity\""},
    {"observations", "36"},
    {"sharpe_ratio", "0.999223"},
    {"sortino_ratio", "1.963879"},
    {"calmar_ratio", "4.54177"},
    {"sterling_ratio", "1.118953"},
    {"maximum_drawdown", "335.05"},
    {"maximum_drawdown_percentage", "3.2691"},
    {"maximum_drawdown_duration_days", "46"},
    {"maximum_drawdown_peak_date", "\"2025-02-24\""},
    {"maximum_drawdown_trough_date", "\"2025-03-03\""},
    {"maximum_drawdown_recovery_date", "null"},
    {"current_drawdown", "49.2673"},
    {"current_drawdown_duration_days", "46"},
    {"var_95", "-121.125"},
    {"var_99", "-187.675"},
    {"expected_shortfall_95", "-186.25"},
    {"expected_shortfall_99", "-191"},
    {"average_risk_per_trade", "103.75"},
    {"risk_trade_count", "8"},
    {"risk_reward_ratio", "1.006109"},
    {"volatility", "80.22"},
    {"downside_deviation", "47.8382"},
    {"volatility_annualized_percentage", "12.6514"},
    {"downside_deviation_annualized_percentage", "7.4454"},
    {"ulcer_index", "1.51691"},
    {"recovery_factor", "0.596128"},
    {"skewness", "0.793812"},
    {"kurtosis", "3.970993"},
    {"tail_ratio", "1.548425"},
    {"gain_to_pain_ratio", "0.379684"},
    {"t_statistic", "0.310359"},
    {"k_ratio", "0.19345"},
};

static const struct expected a_performance_metrics[] = {
    {"trade_expectancy", "19.9733"},
    {"edge", "0.103055"},
    {"median_trade", "48"},
    {"trade_standard_deviation", "203.5095"},
    {"average_hold_time_days", "1.926667"},
    {"average_hold_time_winners_days", "3.392222"},
    {"average_hold_time_losers_days", "0.524306"},
    {"median_hold_time_days", "0.973958"},
    {"average_position_size", "6150.0617"},
    {"position_size_standard_deviation", "3763.8797"},
    {"position_size_variability", "0.612007"},
    {"average_position_size_after_win", "3900.1235"},
    {"average_position_size_after_loss", "7400"},
    {"kelly_criterion", "0.11381"},
    {"system_quality_number", "0.139337"},
    {"system_quality_number_capped", "0.139337"},
    {"payoff_ratio", "1.006109"},
    {"average_r_multiple", "0.099375"},
    {"median_r_multiple", "0.6225"},
    {"r_multiple_standard_deviation", "2.017226"},
    {"positive_r_multiple_count", "4"},
    {"negative_r_multiple_count", "3"},
    {"r_trade_count", "8"},
    {"average_planned_risk_reward", "2.75"},
    {"consistency_ratio", "0.102429"},
    {"monthly_win_rate", "50"},
    {"quarterly_win_rate", "100"},
    {"monthly_win_rate_standard_deviation", "23.5702"},
    {"daily_win_rate", "50"},
    {"trading_days", "8"},
    {"winning_days", "4"},
    {"losing_days", "4"},
    {"break_even_days", "0"},
    {"average_daily_pnl", "24.9666"},
    {"best_day", "249"},
    {"worst_day", "-191"},
    {"best_day_profit_share", "124.6666"},
    {"average_trades_per_day", "1.25"},
    {"max_trades_per_day", "2"},
    {"trades_per_week", "1.489362"},
    {"average_slippage", "null"},
    {"commission_impact_percentage", "0.7502"},
    {"clean_trade_count", "7"},
    {"flawed_trade_count", "3"},
    {"clean_expectancy", "96.1761"},
    {"flawed_expectancy", "-157.8333"},
    {"mistake_cost", "762.0283"},
    {"r_distribution", "[{\"label\":\"<=-1R\",\"count\":3},{\"label\":\"-1..0R\",\"count\":0},{\"label\":\"0..1R\","
                       "\"count\":1},{\"label\":\"1..2R\",\"count\":3},{\"label\":\">=2R\",\"count\":1}]"},
};

static const struct expected b_core_metrics[] = {
    {"total_trades", "9"},
    {"winning_trades", "6"},
    {"losing_trades", "3"},
    {"break_even_trades", "0"},
    {"win_rate", "66.6667"},
    {"loss_rate", "33.3333"},
    {"win_rate_ex_breakeven", "66.6667"},
    {"total_pnl", "139.15"},
    {"net_profit_loss", "139.15"},
    {"pnl_before_costs", "155"},
    {"gross_profit", "1149.15"},
    {"gross_loss", "-1010"},
    {"average_win", "191.525"},
    {"average_loss", "-336.6667"},
    {"average_win_percentage", "66.1711"},
    {"average_loss_percentage", "-89.7836"},
    {"average_position_size", "342.7778"},
    {"biggest_winner", "299.35"},
    {"biggest_loser", "-502.6"},
    {"biggest_winner_trade", "{\"trade_type\":\"option\",\"trade_id\":5,\"symbol\":\"AMD\",\"net_pnl\":299.35,\"exit_"
                             "date\":\"2025-04-17T20:00:00Z\"}"},
    {"biggest_loser_trade", "{\"trade_type\":\"option\",\"trade_id\":6,\"symbol\":\"NVDA\",\"net_pnl\":-502.6,\"exit_"
                            "date\":\"2025-05-12T13:45:00Z\"}"},
    {"profit_factor", "1.137772"},
    {"win_loss_ratio", "0.568886"},
    {"max_consecutive_wins", "3"},
    {"max_consecutive_losses", "2"},
    {"current_streak", "2"},
    {"total_commissions", "15.6"},
    {"total_fees", "0.25"},
    {"total_costs", "15.85"},
    {"average_commission_per_trade", "1.7333"},
};

static const struct expected b_risk_metrics[] = {
    {"return_basis", "\"pnl\""},
    {"observations", "118"},
    {"sharpe_ratio", "0.23054"},
    {"sortino_ratio", "0.286634"},
    {"calmar_ratio", "0.418163"},
    {"sterling_ratio", "null"},
    {"maximum_drawdown", "710.65"},
    {"maximum_drawdown_percentage", "null"},
    {"maximum_drawdown_duration_days", "119"},
    {"maximum_drawdown_peak_date", "\"2025-02-21\""},
    {"maximum_drawdown_trough_date", "\"2025-06-16\""},
    {"maximum_drawdown_recovery_date", "null"},
    {"current_drawdown", "461.3"},
    {"current_drawdown_duration_days", "119"},
    {"var_95", "0"},
    {"var_99", "-416.687"},
    {"expected_shortfall_95", "-168.3333"},
    {"expected_shortfall_99", "-501.625"},
    {"average_risk_per_trade", "378.3333"},
    {"risk_trade_count", "6"},
    {"risk_reward_ratio", "0.568886"},
    {"volatility", "81.1997"},
    {"downside_deviation", "65.3091"},
    {"volatility_annualized_percentage", "null"},
    {"downside_deviation_annualized_percentage", "null"},
    {"ulcer_index", "null"},
    {"recovery_factor", "0.195807"},
    {"skewness", "-3.02223"},
    {"kurtosis", "27.195991"},
    {"tail_ratio", "null"},
    {"gain_to_pain_ratio", "0.137772"},
    {"t_statistic", "0.149562"},
    {"k_ratio", "-2.393437"},
};

static const struct expected b_performance_metrics[] = {
    {"trade_expectancy", "15.4611"},
    {"edge", "0.045924"},
    {"median_trade", "119.35"},
    {"trade_standard_deviation", "310.1288"},
    {"average_hold_time_days", "13.562269"},
    {"average_hold_time_winners_days", "12.642361"},
    {"average_hold_time_losers_days", "15.402083"},
    {"median_hold_time_days", "13.979167"},
    {"average_position_size", "342.7778"},
    {"position_size_standard_deviation", "154.6591"},
    {"position_size_variability", "0.451194"},
    {"average_position_size_after_win", "293"},
    {"average_position_size_after_loss", "333.3333"},
    {"kelly_criterion", "0.080726"},
    {"system_quality_number", "-0.286335"},
    {"system_quality_number_capped", "-0.286335"},
    {"payoff_ratio", "0.568886"},
    {"average_r_multiple", "-0.119243"},
    {"median_r_multiple", "0.231401"},
    {"r_multiple_standard_deviation", "1.020077"},
    {"positive_r_multiple_count", "3"},
    {"negative_r_multiple_count", "3"},
    {"r_trade_count", "6"},
    {"average_planned_risk_reward", "null"},
    {"consistency_ratio", "0.080726"},
    {"monthly_win_rate", "66.6667"},
    {"quarterly_win_rate", "100"},
    {"monthly_win_rate_standard_deviation", "49.0653"},
    {"daily_win_rate", "66.6667"},
    {"trading_days", "9"},
    {"winning_days", "6"},
    {"losing_days", "3"},
    {"break_even_days", "0"},
    {"average_daily_pnl", "15.4611"},
    {"best_day", "299.35"},
    {"worst_day", "-502.6"},
    {"best_day_profit_share", "215.1276"},
    {"average_trades_per_day", "1"},
    {"max_trades_per_day", "1"},
    {"trades_per_week", "0.384146"},
    {"average_slippage", "null"},
    {"commission_impact_percentage", "0.7355"},
    {"clean_trade_count", "9"},
    {"flawed_trade_count", "0"},
    {"clean_expectancy", "15.4611"},
    {"flawed_expectancy", "null"},
    {"mistake_cost", "null"},
    {"r_distribution", "[{\"label\":\"<=-1R\",\"count\":2},{\"label\":\"-1..0R\",\"count\":1},{\"label\":\"0..1R\","
                       "\"count\":2},{\"label\":\"1..2R\",\"count\":1},{\"label\":\">=2R\",\"count\":0}]"},
};

static const struct expected b_options_metrics[] = {
    {"total_trades", "9"},
    {"contracts", "24"},
    {"call_trades", "6"},
    {"put_trades", "3"},
    {"long_trades", "5"},
    {"short_trades", "4"},
    {"premium_paid", "2120"},
    {"premium_collected", "965"},
    {"net_premium", "-1155"},
    {"average_premium", "342.7778"},
    {"average_dte_at_entry", "17.777778"},
    {"average_iv_at_entry", "32.275"},
    {"closed_count", "5"},
    {"expired_count", "2"},
    {"assigned_count", "1"},
    {"exercised_count", "1"},
    {"expired_rate", "22.2222"},
    {"assigned_rate", "11.1111"},
    {"exercised_rate", "11.1111"},
    {"premium_capture_rate", "10.342"},
    {"return_on_premium", "1.8561"},
};

typedef void write_section(const struct report *, size_t, struct json_writer *);

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])

struct example {
    struct journal journal;
    struct report *report;
    struct time_range ranges[RANGE_PRESETS];
    struct buf text;
};

static void begin_example(struct example *e, bool options, const char *csv, const char *as_of, const char *equity)
{
    e->text = (struct buf)BUF_INIT;
    journal_from_csv(&e->journal, options, csv, as_of, equity);
    assert_int_equal(report_new(&e->report, NULL), STATUS_OK);
    for (size_t i = 0; i < RANGE_PRESETS; i++) {
        struct range_request request = {.name = (enum range_name)i};

        e->ranges[i] = time_range_resolve(&request, e->journal.today);
    }
}

static void compute(struct example *e, enum asset asset)
{
    assert_int_equal(report_compute(e->report, &e->journal, asset, e->ranges, RANGE_PRESETS, NULL), STATUS_OK);
}

static void end_example(struct example *e)
{
    report_free(&e->report);
    journal_release(&e->journal);
    buf_release(&e->text);
}

static const char *written(struct example *e, write_section *write, size_t range)
{
    struct json_writer w;

    buf_clear(&e->text);
    json_init(&w, &e->text);
    write(e->report, range, &w);
    assert_false(e->text.failed);
    return e->text.data;
}

static const char *written_meta(struct example *e, size_t range)
{
    struct json_writer w;
    size_t start, end;

    buf_clear(&e->text);
    json_init(&w, &e->text);
    report_write_meta(e->report, range, "u-42", e->journal.as_of, &w, &start, &end);
    assert_int_equal(strncmp(e->text.data + start, "\"computed_at\":\"", 15), 0);
    assert_int_equal(strncmp(e->text.data + end, ",\"valid_until\":", 15), 0);
    return e->text.data;
}

#define CHECK_SECTION(e, write, range, table)                                                                          \
    do {                                                                                                               \
        assert_int_equal(check_members(written(e, write, range), table, N_ITEMS(table)), 0);                           \
    } while (0)

static void begin_a(struct example *e)
{
    begin_example(e, false, example_a_csv, "2025-04-11T20:00:00Z", "10000");
    compute(e, ASSET_ALL);
}

static void begin_b(struct example *e, enum asset asset)
{
    begin_example(e, true, example_b_csv, "2025-06-20T20:00:00Z", NULL);
    compute(e, asset);
}

static void test_example_a_has_the_published_core_metrics(void **state)
{
    struct example e;

    (void)state;
    begin_a(&e);
    CHECK_SECTION(&e, report_write_core, RANGE_ALL_TIME, a_core_metrics);
    assert_int_equal(n_members(e.text.data), N_ITEMS(a_core_metrics));
    end_example(&e);
}

static void test_example_a_has_the_published_risk_metrics(void **state)
{
    struct example e;

    (void)state;
    begin_a(&e);
    CHECK_SECTION(&e, report_write_risk, RANGE_ALL_TIME, a_risk_metrics);
    assert_int_equal(n_members(e.text.data), N_ITEMS(a_risk_metrics));
    end_example(&e);
}

static void test_example_a_has_the_published_performance_metrics(void **state)
{
    struct example e;

    (void)state;
    begin_a(&e);
    CHECK_SECTION(&e, report_write_performance, RANGE_ALL_TIME, a_performance_metrics);
    assert_int_equal(n_members(strchr(e.text.data + 1, '{')), N_ITEMS(a_performance_metrics));
    end_example(&e);
}

static void test_example_a_has_the_published_duration_buckets(void **state)
{
    struct example e;
    const char *expected =
        "[{\"duration_bucket\":\"0-1 days\",\"trade_count\":5,\"winning_trades\":2,\"losing_trades\":2,\"win_rate\":40,"
        "\"total_pnl\":-57.75,\"avg_pnl\":-11.55,\"avg_hold_time_days\":0.276389,\"best_trade\":249,"
        "\"worst_trade\":-301.75,\"profit_factor\":0.856611},"
        "{\"duration_bucket\":\"1-7 days\",\"trade_count\":4,\"winning_trades\":2,\"losing_trades\":2,\"win_rate\":50,"
        "\"total_pnl\":8.2827,\"avg_pnl\":2.0707,\"avg_hold_time_days\":1.721181,\"best_trade\":201.3827,"
        "\"worst_trade\":-191,\"profit_factor\":1.022235},"
        "{\"duration_bucket\":\"1-4 weeks\",\"trade_count\":1,\"winning_trades\":1,\"losing_trades\":0,"
        "\"win_rate\":100,\"total_pnl\":249.2,\"avg_pnl\":249.2,\"avg_hold_time_days\":11,\"best_trade\":249.2,"
        "\"worst_trade\":249.2,\"profit_factor\":null}]";

    (void)state;
    begin_a(&e);
    assert_string_equal(member(written(&e, report_write_performance, RANGE_ALL_TIME), "duration_buckets"), expected);
    assert_int_equal(check_members(strstr(e.text.data, "\"overall_metrics\""), a_core_metrics, N_ITEMS(a_core_metrics)),
                     0);
    end_example(&e);
}

static void test_example_b_has_the_published_metrics(void **state)
{
    for (enum asset asset = ASSET_ALL; asset <= ASSET_OPTIONS; asset += ASSET_OPTIONS) {
        struct example e;

        (void)state;
        begin_b(&e, asset);
        CHECK_SECTION(&e, report_write_core, RANGE_ALL_TIME, b_core_metrics);
        CHECK_SECTION(&e, report_write_risk, RANGE_ALL_TIME, b_risk_metrics);
        CHECK_SECTION(&e, report_write_performance, RANGE_ALL_TIME, b_performance_metrics);
        CHECK_SECTION(&e, report_write_options_metrics, RANGE_ALL_TIME, b_options_metrics);
        assert_int_equal(n_members(e.text.data), N_ITEMS(b_options_metrics));
        end_example(&e);
    }
}

static void test_example_b_has_the_published_summary(void **state)
{
    static const struct expected expected[] = {
        {"total_pnl", "\"139.1500\""},
        {"profit_factor", "\"1.137772\""},
        {"win_rate", "\"66.6667\""},
        {"loss_rate", "\"33.3333\""},
        {"avg_gain", "\"191.5250\""},
        {"avg_loss", "\"-336.6667\""},
        {"biggest_winner", "\"299.3500\""},
        {"biggest_loser", "\"-502.6000\""},
        {"avg_hold_time_winners", "\"12.642361\""},
        {"avg_hold_time_losers", "\"15.402083\""},
        {"risk_reward_ratio", "\"0.568886\""},
        {"trade_expectancy", "\"15.4611\""},
        {"avg_position_size", "\"342.7778\""},
        {"net_pnl", "\"139.1500\""},
    };
    struct example e;

    (void)state;
    begin_b(&e, ASSET_OPTIONS);
    CHECK_SECTION(&e, report_write_summary, RANGE_ALL_TIME, expected);
    assert_int_equal(n_members(e.text.data), N_ITEMS(expected) + 4);
    end_example(&e);
}

/* Each decimal string is also an answer of its own (metrics.md 16.4). */
static void test_each_text_of_the_summary_can_be_written_alone(void **state)
{
    static const struct expected expected[REPORT_TEXTS] = {
        {"pnl", "{\"total_pnl\":\"139.1500\"}"},
        {"profit-factor", "{\"profit_factor\":\"1.137772\"}"},
        {"win-rate", "{\"win_rate\":\"66.6667\"}"},
        {"loss-rate", "{\"loss_rate\":\"33.3333\"}"},
        {"avg-gain", "{\"avg_gain\":\"191.5250\"}"},
        {"avg-loss", "{\"avg_loss\":\"-336.6667\"}"},
        {"biggest-winner", "{\"biggest_winner\":\"299.3500\"}"},
        {"biggest-loser", "{\"biggest_loser\":\"-502.6000\"}"},
        {"avg-hold-time-winners", "{\"avg_hold_time_winners\":\"12.642361\"}"},
        {"avg-hold-time-losers", "{\"avg_hold_time_losers\":\"15.402083\"}"},
        {"risk-reward-ratio", "{\"risk_reward_ratio\":\"0.568886\"}"},
        {"trade-expectancy", "{\"trade_expectancy\":\"15.4611\"}"},
        {"avg-position-size", "{\"avg_position_size\":\"342.7778\"}"},
        {"net-pnl", "{\"net_pnl\":\"139.1500\"}"},
    };
    struct example e;
    struct json_writer w;

    (void)state;
    begin_b(&e, ASSET_OPTIONS);
    for (size_t i = 0; i < REPORT_TEXTS; i++) {
        assert_string_equal(report_text_path(i), expected[i].key);
        buf_clear(&e.text);
        json_init(&w, &e.text);
        report_write_text(e.report, RANGE_ALL_TIME, i, &w);
        assert_string_equal(e.text.data, expected[i].value);
    }
    assert_null(report_text_path(REPORT_TEXTS));
    assert_string_equal(report_text_path(REPORT_TEXT_PNL), "pnl");
    assert_string_equal(report_text_path(REPORT_TEXT_NET_PNL), "net-pnl");
    end_example(&e);
}

/* --- the tables of ranges -------------------------------------------------------------------------- */

struct range_row {
    const char *start_date, *start, *end, *closed, *opening, *total, *n, *sharpe, *sortino, *drawdown;
};

static void check_range(struct example *e, size_t i, const struct range_row *row)
{
    const struct expected meta[] = {
        {"start_date", row->start_date},        {"start", row->start}, {"end", row->end}, {"trade_count", row->closed},
        {"range_opening_equity", row->opening},
    };
    const struct expected core[] = {{"total_trades", row->closed}, {"total_pnl", row->total}};
    const struct expected risk[] = {
        {"observations", row->n},
        {"sharpe_ratio", row->sharpe},
        {"sortino_ratio", row->sortino},
        {"maximum_drawdown", row->drawdown},
    };
    size_t wrong = check_members(written_meta(e, i), meta, N_ITEMS(meta));

    wrong += check_members(written(e, report_write_core, i), core, N_ITEMS(core));
    wrong += check_members(written(e, report_write_risk, i), risk, N_ITEMS(risk));
    if (wrong != 0)
        fail_msg("range %zu: %zu values differ", i, wrong);
}

#define A_END "\"2025-04-12T04:00:00Z\""

static void test_example_a_has_the_published_ranges(void **state)
{
    static const struct range_row rows[RANGE_PRESETS] = {
        {"\"2025-04-11\"", "\"2025-04-11T04:00:00Z\"", A_END, "0", "10199.7327", "0", "1", "null", "null", "0"},
        {"\"2025-04-05\"", "\"2025-04-05T04:00:00Z\"", A_END, "0", "10199.7327", "0", "5", "null", "null", "0"},
        {"\"2025-03-13\"", "\"2025-03-13T04:00:00Z\"", A_END, "1", "10020.3327", "179.4", "22", "3.057635", "null",
         "0"},
        {"\"2025-01-12\"", "\"2025-01-12T05:00:00Z\"", A_END, "10", "10000", "199.7327", "36", "0.999223", "1.963879",
         "335.05"},
        {"\"2024-10-12\"", "\"2024-10-12T04:00:00Z\"", A_END, "10", "10000", "199.7327", "36", "0.999223", "1.963879",
         "335.05"},
        {"\"2024-04-12\"", "\"2024-04-12T04:00:00Z\"", A_END, "10", "10000", "199.7327", "36", "0.999223", "1.963879",
         "335.05"},
        {"\"2025-01-01\"", "\"2025-01-01T05:00:00Z\"", A_END, "10", "10000", "199.7327", "36", "0.999223", "1.963879",
         "335.05"},
        {"null", "null", A_END, "10", "10000", "199.7327", "36", "0.999223", "1.963879", "335.05"},
    };
    struct example e;

    (void)state;
    begin_a(&e);
    for (size_t i = 0; i < RANGE_PRESETS; i++)
        check_range(&e, i, &rows[i]);
    end_example(&e);
}

static void compute_custom(struct example *e, const char *start, const char *end)
{
    struct range_request request = {.name = RANGE_CUSTOM, .has_start = start != NULL, .has_end = end != NULL};

    if (start != NULL)
        request.start = date_of(start);
    if (end != NULL)
        request.end = date_of(end);
    e->ranges[0] = time_range_resolve(&request, e->journal.today);
    assert_int_equal(report_compute(e->report, &e->journal, ASSET_ALL, e->ranges, 1, NULL), STATUS_OK);
}

static void test_example_a_has_the_published_custom_range(void **state)
{
    static const struct range_row row = {"\"2025-03-07\"",
                                         "\"2025-03-07T05:00:00Z\"",
                                         "\"2025-03-11T04:00:00Z\"",
                                         "2",
                                         "9913.95",
                                         "297.3827",
                                         "3",
                                         "15.393676",
                                         "null",
                                         "0"};
    struct example e;

    (void)state;
    begin_a(&e);
    compute_custom(&e, "2025-03-07", "2025-03-10");
    check_range(&e, 0, &row);
    end_example(&e);
}

static void test_a_custom_range_in_the_future_is_empty(void **state)
{
    static const struct range_row row = {
        "\"2030-01-01\"", "\"2030-01-01T05:00:00Z\"", A_END, "0", "10199.7327", "0", "0", "null", "null", "0"};
    struct example e;

    (void)state;
    begin_a(&e);
    compute_custom(&e, "2030-01-01", "2030-02-01");
    check_range(&e, 0, &row);
    end_example(&e);
}

static void test_an_unbounded_custom_range_equals_all_time(void **state)
{
    struct example e;

    (void)state;
    begin_a(&e);
    compute_custom(&e, NULL, NULL);
    CHECK_SECTION(&e, report_write_core, 0, a_core_metrics);
    CHECK_SECTION(&e, report_write_risk, 0, a_risk_metrics);
    CHECK_SECTION(&e, report_write_performance, 0, a_performance_metrics);
    end_example(&e);
}

static void test_example_b_has_the_published_ranges(void **state)
{
    static const struct {
        enum range_name name;
        const char *start, *closed, *total, *n, *sharpe, *sortino, *drawdown;
    } rows[] = {
        {RANGE_TODAY, "\"2025-06-20\"", "1", "199.35", "1", "null", "null", "0"},
        {RANGE_7D, "\"2025-06-14\"", "3", "242.6", "5", "8.818488", "255.153948", "6.75"},
        {RANGE_30D, "\"2025-05-22\"", "3", "242.6", "22", "4.030616", "121.639872", "6.75"},
        {RANGE_90D, "\"2025-03-23\"", "5", "39.35", "65", "0.12399", "0.154144", "509.35"},
        {RANGE_6M, "\"2024-12-21\"", "9", "139.15", "118", "0.23054", "0.286634", "710.65"},
        {RANGE_YTD, "\"2025-01-01\"", "9", "139.15", "118", "0.23054", "0.286634", "710.65"},
    };
    struct example e;

    (void)state;
    begin_b(&e, ASSET_OPTIONS);
    for (size_t i = 0; i < N_ITEMS(rows); i++) {
        const struct expected meta[] = {{"start_date", rows[i].start}, {"trade_count", rows[i].closed}};
        const struct expected core[] = {{"total_pnl", rows[i].total}};
        const struct expected risk[] = {{"observations", rows[i].n},
                                        {"sharpe_ratio", rows[i].sharpe},
                                        {"sortino_ratio", rows[i].sortino},
                                        {"maximum_drawdown", rows[i].drawdown}};

        assert_int_equal(check_members(written_meta(&e, rows[i].name), meta, N_ITEMS(meta)), 0);
        assert_int_equal(check_members(written(&e, report_write_core, rows[i].name), core, N_ITEMS(core)), 0);
        assert_int_equal(check_members(written(&e, report_write_risk, rows[i].name), risk, N_ITEMS(risk)), 0);
    }
    end_example(&e);
}

/* --- meta ------------------------------------------------------------------------------------------ */

/* The document of metrics.md 16.1. */
static void test_meta_is_the_published_document(void **state)
{
    const char *expected =
        "{\"version\":\"1\",\"user_id\":\"u-42\",\"computed_at\":\"2025-04-11T20:00:00Z\","
        "\"as_of\":\"2025-04-11T20:00:00Z\",\"valid_until\":\"2025-04-12T04:00:00Z\",\"currency\":\"USD\","
        "\"time_range\":{\"name\":\"30d\",\"start_date\":\"2025-03-13\",\"end_date\":\"2025-04-11\","
        "\"start\":\"2025-03-13T04:00:00Z\",\"end\":\"2025-04-12T04:00:00Z\",\"timezone\":\"America/New_York\","
        "\"trading_day_start\":0},\"trade_count\":1,"
        "\"trade_counts\":{\"closed\":1,\"stocks\":1,\"options\":0,\"open\":1},\"skipped_trades\":{},"
        "\"return_basis\":\"equity\",\"starting_equity\":10000,\"range_opening_equity\":10020.3327,"
        "\"risk_free_rate\":0.02}";
    struct example e;

    (void)state;
    begin_a(&e);
    assert_string_equal(written_meta(&e, RANGE_30D), expected);
    end_example(&e);
}

static void test_meta_counts_stocks_and_options_apart(void **state)
{
    struct example e;

    (void)state;
    begin_example(&e, false, example_a_csv, EXAMPLE_B_AS_OF, NULL);
    journal_add_csv(&e.journal, true, example_b_csv);
    journal_finish(&e.journal);
    compute(&e, ASSET_ALL);
    assert_string_equal(member(written_meta(&e, RANGE_ALL_TIME), "trade_counts"),
                        "{\"closed\":19,\"stocks\":10,\"options\":9,\"open\":2}");
    compute(&e, ASSET_OPTIONS);
    assert_string_equal(member(written_meta(&e, RANGE_30D), "trade_counts"),
                        "{\"closed\":3,\"stocks\":0,\"options\":3,\"open\":1}");
    end_example(&e);
}

static void test_valid_until_is_the_next_entry_or_exit_when_it_comes_first(void **state)
{
    static const char later_csv[] = "id,symbol,trade_type,number_shares,entry_price,exit_price,entry_date,exit_date\n"
                                    "20,X,BUY,1,1,,2025-04-11T23:00:00Z,\n"
                                    "21,X,BUY,1,1,2,2025-04-01T00:00:00Z,2025-04-11T22:30:00.5Z\n";
    struct example e;

    (void)state;
    begin_example(&e, false, example_a_csv, "2025-04-11T20:00:00Z", NULL);
    journal_add_csv(&e.journal, false, later_csv);
    journal_finish(&e.journal);
    compute(&e, ASSET_ALL);
    assert_string_equal(member(written_meta(&e, RANGE_7D), "valid_until"), "\"2025-04-11T22:30:00.500000Z\"");
    assert_string_equal(member(e.text.data, "open"), "2"); /* 11 and 21; 20 does not exist yet */
    end_example(&e);
}

/* --- degenerate cases (metrics.md 17) --------------------------------------------------------------- */

#define TRADES_HEADER "id,symbol,trade_type,number_shares,entry_price,exit_price,entry_date,exit_date\n"
#define TRADE(id, exit) #id ",X,BUY,1,10," exit ",2025-04-0" #id "T14:00:00Z,2025-04-0" #id "T15:00:00Z\n"

static const struct {
    const char *name, *csv;
    struct expected expected[12]; /* in the summary of all_time */
} degenerate[] = {
    {"no trades",
     TRADES_HEADER,
     {{"win_rate", "null"},
      {"total_pnl", "\"0.0000\""},
      {"maximum_drawdown", "0"},
      {"observations", "0"},
      {"sharpe_ratio", "null"},
      {"volatility", "null"},
      {"trades_per_week", "null"},
      {"current_streak", "0"}}},
    {"one trade",
     TRADES_HEADER TRADE(1, "11"),
     {{"win_rate", "\"100.0000\""},
      {"trade_standard_deviation", "null"},
      {"t_statistic", "null"},
      {"system_quality_number", "null"},
      {"calmar_ratio", "null"},
      {"recovery_factor", "null"},
      {"maximum_drawdown_percentage", "0"},
      {"consistency_ratio", "1"}}},
    {"no losers",
     TRADES_HEADER TRADE(1, "11") TRADE(2, "12"),
     {{"profit_factor", "null"},
      {"payoff_ratio", "null"},
      {"kelly_criterion", "null"},
      {"edge", "null"},
      {"gain_to_pain_ratio", "null"},
      {"consistency_ratio", "1"},
      {"sortino_ratio", "null"},
      {"downside_deviation", "0"}}},
    {"no winners",
     TRADES_HEADER TRADE(1, "9") TRADE(2, "8"),
     {{"profit_factor", "\"0.000000\""},
      {"payoff_ratio", "null"},
      {"kelly_criterion", "null"},
      {"consistency_ratio", "null"},
      {"edge", "-1"},
      {"biggest_winner", "null"},
      {"biggest_winner_trade", "null"},
      {"biggest_loser", "\"-2.0000\""}}},
    {"all break-even",
     TRADES_HEADER TRADE(1, "10") TRADE(2, "10"),
     {{"win_rate", "\"0.0000\""},
      {"loss_rate", "\"0.0000\""},
      {"win_rate_ex_breakeven", "null"},
      {"profit_factor", "null"},
      {"max_consecutive_wins", "0"},
      {"sharpe_ratio", "null"},
      {"skewness", "null"},
      {"trade_standard_deviation", "0"}}},
};

static void test_degenerate_journals_give_the_specified_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ITEMS(degenerate); i++) {
        struct example e;
        size_t n = 0;

        begin_example(&e, false, degenerate[i].csv, "2025-04-11T20:00:00Z", "1000");
        compute(&e, ASSET_ALL);
        while (n < N_ITEMS(degenerate[i].expected) && degenerate[i].expected[n].key != NULL)
            n++;
        if (check_members(written(&e, report_write_summary, RANGE_ALL_TIME), degenerate[i].expected, n) != 0)
            fail_msg("%s", degenerate[i].name);
        assert_null(strstr(e.text.data, "nan"));
        assert_null(strstr(e.text.data, "inf"));
        end_example(&e);
    }
}

static void test_equity_that_touches_zero_falls_back_to_pnl(void **state)
{
    static const struct expected expected[] = {
        {"return_basis", "\"pnl\""},
        {"maximum_drawdown_percentage", "null"},
        {"ulcer_index", "null"},
        {"sterling_ratio", "null"},
    };
    struct example e;

    (void)state;
    begin_example(&e, false, TRADES_HEADER TRADE(1, "5") TRADE(2, "11"), "2025-04-11T20:00:00Z", "5");
    compute(&e, ASSET_ALL);
    CHECK_SECTION(&e, report_write_risk, RANGE_ALL_TIME, expected);
    end_example(&e);
}

static void test_null_as_zero_leaves_only_dates_and_objects_null(void **state)
{
    struct example e;
    struct json_writer w;

    (void)state;
    begin_example(&e, false, TRADES_HEADER, "2025-04-11T20:00:00Z", NULL);
    compute(&e, ASSET_ALL);
    json_init(&w, &e.text);
    w.null_as_zero = true;
    report_write_summary(e.report, RANGE_ALL_TIME, &w);
    assert_string_equal(member(e.text.data, "profit_factor"), "\"0.000000\"");
    assert_string_equal(member(e.text.data, "sharpe_ratio"), "0");
    assert_string_equal(member(e.text.data, "maximum_drawdown_peak_date"), "null");
    assert_string_equal(member(e.text.data, "biggest_winner_trade"), "null");
    end_example(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_a_has_the_published_core_metrics),
        cmocka_unit_test(test_example_a_has_the_published_risk_metrics),
        cmocka_unit_test(test_example_a_has_the_published_performance_metrics),
        cmocka_unit_test(test_example_a_has_the_published_duration_buckets),
        cmocka_unit_test(test_example_b_has_the_published_metrics),
        cmocka_unit_test(test_example_b_has_the_published_summary),
        cmocka_unit_test(test_each_text_of_the_summary_can_be_written_alone),
        cmocka_unit_test(test_example_a_has_the_published_ranges),
        cmocka_unit_test(test_example_a_has_the_published_custom_range),
        cmocka_unit_test(test_a_custom_range_in_the_future_is_empty),
        cmocka_unit_test(test_an_unbounded_custom_range_equals_all_time),
        cmocka_unit_test(test_example_b_has_the_published_ranges),
        cmocka_unit_test(test_meta_is_the_published_document),
        cmocka_unit_test(test_meta_counts_stocks_and_options_apart),
        cmocka_unit_test(test_valid_until_is_the_next_entry_or_exit_when_it_comes_first),
        cmocka_unit_test(test_degenerate_journals_give_the_specified_values),
        cmocka_unit_test(test_equity_that_touches_zero_falls_back_to_pnl),
        cmocka_unit_test(test_null_as_zero_leaves_only_dates_and_objects_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
