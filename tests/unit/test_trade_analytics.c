/* One trade and one symbol (metrics.md 15), with those of the worked examples (18). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/analytics/symbol_analytics.h"
#include "jobs/analytics/trade_analytics.h"
#include "tests/support/journal_csv.h"
#include "tests/support/json_text.h"
#include "tests/support/worked_examples.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])

static struct journal journal;
static struct buf text;

static void begin(bool options, const char *csv, const char *as_of)
{
    buf_init(&text);
    journal_from_csv(&journal, options, csv, as_of, NULL);
}

static void end(void)
{
    journal_release(&journal);
    buf_release(&text);
}

static const char *trade(bool option, int64_t id)
{
    const struct trade *found = trade_analytics_find(&journal, option, id);
    struct json_writer w;

    assert_non_null(found);
    buf_clear(&text);
    json_init(&w, &text);
    trade_analytics_write(found, &journal, &w);
    assert_int_equal(buf_status(&text), STATUS_OK);
    return text.data;
}

static const char *symbol(const char *name, enum range_name range_name)
{
    struct range_request request = {.name = range_name};
    struct time_range range = time_range_resolve(&request, journal.today);
    struct json_writer w;

    buf_clear(&text);
    json_init(&w, &text);
    symbol_analytics_write(&journal, (struct text_ref){.bytes = name, .len = strlen(name)}, &range, &w);
    assert_int_equal(buf_status(&text), STATUS_OK);
    return text.data;
}

static void test_example_a_has_the_published_trade(void **state)
{
    (void)state;
    begin(false, example_a_csv, EXAMPLE_A_AS_OF);
    assert_string_equal(
        trade(false, 2),
        "{\"trade_id\":2,\"trade_type\":\"stock\",\"symbol\":\"TSLA\",\"status\":\"closed\",\"side\":\"short\","
        "\"net_pnl\":-181.5,\"pnl_before_costs\":-180,\"total_costs\":1.5,\"return_percentage\":-3.025,"
        "\"position_size\":6000,\"initial_risk\":120,\"planned_risk_to_reward\":2,\"realized_risk_to_reward\":-1.5,"
        "\"r_multiple\":-1.5125,\"commission_impact\":0.8333,\"hold_time_days\":1.041667}");
    assert_null(trade_analytics_find(&journal, true, 2));
    assert_null(trade_analytics_find(&journal, false, 12)); /* deleted */
    end();
}

static void test_an_open_trade_lacks_what_needs_an_exit(void **state)
{
    static const struct expected expected[] = {
        {"status", "\"open\""},
        {"net_pnl", "null"},
        {"pnl_before_costs", "null"},
        {"total_costs", "0.5"},
        {"return_percentage", "null"},
        {"position_size", "2550"},
        {"initial_risk", "75"},
        {"planned_risk_to_reward", "3"},
        {"realized_risk_to_reward", "null"},
        {"r_multiple", "null"},
        {"commission_impact", "null"},
        {"hold_time_days", "null"},
    };

    (void)state;
    begin(false, example_a_csv, EXAMPLE_A_AS_OF);
    assert_int_equal(check_members(trade(false, 11), expected, N_ITEMS(expected)), 0);
    end();
}

static void test_undefined_parts_of_a_trade_are_null(void **state)
{
    static const struct expected no_stop[] = {{"initial_risk", "null"},
                                              {"planned_risk_to_reward", "null"},
                                              {"r_multiple", "null"},
                                              {"realized_risk_to_reward", "null"},
                                              {"commission_impact", "1"}};
    static const struct expected no_gross[] = {{"commission_impact", "null"}, {"net_pnl", "-6.75"}};

    (void)state;
    begin(false, example_a_csv, EXAMPLE_A_AS_OF);
    assert_int_equal(check_members(trade(false, 4), no_stop, N_ITEMS(no_stop)), 0);
    end();
    begin(true, example_b_csv, EXAMPLE_B_AS_OF);
    assert_int_equal(check_members(trade(true, 7), no_gross, N_ITEMS(no_gross)), 0);
    assert_string_equal(member(trade(true, 5), "status"), "\"assigned\"");
    assert_string_equal(member(trade(true, 10), "status"), "\"open\"");
    end();
}

/* The row says closed, but at as_of it is not yet. */
static void test_a_trade_that_exits_later_is_open(void **state)
{
    (void)state;
    begin(true, example_b_csv, "2025-06-20T19:29:59Z");
    assert_string_equal(member(trade(true, 9), "status"), "\"open\"");
    assert_string_equal(member(text.data, "net_pnl"), "null");
    end();
}

static void test_example_a_has_the_published_symbol(void **state)
{
    (void)state;
    begin(false, example_a_csv, EXAMPLE_A_AS_OF);
    assert_string_equal(
        symbol("aapl", RANGE_ALL_TIME),
        "{\"symbol\":\"AAPL\",\"total_trades\":3,\"stock_trades\":3,\"option_trades\":0,\"winning_trades\":3,"
        "\"losing_trades\":0,\"net_pnl\":677.6,\"gross_profit\":677.6,\"gross_loss\":0,\"average_gain\":225.8667,"
        "\"average_loss\":null,\"profit_factor\":null,\"win_rate\":100,\"expectancy\":225.8667,"
        "\"biggest_winner\":249.2,\"biggest_loser\":null}");
    assert_string_equal(member(symbol("AAPL", RANGE_30D), "net_pnl"), "179.4");
    end();
}

static void test_a_losing_symbol_has_a_positive_average_loss(void **state)
{
    static const struct expected expected[] = {{"gross_loss", "-372.5"},   {"average_loss", "186.25"},
                                               {"profit_factor", "0"},     {"win_rate", "0"},
                                               {"biggest_winner", "null"}, {"biggest_loser", "-191"}};

    (void)state;
    begin(false, example_a_csv, EXAMPLE_A_AS_OF);
    assert_int_equal(check_members(symbol("Tsla", RANGE_ALL_TIME), expected, N_ITEMS(expected)), 0);
    end();
}

static void test_an_unknown_symbol_gives_zeros_and_nulls(void **state)
{
    static const char head[] = "{\"symbol\":\"N\\\"OPE\",";
    static const struct expected expected[] = {
        {"total_trades", "0"},  {"net_pnl", "0"},    {"average_gain", "null"},  {"win_rate", "null"},
        {"expectancy", "null"}, {"gross_loss", "0"}, {"biggest_winner", "null"}};

    (void)state;
    begin(false, example_a_csv, EXAMPLE_A_AS_OF);
    assert_int_equal(strncmp(symbol("n\"ope", RANGE_ALL_TIME), head, sizeof head - 1), 0);
    assert_int_equal(check_members(text.data, expected, N_ITEMS(expected)), 0);
    end();
}

static void test_options_count_under_their_underlying(void **state)
{
    static const struct expected expected[] = {{"total_trades", "2"},
                                               {"stock_trades", "0"},
                                               {"option_trades", "2"},
                                               {"profit_factor", "44.059259"},
                                               {"net_pnl", "290.65"}};

    (void)state;
    begin(true, example_b_csv, EXAMPLE_B_AS_OF);
    assert_int_equal(check_members(symbol("SPY", RANGE_ALL_TIME), expected, N_ITEMS(expected)), 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_a_has_the_published_trade),
        cmocka_unit_test(test_an_open_trade_lacks_what_needs_an_exit),
        cmocka_unit_test(test_undefined_parts_of_a_trade_are_null),
        cmocka_unit_test(test_a_trade_that_exits_later_is_open),
        cmocka_unit_test(test_example_a_has_the_published_symbol),
        cmocka_unit_test(test_a_losing_symbol_has_a_positive_average_loss),
        cmocka_unit_test(test_an_unknown_symbol_gives_zeros_and_nulls),
        cmocka_unit_test(test_options_count_under_their_underlying),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
