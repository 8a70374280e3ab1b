/* Reading the latest prices of open positions from the view, as the programs' role. */
#include <stdio.h>
#include <string.h>

#include "jobs/price_reader.h"
#include "jobs/trade_reader.h"
#include "tests/support/database.h"

#define E8 INT64_C(100000000)

static struct err err;

/* The present reading; a failed test's is ended by the next set-up, so that its locks are gone. */
static struct reading {
    struct db *db;
    struct trade_reader *reader;
    const struct journal *journal;
    struct price_table prices;
} r;

static void end_reading(void)
{
    price_table_release(&r.prices);
    trade_reader_close(&r.reader);
    if (r.db != NULL)
        db_end(r.db);
    db_free(&r.db);
}

static int set_up(void **state)
{
    (void)state;
    end_reading();
    database_run("TRUNCATE public.stocks, public.options, public.account_settings, public.latest_price CASCADE");
    database_run("INSERT INTO public.stocks (user_id, id, symbol, trade_type, number_shares, entry_price, entry_date) "
                 "VALUES ('u', 1, 'ABC', 'BUY', 1, 1, '2025-03-03T15:00:00Z'), "
                 "('u', 2, 'O\"DD,\\}', 'BUY', 1, 1, '2025-03-04T15:00:00Z')");
    database_run("INSERT INTO public.options (user_id, id, symbol, strategy_type, side, option_type, strike_price, "
                 "expiration_date, number_of_contracts, entry_price, entry_date, status) VALUES "
                 "('u', 1, 'ABC', 'Short Put', 'short', 'Put', 52.5, '2025-04-17', 3, 2.45, '2025-03-05T15:00:00Z', "
                 "'open')");
    return 0;
}

static int tear_down(void **state)
{
    (void)set_up(state);
    database_run("TRUNCATE public.stocks, public.options, public.latest_price CASCADE");
    return 0;
}

static void read_journal(const char *user_id)
{
    const struct journal *none;
    struct instant as_of;
    const char *id;

    price_table_init(&r.prices);
    r.db = database_open(database_role_url(), 60000, true);
    assert_status(db_begin_snapshot(r.db, &as_of, &err), STATUS_OK, &err);
    assert_status(trade_reader_open(r.db, 1, &user_id, as_of, &r.reader, &err), STATUS_OK, &err);
    assert_status(trade_reader_next(r.reader, &id, &r.journal, &err), STATUS_OK, &err);
    assert_status(trade_reader_next(r.reader, &id, &none, &err), STATUS_NOT_FOUND, &err);
}

static void assert_price(size_t position, int64_t expected_e8)
{
    int64_t price_e8;

    assert_true(price_table_find(&r.prices, &r.journal->open[position], &price_e8));
    assert_int_equal(price_e8, expected_e8);
}

static void test_shares_and_options_get_their_prices(void **state)
{
    (void)state;
    database_run("INSERT INTO public.latest_price (symbol, price) VALUES ('ABC', 61.25), ('O\"DD,\\}', 0.00000001), "
                 "('OTHER', 5)");
    database_run("INSERT INTO public.latest_price (symbol, expiration_date, option_type, strike_price, price) VALUES "
                 "('ABC', '2025-04-17', 'Put', 52.5, 1.45), ('ABC', '2025-04-17', 'Call', 52.5, 9), "
                 "('ABC', '2025-04-18', 'Put', 52.5, 9)");
    read_journal("u");
    assert_int_equal(r.journal->n_open, 3);
    assert_status(price_read(r.db, r.journal, &r.prices, &err), STATUS_OK, &err);
    assert_int_equal(r.prices.n_prices, 5);
    assert_price(0, 6125000000);
    assert_price(1, 1);
    assert_price(2, 145000000);
    end_reading();
}

static void test_without_prices_there_are_none(void **state)
{
    int64_t price_e8;

    (void)state;
    read_journal("u");
    assert_status(price_read(r.db, r.journal, &r.prices, &err), STATUS_OK, &err);
    assert_false(price_table_find(&r.prices, &r.journal->open[0], &price_e8));
    end_reading();
    read_journal("nobody");
    assert_status(price_read(r.db, r.journal, &r.prices, &err), STATUS_OK, &err);
    end_reading();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_shares_and_options_get_their_prices, set_up),
        cmocka_unit_test_setup(test_without_prices_there_are_none, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
