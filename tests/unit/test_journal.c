/* Which rows count (metrics.md 1.4, 2), what a trade is worth (5), and the ranges (3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/analytics/journal.h"
#include "jobs/analytics/time_range.h"
#include "lib/base/money.h"
#include "tests/support/journal_csv.h"

static struct account account;
static struct journal journal;

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(account_init_default(&account, NULL), STATUS_OK);
    journal_init(&journal);
    journal_begin(&journal, &account, instant_of("2025-04-11T20:00:00Z"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    journal_release(&journal);
    return 0;
}

static struct text_ref text(const char *bytes)
{
    return (struct text_ref){.bytes = bytes, .len = bytes == NULL ? 0 : strlen(bytes)};
}

static struct number whole(int64_t value)
{
    return (struct number){.state = NUMBER_FINITE, .e8 = value * MONEY_SCALE};
}

static const struct number none = {.state = NUMBER_NULL}, bad = {.state = NUMBER_BAD};

static struct trade_row stock(void)
{
    return (struct trade_row){.has_id = true,
                              .has_entry = true,
                              .has_exit = true,
                              .id = 1,
                              .symbol = text("aapl"),
                              .side = text("BUY"),
                              .quantity = whole(10),
                              .entry_price = whole(100),
                              .exit_price = whole(110),
                              .entry = instant_of("2025-04-01T14:00:00Z"),
                              .exit = instant_of("2025-04-02T14:00:00Z")};
}

static struct trade_row option(void)
{
    struct trade_row row = stock();

    row.option = true;
    row.side = text("long");
    row.option_type = text("call");
    row.strategy = text("Long Call");
    row.status = text("closed");
    row.strike_price = whole(100);
    row.entry_price = whole(2);
    row.exit_price = whole(3);
    row.quantity = whole(1);
    row.has_expiration = true;
    row.expiration = date_of("2025-05-16");
    return row;
}

/* The reason a row is left out for, or SKIP_REASONS when it counts. */
static enum skip_reason judged(const struct trade_row *row)
{
    journal_begin(&journal, &account, instant_of("2025-04-11T20:00:00Z"));
    assert_int_equal(journal_add(&journal, row, NULL), STATUS_OK);
    for (int reason = 0; reason < SKIP_REASONS; reason++)
        if (journal.skipped[reason] != 0)
            return (enum skip_reason)reason;
    return SKIP_REASONS;
}

#define CHECK_ROW(make, change, expected)                                                                              \
    do {                                                                                                               \
        struct trade_row row = make();                                                                                 \
        change;                                                                                                        \
        if (judged(&row) != (expected))                                                                                \
            fail_msg("%s with %s: reason %d, expected %d", #make, #change, (int)judged(&row), (int)(expected));        \
    } while (0)

static void test_a_row_without_a_field_is_missing_field(void **state)
{
    (void)state;
    CHECK_ROW(stock, (void)row, SKIP_REASONS);
    CHECK_ROW(option, (void)row, SKIP_REASONS);
    CHECK_ROW(stock, row.has_id = false, SKIP_MISSING_FIELD);
    CHECK_ROW(stock, row.symbol = text(""), SKIP_MISSING_FIELD);
    CHECK_ROW(stock, row.side = text(NULL), SKIP_MISSING_FIELD);
    CHECK_ROW(stock, row.quantity = none, SKIP_MISSING_FIELD);
    CHECK_ROW(stock, row.entry_price = none, SKIP_MISSING_FIELD);
    CHECK_ROW(stock, row.has_entry = false, SKIP_MISSING_FIELD);
    CHECK_ROW(option, row.strategy = text(""), SKIP_MISSING_FIELD);
    CHECK_ROW(option, row.option_type = text(NULL), SKIP_MISSING_FIELD);
    CHECK_ROW(option, row.status = text(NULL), SKIP_MISSING_FIELD);
    CHECK_ROW(option, row.strike_price = none, SKIP_MISSING_FIELD);
    CHECK_ROW(option, row.has_expiration = false, SKIP_MISSING_FIELD);
    CHECK_ROW(option, row.side = text(NULL), SKIP_REASONS);                            /* default: long */
    CHECK_ROW(stock, (row.symbol = text(""), row.quantity = bad), SKIP_MISSING_FIELD); /* the first reason counts */
}

static void test_a_row_with_another_word_is_unknown_value(void **state)
{
    (void)state;
    CHECK_ROW(stock, row.side = text("sell"), SKIP_REASONS); /* case is ignored */
    CHECK_ROW(stock, row.side = text("long"), SKIP_UNKNOWN_VALUE);
    CHECK_ROW(option, row.side = text("BUY"), SKIP_UNKNOWN_VALUE);
    CHECK_ROW(option, row.option_type = text("Calls"), SKIP_UNKNOWN_VALUE);
    CHECK_ROW(option, row.status = text("done"), SKIP_UNKNOWN_VALUE);
    CHECK_ROW(option, row.trade_direction = text("sideways"), SKIP_UNKNOWN_VALUE);
    CHECK_ROW(option, row.trade_direction = text("NEUTRAL"), SKIP_REASONS);
}

static void test_a_number_out_of_bounds_is_bad_value(void **state)
{
    (void)state;
    CHECK_ROW(stock, row.id = 0, SKIP_BAD_VALUE);
    CHECK_ROW(stock, row.quantity = whole(0), SKIP_BAD_VALUE);
    CHECK_ROW(stock, row.quantity = bad, SKIP_BAD_VALUE);
    CHECK_ROW(stock, row.entry_price = whole(0), SKIP_BAD_VALUE);
    CHECK_ROW(stock, row.exit_price = whole(-1), SKIP_BAD_VALUE);
    CHECK_ROW(stock, row.commissions = whole(-1), SKIP_BAD_VALUE);
    CHECK_ROW(stock, row.fees = whole(-1), SKIP_REASONS); /* a rebate */
    CHECK_ROW(stock, row.fees = bad, SKIP_BAD_VALUE);
    CHECK_ROW(stock, row.entry.us = instant_of("1900-01-01T00:00:00Z").us, SKIP_REASONS);
    CHECK_ROW(stock, row.entry.us = instant_of("1900-01-01T00:00:00Z").us - 1, SKIP_BAD_VALUE);
    CHECK_ROW(option, row.entry_price = whole(0), SKIP_REASONS);
    CHECK_ROW(option, row.strike_price = whole(0), SKIP_BAD_VALUE);
    CHECK_ROW(option, row.quantity = whole(1000001), SKIP_BAD_VALUE);
    CHECK_ROW(option, row.multiplier = whole(100001), SKIP_BAD_VALUE);
    CHECK_ROW(option, row.multiplier = whole(0), SKIP_BAD_VALUE);
}

static void test_the_exit_checks_are_inconsistent_exit(void **state)
{
    (void)state;
    CHECK_ROW(stock, row.exit_price = none, SKIP_INCONSISTENT_EXIT);
    CHECK_ROW(stock, row.has_exit = false, SKIP_INCONSISTENT_EXIT);
    CHECK_ROW(stock, (row.has_exit = false, row.exit_price = none), SKIP_REASONS);
    CHECK_ROW(option, row.status = text("open"), SKIP_INCONSISTENT_EXIT);
    CHECK_ROW(option, row.exit_price = none, SKIP_INCONSISTENT_EXIT);
    CHECK_ROW(option, (row.exit_price = none, row.status = text("expired")), SKIP_REASONS);
    CHECK_ROW(option, row.has_exit = false, SKIP_INCONSISTENT_EXIT);
    CHECK_ROW(option, (row.has_exit = false, row.status = text("open")), SKIP_INCONSISTENT_EXIT);
}

static void test_the_last_reasons_are_exit_before_entry_and_too_large(void **state)
{
    (void)state;
    CHECK_ROW(stock, row.exit.us = row.entry.us - 1, SKIP_EXIT_BEFORE_ENTRY);
    CHECK_ROW(stock, row.exit.us = row.entry.us, SKIP_REASONS);
    CHECK_ROW(stock, row.exit.us = INT64_MIN, SKIP_EXIT_BEFORE_ENTRY);
    CHECK_ROW(stock, row.quantity = whole(100000000), SKIP_TOO_LARGE); /* x 100 = 10^10 */
    CHECK_ROW(stock, (row.quantity = whole(90909091), row.entry_price = whole(1)), SKIP_TOO_LARGE);
    CHECK_ROW(stock, (row.quantity = whole(90909090), row.entry_price = whole(1)), SKIP_REASONS);
    CHECK_ROW(option, (row.quantity = whole(1000000), row.multiplier = whole(100000)), SKIP_TOO_LARGE);
}

static void test_a_row_that_does_not_exist_yet_is_not_judged(void **state)
{
    struct trade_row row = stock();

    (void)state;
    row.entry = instant_of("2025-04-11T20:00:00.000001Z");
    row.quantity = bad;
    assert_int_equal(judged(&row), SKIP_REASONS);
    assert_int_equal(journal.n_closed + journal.n_open, 0);
    assert_int_equal(journal.next_change.us, row.entry.us);
}

static void test_an_exit_after_as_of_leaves_the_trade_open(void **state)
{
    struct trade_row row = stock();

    (void)state;
    row.exit = INSTANT_NEVER;
    assert_int_equal(judged(&row), SKIP_REASONS);
    assert_int_equal(journal.n_open, 1);
    assert_int_equal(journal.n_open_stocks, 1);
    row.exit = instant_of("2025-04-11T20:00:00Z");
    assert_int_equal(judged(&row), SKIP_REASONS);
    assert_int_equal(journal.n_closed, 1);
}

static void test_skipped_rows_are_counted_and_named(void **state)
{
    struct trade_row row = stock();

    (void)state;
    row.side = text("?");
    for (row.id = 1; row.id <= JOURNAL_SKIPPED_IDS + 5; row.id++)
        assert_int_equal(journal_add(&journal, &row, NULL), STATUS_OK);
    assert_int_equal(journal.skipped[SKIP_UNKNOWN_VALUE], JOURNAL_SKIPPED_IDS + 5);
    assert_int_equal(journal.n_skipped_rows, JOURNAL_SKIPPED_IDS);
    for (size_t i = 0; i < JOURNAL_SKIPPED_IDS; i++)
        assert_int_equal(journal.skipped_rows[i].id, i + 1);
    assert_int_equal(journal.skipped_rows[0].reason, SKIP_UNKNOWN_VALUE);
    assert_false(journal.skipped_rows[0].option);
}

static void test_planning_values_that_make_no_sense_are_absent(void **state)
{
    struct trade_row row = stock();

    (void)state;
    row.stop_loss = whole(-5);
    row.intended_entry_price = bad;
    assert_int_equal(judged(&row), SKIP_REASONS);
    assert_int_equal(journal.closed[0].risk_e8, 0);
    assert_false(journal.closed[0].has_slippage);
    row.stop_loss = whole(101); /* the wrong side */
    assert_int_equal(judged(&row), SKIP_REASONS);
    assert_int_equal(journal.closed[0].risk_e8, 0);
    row.initial_risk = whole(7);
    row.profit_target = whole(121);
    row.intended_entry_price = whole(99);
    assert_int_equal(judged(&row), SKIP_REASONS);
    assert_int_equal(journal.closed[0].risk_e8, 7 * MONEY_SCALE);
    assert_true(journal.closed[0].planned_rr == 30);
    assert_int_equal(journal.closed[0].slippage_e8, 10 * MONEY_SCALE);
    row.side = text("SELL");
    row.initial_risk = none;
    row.stop_loss = whole(INT64_C(9000000000));
    assert_int_equal(judged(&row), SKIP_REASONS);
    assert_int_equal(journal.closed[0].risk_e8, 0); /* 9 x 10^10 is no plan */
}

static void test_products_round_half_away_from_zero(void **state)
{
    struct trade_row row = stock();

    (void)state;
    row.quantity.e8 = MONEY_SCALE / 2;
    row.entry_price.e8 = 5;
    row.exit_price.e8 = 6;
    assert_int_equal(judged(&row), SKIP_REASONS);
    assert_int_equal(journal.closed[0].gross_e8, 1);
    row.side = text("SELL");
    assert_int_equal(judged(&row), SKIP_REASONS);
    assert_int_equal(journal.closed[0].gross_e8, -1);
    assert_int_equal(journal.closed[0].size_e8, 3);
}

static void test_mistakes_count_only_when_one_is_named(void **state)
{
    struct trade_row row = stock();

    (void)state;
    row.mistakes = text(" ; , ");
    assert_int_equal(judged(&row), SKIP_REASONS);
    assert_false(journal.closed[0].flawed);
    row.mistakes = text(" ; late ");
    assert_int_equal(judged(&row), SKIP_REASONS);
    assert_true(journal.closed[0].flawed);
}

static void test_symbols_are_upper_case_and_shared(void **state)
{
    struct trade_row row = stock();
    struct text_ref name;
    char symbol[16];

    (void)state;
    for (int i = 0; i < 2000; i++) {
        (void)snprintf(symbol, sizeof symbol, "%s%d", i % 2 != 0 ? "abc" : "ABC", i / 2);
        row.symbol = text(symbol);
        row.id = i + 1;
        assert_int_equal(journal_add(&journal, &row, NULL), STATUS_OK);
    }
    assert_int_equal(journal.symbols.n_symbols, 1000);
    name = symbol_table_name(&journal.symbols, journal.closed[1999].symbol);
    assert_int_equal(name.len, 6);
    assert_memory_equal(name.bytes, "ABC999", 6);
}

/* --- ranges ---------------------------------------------------------------------------------------- */

static void test_presets_start_where_the_specification_says(void **state)
{
    static const struct {
        enum range_name name;
        const char *today, *start;
    } cases[] = {
        {RANGE_TODAY, "2025-08-31", "2025-08-31"}, {RANGE_7D, "2025-03-03", "2025-02-25"},
        {RANGE_30D, "2024-03-01", "2024-02-01"},   {RANGE_90D, "2025-01-01", "2024-10-04"},
        {RANGE_6M, "2025-08-31", "2025-03-01"},    {RANGE_1Y, "2024-02-29", "2023-03-01"},
        {RANGE_YTD, "2024-12-31", "2024-01-01"},   {RANGE_6M, "2025-04-11", "2024-10-12"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct range_request request = {.name = cases[i].name};
        struct time_range range = time_range_resolve(&request, date_of(cases[i].today));

        if (!range.has_start || range.start.days != date_of(cases[i].start).days ||
            range.end.days != date_of(cases[i].today).days)
            fail_msg("case %zu", i);
    }
}

static void test_range_names_are_exact(void **state)
{
    enum range_name name;

    (void)state;
    for (int i = 0; i <= RANGE_CUSTOM; i++) {
        assert_int_equal(range_name_parse(range_name_text((enum range_name)i), &name), STATUS_OK);
        assert_int_equal(name, i);
    }
    assert_int_equal(range_name_parse("30D", &name), STATUS_INVALID);
    assert_int_equal(range_name_parse("", &name), STATUS_INVALID);
}

static void test_the_next_trading_day_begins_across_clock_changes(void **state)
{
    static const struct {
        const char *zone;
        int start;
        const char *as_of, *next;
    } cases[] = {
        {"America/New_York", 0, "2025-03-09T05:00:00Z", "2025-03-10T04:00:00Z"}, /* 23 hours */
        {"America/New_York", 0, "2025-11-02T04:00:00Z", "2025-11-03T05:00:00Z"}, /* 25 hours */
        {"America/New_York", 17, "2025-04-11T20:59:59Z", "2025-04-11T21:00:00Z"},
        {"America/New_York", 17, "2025-04-11T21:00:00Z", "2025-04-12T21:00:00Z"},
        {"America/New_York", 2, "2025-03-09T06:00:00Z", "2025-03-09T07:00:00Z"}, /* 02:00 does not come */
        {"Pacific/Apia", 0, "2011-12-29T20:00:00Z", "2011-12-30T10:00:00Z"},     /* the 30th does not come */
        {"America/St_Johns", 0, "2006-10-29T02:30:30Z", "2006-10-29T02:31:00Z"}, /* back into the 28th */
        {"UTC", 0, "1899-12-31T23:59:59.999999Z", "1900-01-01T00:00:00Z"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char next[INSTANT_TEXT_SIZE];

        assert_int_equal(timezone_open(cases[i].zone, &account.zone, NULL), STATUS_OK);
        account.trading_day_start = cases[i].start;
        instant_format(next_trading_day_begin(&account, instant_of(cases[i].as_of)), next);
        if (strcmp(next, cases[i].next) != 0)
            fail_msg("case %zu: %s, expected %s", i, next, cases[i].next);
    }
}

static void test_the_day_clock_agrees_with_trading_day(void **state)
{
    static const int starts[] = {0, 2, 11, 12, 17, 23};
    struct instant t = instant_of("2024-10-01T00:00:00Z");

    (void)state;
    for (size_t s = 0; s < sizeof starts / sizeof starts[0]; s++) {
        struct day_clock clock;

        account.trading_day_start = starts[s];
        day_clock_init(&clock, &account);
        for (int i = 0; i < 20000; i++) {
            struct instant at = {t.us + i * INT64_C(1711) * US_PER_SECOND - 1};

            assert_int_equal(day_clock_day(&clock, at).days, trading_day(account.zone, starts[s], at).days);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_row_without_a_field_is_missing_field),
        TEST(test_a_row_with_another_word_is_unknown_value),
        TEST(test_a_number_out_of_bounds_is_bad_value),
        TEST(test_the_exit_checks_are_inconsistent_exit),
        TEST(test_the_last_reasons_are_exit_before_entry_and_too_large),
        TEST(test_a_row_that_does_not_exist_yet_is_not_judged),
        TEST(test_an_exit_after_as_of_leaves_the_trade_open),
        TEST(test_skipped_rows_are_counted_and_named),
        TEST(test_planning_values_that_make_no_sense_are_absent),
        TEST(test_products_round_half_away_from_zero),
        TEST(test_mistakes_count_only_when_one_is_named),
        TEST(test_symbols_are_upper_case_and_shared),
        TEST(test_presets_start_where_the_specification_says),
        TEST(test_range_names_are_exact),
        TEST(test_the_next_trading_day_begins_across_clock_changes),
        TEST(test_the_day_clock_agrees_with_trading_day),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
