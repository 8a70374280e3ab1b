/* Open positions at latest prices (metrics.md 14), with those of the worked examples (18). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/analytics/positions.h"
#include "tests/support/journal_csv.h"
#include "tests/support/json_text.h"
#include "tests/support/worked_examples.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])

static struct journal journal;
static struct price_table prices;
static struct buf text;

static struct text_ref ref(const char *string)
{
    return (struct text_ref){.bytes = string, .len = strlen(string)};
}

static struct number number(const char *decimal)
{
    struct number n = {.state = NUMBER_FINITE};

    assert_int_equal(money_parse(decimal, &n.e8), STATUS_OK);
    return n;
}

static void add_row(const struct price_row *row)
{
    assert_int_equal(price_table_add(&prices, &journal.symbols, row), STATUS_OK);
}

static void add_share(const char *symbol, const char *price, int64_t observed_us)
{
    struct price_row row = {.symbol = ref(symbol), .price = number(price), .observed = {observed_us}};

    add_row(&row);
}

static void add_option(const char *symbol, const char *expiration, const char *type, const char *strike,
                       const char *price)
{
    struct price_row row = {.symbol = ref(symbol), .option = true, .option_type = ref(type), .price = number(price)};

    row.expiration = date_of(expiration);
    row.strike_price = number(strike);
    add_row(&row);
}

static void begin(bool options, const char *csv, const char *as_of)
{
    buf_init(&text);
    price_table_init(&prices);
    journal_from_csv(&journal, options, csv, as_of, NULL);
}

static void end(void)
{
    price_table_release(&prices);
    journal_release(&journal);
    buf_release(&text);
}

static const char *positions(enum asset asset)
{
    struct json_writer w;

    price_table_finish(&prices);
    buf_clear(&text);
    json_init(&w, &text);
    positions_write(&journal, asset, &prices, &w);
    assert_int_equal(buf_status(&text), STATUS_OK);
    return text.data;
}

static void test_example_a_has_the_published_positions(void **state)
{
    (void)state;
    begin(false, example_a_csv, EXAMPLE_A_AS_OF);
    add_share("GOOG", "166.20", 0);
    assert_string_equal(
        positions(ASSET_ALL),
        "{\"open_count\":1,\"open_stock_count\":1,\"open_option_count\":0,\"open_long_count\":1,\"open_short_count\":0,"
        "\"cost_basis\":2550,\"priced_count\":1,\"unpriced_count\":0,\"gross_exposure\":2493,\"net_exposure\":2493,"
        "\"unrealized_pnl\":-57.5,\"open_risk\":75,\"positions\":[{\"trade_type\":\"stock\",\"trade_id\":11,"
        "\"symbol\":\"GOOG\",\"side\":\"long\",\"quantity\":15,\"entry_price\":170,"
        "\"entry_date\":\"2025-03-13T14:00:00Z\",\"cost_basis\":2550,\"latest_price\":166.2,\"market_value\":2493,"
        "\"unrealized_pnl\":-57.5,\"unrealized_pnl_percentage\":-2.2549,\"unrealized_r_multiple\":-0.766667,"
        "\"initial_risk\":75,\"days_held\":29.25}]}");
    end();
}

static void test_example_b_has_the_published_positions(void **state)
{
    static const struct expected sums[] = {
        {"open_count", "1"},       {"open_stock_count", "0"}, {"open_option_count", "1"},  {"open_long_count", "0"},
        {"open_short_count", "1"}, {"cost_basis", "210"},     {"priced_count", "1"},       {"unpriced_count", "0"},
        {"gross_exposure", "145"}, {"net_exposure", "-145"},  {"unrealized_pnl", "64.35"}, {"open_risk", "210"},
    };
    static const struct expected position[] = {
        {"side", "\"short\""},
        {"quantity", "1"},
        {"latest_price", "1.45"},
        {"market_value", "-145"},
        {"unrealized_pnl", "64.35"},
        {"unrealized_pnl_percentage", "30.6429"},
        {"unrealized_r_multiple", "0.306429"},
        {"initial_risk", "210"},
        {"days_held", "3.208333"},
    };

    (void)state;
    begin(true, example_b_csv, EXAMPLE_B_AS_OF);
    add_option("iwm", "2025-07-18", "put", "205", "1.45");
    /* none of these is the position */
    add_option("IWM", "2025-07-18", "Call", "205", "9");
    add_option("IWM", "2025-07-19", "Put", "205", "9");
    add_option("IWM", "2025-07-18", "Put", "204.99", "9");
    add_share("IWM", "215", 0);
    assert_int_equal(check_members(positions(ASSET_ALL), sums, N_ITEMS(sums)), 0);
    assert_int_equal(check_members(strstr(text.data, "\"positions\""), position, N_ITEMS(position)), 0);
    assert_string_equal(member(positions(ASSET_STOCKS), "open_count"), "0");
    end();
}

static const char open_csv[] =
    "id,symbol,trade_type,number_shares,entry_price,exit_price,stop_loss,entry_date,exit_date\n"
    "3,X,SELL,0.5,10,,,2025-04-02T14:00:00Z,\n"
    "2,Y,BUY,1,10,,,2025-04-01T14:00:00Z,\n"
    "1,Z,BUY,1,10,12,,2025-04-01T14:00:00Z,2025-04-12T00:00:00Z\n";

/* A position without a price is listed with nulls; an exit after as_of leaves a trade open. */
static void test_unpriced_positions_are_left_out_of_priced_sums(void **state)
{
    static const struct expected none[] = {
        {"open_count", "3"},        {"cost_basis", "25"},     {"priced_count", "0"},      {"unpriced_count", "3"},
        {"gross_exposure", "null"}, {"net_exposure", "null"}, {"unrealized_pnl", "null"}, {"open_risk", "null"}};
    static const struct expected first[] = {{"trade_id", "1"},
                                            {"latest_price", "null"},
                                            {"market_value", "null"},
                                            {"unrealized_pnl", "null"},
                                            {"unrealized_pnl_percentage", "null"},
                                            {"unrealized_r_multiple", "null"},
                                            {"initial_risk", "null"}};
    static const struct expected some[] = {{"priced_count", "2"},
                                           {"unpriced_count", "1"},
                                           {"gross_exposure", "18"},
                                           {"net_exposure", "6"},
                                           {"unrealized_pnl", "1"}};

    (void)state;
    begin(false, open_csv, EXAMPLE_A_AS_OF);
    assert_int_equal(check_members(positions(ASSET_ALL), none, N_ITEMS(none)), 0);
    assert_int_equal(check_members(strstr(text.data, "\"positions\""), first, N_ITEMS(first)), 0);
    add_share("X", "12", 0);
    add_share("Z", "12", 0);
    add_share("UNKNOWN", "1", 0);
    assert_int_equal(check_members(positions(ASSET_ALL), some, N_ITEMS(some)), 0);
    end();
}

static void test_what_is_no_price_is_none_and_the_latest_counts(void **state)
{
    struct price_row bad[] = {{.price = {.state = NUMBER_NULL}},
                              {.price = {.state = NUMBER_BAD}},
                              {.price = {.state = NUMBER_FINITE, .e8 = -1}}};

    (void)state;
    begin(false, open_csv, EXAMPLE_A_AS_OF);
    for (size_t i = 0; i < N_ITEMS(bad); i++) {
        bad[i].symbol = ref("X");
        bad[i].observed.us = 1000;
        add_row(&bad[i]);
    }
    add_share("X", "3", 1);
    add_share("X", "0", 2);
    add_share("X", "5", -1);
    assert_string_equal(member(positions(ASSET_ALL), "unrealized_pnl"), "5"); /* short 0.5 from 10 to 0 */
    end();
}

/* The largest price, quantity and count of what the tables admit stay exact. */
static void test_extreme_prices_stay_exact(void **state)
{
    static const char csv[] = "id,symbol,trade_type,number_shares,entry_price,entry_date\n"
                              "1,X,SELL,9999999999.99999999,0.5,2025-04-01T14:00:00Z\n";

    (void)state;
    begin(false, csv, EXAMPLE_A_AS_OF);
    add_share("X", "9999999999.99999999", 0);
    assert_string_equal(member(positions(ASSET_ALL), "market_value"), "-99999999999999999800");
    assert_string_equal(member(text.data, "gross_exposure"), "99999999999999999800");
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_a_has_the_published_positions),
        cmocka_unit_test(test_example_b_has_the_published_positions),
        cmocka_unit_test(test_unpriced_positions_are_left_out_of_priced_sums),
        cmocka_unit_test(test_what_is_no_price_is_none_and_the_latest_counts),
        cmocka_unit_test(test_extreme_prices_stay_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
