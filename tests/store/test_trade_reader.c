/* Reading journals from the views, as the programs' role. The owner puts the rows there and, for what the default
 * tables refuse, other views. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/trade_reader.h"
#include "tests/support/database.h"

#define E8 INT64_C(100000000)

static struct err err;

/* The present reading; a failed test's is ended by the next set-up, so that its locks are gone. */
static struct reading {
    struct db *db;
    struct trade_reader *reader;
    struct instant as_of;
} r;

static void end_reading(void)
{
    trade_reader_close(&r.reader);
    if (r.db != NULL)
        db_end(r.db);
    db_free(&r.db);
}

/* What sql/40_journal_views.sql defines, and what tests put in its place. */
static int drop_views(void **state)
{
    (void)state;
    end_reading();
    database_run(
        "DROP VIEW IF EXISTS pnlcache.stock_trades, pnlcache.option_trades, pnlcache.account_settings CASCADE");
    return 0;
}

static int restore_views(void **state)
{
    char command[512];

    (void)state;
    (void)drop_views(NULL);
    (void)snprintf(command, sizeof command, "psql -qX -v ON_ERROR_STOP=1 -f sql/40_journal_views.sql '%s'",
                   database_owner_url());
    assert_int_equal(system(command), 0); /* NOLINT: a fixed command of our own */
    return 0;
}

static int clear_tables(void **state)
{
    (void)state;
    end_reading();
    database_run("TRUNCATE public.stocks, public.options, public.account_settings CASCADE");
    return 0;
}

static void add_stock(const char *user_id, int id, const char *exit_date)
{
    database_run("INSERT INTO public.stocks (user_id, id, symbol, trade_type, number_shares, entry_price, exit_price, "
                 "commissions, fees, entry_date, exit_date) VALUES ('%s', %d, 'ABC', 'BUY', 10, 100, 101.5, 1, 0.25, "
                 "'2025-03-03T15:00:00Z', '%s')",
                 user_id, id, exit_date);
}

static void add_option(const char *user_id, int id, const char *exit_date)
{
    database_run("INSERT INTO public.options (user_id, id, symbol, strategy_type, side, option_type, strike_price, "
                 "expiration_date, number_of_contracts, entry_price, exit_price, entry_date, exit_date, status) VALUES "
                 "('%s', %d, 'XYZ', 'Short Put', 'short', 'Put', 50, '2025-04-17', 3, 2.45, 0.60, "
                 "'2025-03-03T15:00:00Z', '%s', 'closed')",
                 user_id, id, exit_date);
}

static void begin_reading(size_t n, const char *const *user_ids)
{
    r.db = database_open(database_role_url(), 60000, true);
    assert_status(db_begin_snapshot(r.db, &r.as_of, &err), STATUS_OK, &err);
    assert_status(trade_reader_open(r.db, n, user_ids, r.as_of, &r.reader, &err), STATUS_OK, &err);
}

static const struct journal *next_journal(const char *user_id)
{
    const struct journal *journal = NULL;
    const char *id = NULL;

    assert_status(trade_reader_next(r.reader, &id, &journal, &err), STATUS_OK, &err);
    assert_string_equal(id, user_id);
    assert_non_null(journal);
    assert_true(journal->as_of.us == r.as_of.us);
    return journal;
}

static void assert_no_more(void)
{
    const struct journal *journal;
    const char *id;

    assert_status(trade_reader_next(r.reader, &id, &journal, &err), STATUS_NOT_FOUND, &err);
    assert_status(trade_reader_next(r.reader, &id, &journal, &err), STATUS_NOT_FOUND, &err);
}

/* --- users --------------------------------------------------------------------------------- */

static void test_every_user_is_delivered_once_in_byte_order(void **state)
{
    static const char *const ids[] = {"zoe",    "Zoe", "o'clock",      "a{\"b\\c\"},d",
                                      "nobody", "zoe", "\xC3\xA4rger", "NULL"};

    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct buf sql = BUF_INIT;

        if (strcmp(ids[i], "nobody") == 0)
            continue;
        buf_append_string(&sql,
                          "INSERT INTO public.stocks (user_id, id, symbol, trade_type, number_shares, entry_price, "
                          "entry_date) VALUES (");
        db_append_literal(&sql, ids[i]);
        buf_append_string(&sql, ", 1, 'ABC', 'SELL', 1, 1, '2025-03-03T15:00:00Z') ON CONFLICT DO NOTHING");
        database_run("%s", sql.data);
        buf_release(&sql);
    }
    add_stock("somebody else", 1, "2025-03-03T16:00:00Z");
    begin_reading(sizeof ids / sizeof ids[0], ids);
    assert_int_equal(next_journal("NULL")->n_open, 1);
    assert_int_equal(next_journal("Zoe")->n_open, 1);
    assert_int_equal(next_journal("a{\"b\\c\"},d")->n_open, 1);
    assert_int_equal(next_journal("nobody")->n_open, 0);
    assert_int_equal(next_journal("o'clock")->n_open, 1);
    assert_int_equal(next_journal("zoe")->n_open, 1);
    assert_int_equal(next_journal("\xC3\xA4rger")->n_open, 1);
    assert_no_more();
    end_reading();
}

static void test_no_users_is_nothing_to_read(void **state)
{
    (void)state;
    begin_reading(0, NULL);
    assert_no_more();
    end_reading();
}

static void test_list_users_pages_through_all_views(void **state)
{
    static const char *const expected[] = {"A", "B", "a", "b", "c", "\xC3\xA4"};
    struct db *db = database_open(database_role_url(), 60000, true);
    const char *after = NULL;
    char last[16];
    size_t seen = 0, n;
    char **ids;

    (void)state;
    add_stock("b", 1, "2025-03-03T16:00:00Z");
    add_stock("b", 2, "2025-03-03T16:00:00Z");
    add_stock("A", 1, "2025-03-03T16:00:00Z");
    add_option("B", 1, "2025-03-03T16:00:00Z");
    add_option("b", 1, "2025-03-03T16:00:00Z");
    add_option("\xC3\xA4", 1, "2025-03-03T16:00:00Z");
    database_run("INSERT INTO public.account_settings (user_id) VALUES ('a'), ('c'), ('b')");
    do {
        assert_status(trade_reader_list_users(db, after, 2, &ids, &n, &err), STATUS_OK, &err);
        for (size_t i = 0; i < n; i++) {
            assert_string_equal(ids[i], expected[seen++]);
            (void)snprintf(last, sizeof last, "%s", ids[i]);
            free(ids[i]);
        }
        free(ids);
        after = last;
    } while (n == 2);
    assert_int_equal(seen, 6);
    db_free(&db);
}

/* --- trades -------------------------------------------------------------------------------- */

static void test_trades_keep_their_values(void **state)
{
    static const char *const ids[] = {"u1"};
    const struct journal *j;

    (void)state;
    add_stock("u1", 7, "2025-03-05T15:00:00Z");
    add_option("u1", 8, "2025-03-06T15:00:00.000001Z");
    database_run("UPDATE public.stocks SET stop_loss = 99, mistakes = 'fomo'");
    begin_reading(1, ids);
    j = next_journal("u1");
    assert_int_equal(j->n_closed, 2);
    assert_false(j->closed[0].option);
    assert_int_equal(j->closed[0].id, 7);
    assert_int_equal(j->closed[0].gross_e8, 15 * E8);          /* 10 x 1.5 */
    assert_int_equal(trade_net_e8(&j->closed[0]), 1375000000); /* less 1.25 */
    assert_int_equal(j->closed[0].size_e8, 1000 * E8);
    assert_int_equal(j->closed[0].risk_e8, 10 * E8); /* 10 x (100 - 99) */
    assert_true(j->closed[0].flawed);
    assert_true(j->closed[1].option);
    assert_true(j->closed[1].put);
    assert_int_equal(j->closed[1].id, 8);
    assert_int_equal(j->closed[1].contracts, 3);
    assert_int_equal(j->closed[1].gross_e8, 555 * E8); /* short: 1.85 x 3 x 100 */
    assert_int_equal(j->closed[1].exit.us, INT64_C(1741273200000001));
    assert_int_equal(j->closed[1].dte, 45); /* 3 March to 17 April */
    assert_no_more();
    end_reading();
}

/* The stream is ordered by id where exits are equal; a stock still comes before an option. */
static void test_equal_exits_come_in_canonical_order(void **state)
{
    static const char *const ids[] = {"u1"};
    const struct journal *j;

    (void)state;
    add_stock("u1", 5, "2025-03-05T15:00:00Z");
    add_option("u1", 1, "2025-03-05T15:00:00Z");
    add_stock("u1", 2, "2025-03-05T15:00:00Z");
    add_option("u1", 5, "2025-03-04T15:00:00Z");
    begin_reading(1, ids);
    j = next_journal("u1");
    assert_int_equal(j->n_closed, 4);
    assert_true(j->closed[0].option && j->closed[0].id == 5);
    assert_true(!j->closed[1].option && j->closed[1].id == 2);
    assert_true(!j->closed[2].option && j->closed[2].id == 5);
    assert_true(j->closed[3].option && j->closed[3].id == 1);
    end_reading();
}

static void test_deleted_rows_are_invisible(void **state)
{
    static const char *const ids[] = {"u1"};

    (void)state;
    add_stock("u1", 1, "2025-03-05T15:00:00Z");
    add_stock("u1", 2, "2025-03-05T15:00:00Z");
    database_run("UPDATE public.stocks SET is_deleted = true WHERE id = 1");
    begin_reading(1, ids);
    assert_int_equal(next_journal("u1")->n_closed, 1);
    end_reading();
}

/* An application's own view: other types, values the default tables refuse. */
static void test_foreign_view_values_are_judged_not_fatal(void **state)
{
    static const char *const ids[] = {"u1", "u2"};
    const struct journal *j;

    (void)state;
    database_run(
        "DROP VIEW pnlcache.stock_trades CASCADE; CREATE VIEW pnlcache.stock_trades AS SELECT user_id::varchar(20), id, "
        "symbol::varchar(9), trade_type::varchar(4), number_shares::float8, entry_price, exit_price, "
        "timestamp '2025-03-03 15:00:00' AS entry_date, exit_date, 0::float4 AS commissions, NULL::numeric AS fees, "
        "NULL::numeric AS stop_loss, NULL::numeric AS initial_risk, NULL::int AS take_profit, NULL::numeric AS "
        "profit_target, NULL::numeric AS intended_entry_price, NULL::text AS mistakes, NULL::text AS brokerage_name "
        "FROM (VALUES "
        "('u1', 1::int, 'A', 'BUY', 'NaN', 1::numeric, 2::numeric, timestamptz '2025-03-04 15:00:00Z'), "
        "('u1', 2, 'A', 'BUY', 'Infinity', 1, 2, '2025-03-04 15:00:00Z'), "
        "('u1', 3, 'A', 'BUY', '1', 1e40, 2, '2025-03-04 15:00:00Z'), "
        "('u1', 4, 'A', 'HOLD', '1', 1, 2, '2025-03-04 15:00:00Z'), "
        "('u1', 5, NULL, 'BUY', '1', 1, 2, '2025-03-04 15:00:00Z'), "
        "('u1', NULL, 'A', 'BUY', '1', 1, 2, '2025-03-04 15:00:00Z'), "
        "('u1', 6, 'A', 'BUY', '1', 1, 2, 'infinity'), "
        "('u1', 7, 'A', 'BUY', '1', 1, 2, '-infinity'), "
        "('u1', 8, 'A', 'buy', '0.5', 1.000000005, 2, '2025-03-04 15:00:00Z'), "
        "('u2', 9, 'A', 'SELL', '2', 3, 2, '2025-03-04 15:00:00Z')) "
        "AS t (user_id, id, symbol, trade_type, number_shares, entry_price, exit_price, exit_date); "
        "GRANT SELECT ON pnlcache.stock_trades TO pnlcache");
    begin_reading(2, ids);
    j = next_journal("u1");
    assert_int_equal(j->skipped[SKIP_MISSING_FIELD], 2);
    assert_int_equal(j->skipped[SKIP_UNKNOWN_VALUE], 1);
    assert_int_equal(j->skipped[SKIP_BAD_VALUE], 3);
    assert_int_equal(j->skipped[SKIP_EXIT_BEFORE_ENTRY], 1);
    assert_int_equal(j->n_open, 1);
    assert_int_equal(j->open[0].trade.id, 6);
    assert_int_equal(j->n_closed, 1);
    assert_int_equal(j->closed[0].entry.us, INT64_C(1741014000000000)); /* without an offset it is UTC */
    assert_int_equal(j->closed[0].size_e8, 50000001);                   /* 0.5 x 1.00000001 = 0.500000005, rounded up */
    j = next_journal("u2");
    assert_int_equal(j->n_closed, 1);
    assert_int_equal(j->closed[0].gross_e8, 2 * E8);
    assert_no_more();
    end_reading();
}

/* --- settings ------------------------------------------------------------------------------ */

static void test_settings_are_read_and_default(void **state)
{
    static const char *const ids[] = {"a", "b", "c"};
    const struct account *account;

    (void)state;
    database_run(
        "INSERT INTO public.account_settings (user_id, timezone, trading_day_start, week_start, starting_equity, "
        "risk_free_rate, market_holidays, currency) VALUES ('a', 'Europe/Berlin', 17, 'monday', 10000.5, -0.005, "
        "'{2025-12-25,2025-01-01,2025-12-25}', 'EUR'), ('c', DEFAULT, DEFAULT, DEFAULT, NULL, DEFAULT, DEFAULT, "
        "DEFAULT)");
    begin_reading(3, ids);
    account = &next_journal("a")->account;
    assert_string_equal(timezone_name(account->zone), "Europe/Berlin");
    assert_int_equal(account->trading_day_start, 17);
    assert_true(account->week_starts_monday);
    assert_true(account->has_starting_equity);
    assert_int_equal(account->starting_equity_e8, 1000050000000);
    assert_int_equal(account->risk_free_rate_e8, -500000);
    assert_string_equal(account->currency, "EUR");
    assert_int_equal(account->n_holidays, 2);
    assert_int_equal(account->holidays[0].days, 20089); /* 2025-01-01 */
    assert_int_equal(account->holidays[1].days, 20447); /* 2025-12-25 */
    for (size_t i = 1; i < 3; i++) {
        account = &next_journal(ids[i])->account;
        assert_string_equal(timezone_name(account->zone), "America/New_York");
        assert_int_equal(account->trading_day_start, 0);
        assert_false(account->week_starts_monday);
        assert_false(account->has_starting_equity);
        assert_int_equal(account->risk_free_rate_e8, 2000000);
        assert_string_equal(account->currency, "USD");
        assert_int_equal(account->n_holidays, 0);
    }
    end_reading();
}

static void test_unusable_settings_name_the_user_and_the_others_go_on(void **state)
{
    static const struct {
        const char *user_id, *values, *text;
    } cases[] = {
        {"b0", "'Mars/Olympus', 0, 'sunday', 1, 0, '{}', 'USD'", "timezone 'Mars/Olympus'"},
        {"b1", "'', 0, 'sunday', 1, 0, '{}', 'USD'", "timezone ''"},
        {"b2", "'../passwd', 0, 'sunday', 1, 0, '{}', 'USD'", "timezone '../passwd'"},
        {"b3", "NULL, 24, 'sunday', 1, 0, '{}', 'USD'", "trading_day_start"},
        {"b4", "NULL, 1.5, 'sunday', 1, 0, '{}', 'USD'", "trading_day_start"},
        {"b5", "NULL, NULL, 'fri\nday', 1, 0, '{}', 'USD'", "week_start 'fri?day'"},
        {"b6", "NULL, NULL, NULL, 'NaN', 0, '{}', 'USD'", "starting_equity"},
        {"b7", "NULL, NULL, NULL, NULL, -1, '{}', 'USD'", "risk_free_rate"},
        {"b8", "NULL, NULL, NULL, NULL, NULL, '{2025-01-01,NULL}', 'USD'", "market_holidays"},
        {"b9", "NULL, NULL, NULL, NULL, NULL, '{infinity}', 'USD'", "market_holidays"},
        {"c0", "NULL, NULL, NULL, NULL, NULL, NULL, 'usd'", "currency 'usd'"},
    };
    const char *ids[16] = {"a", "z"};
    size_t n = sizeof cases / sizeof cases[0];
    struct buf sql = BUF_INIT;

    (void)state;
    buf_append_string(
        &sql,
        "DROP VIEW pnlcache.account_settings CASCADE; CREATE VIEW pnlcache.account_settings AS SELECT * FROM (VALUES "
        "('z', NULL, NULL::numeric, NULL, NULL::numeric, NULL::numeric, NULL::date[], NULL)");
    for (size_t i = 0; i < n; i++) {
        buf_append_format(&sql, ", ('%s', %s)", cases[i].user_id, cases[i].values);
        ids[2 + i] = cases[i].user_id;
        add_stock(cases[i].user_id, 1, "2025-03-05T15:00:00Z");
    }
    add_stock("a", 1, "2025-03-05T15:00:00Z");
    add_stock("z", 1, "2025-03-05T15:00:00Z");
    buf_append_string(&sql,
                      ") AS s (user_id, timezone, trading_day_start, week_start, starting_equity, risk_free_rate, "
                      "market_holidays, currency); GRANT SELECT ON pnlcache.account_settings TO pnlcache");
    database_run("%s", sql.data);
    buf_release(&sql);
    begin_reading(n + 2, ids);
    assert_int_equal(next_journal("a")->n_closed, 1);
    for (size_t i = 0; i < n; i++) {
        const struct journal *journal = NULL;
        const char *id = NULL;
        enum status status = trade_reader_next(r.reader, &id, &journal, &err);

        if (status != STATUS_INVALID || strcmp(id, cases[i].user_id) != 0 || journal != NULL ||
            strstr(err.text, cases[i].text) == NULL || strstr(err.text, cases[i].user_id) == NULL)
            fail_msg("case %zu: %s, %s", i, status_name(status), err.text);
    }
    assert_int_equal(next_journal("z")->n_closed, 1);
    assert_no_more();
    end_reading();
}

/* --- faults -------------------------------------------------------------------------------- */

static void fill(int users, int trades)
{
    database_run(
        "INSERT INTO public.stocks (user_id, id, symbol, trade_type, number_shares, entry_price, exit_price, "
        "entry_date, exit_date) SELECT 'u' || lpad((g %% %d)::text, 4, '0'), g, 'S' || g %% 9, 'BUY', 1, 100, 101, "
        "timestamptz '2024-01-01Z' + g * interval '1 minute', "
        "timestamptz '2024-01-01Z' + (g + (g * 7919) %% 10000) * interval '1 minute' "
        "FROM generate_series(1, %d) g; "
        "INSERT INTO public.options (user_id, id, symbol, strategy_type, option_type, strike_price, expiration_date, "
        "number_of_contracts, entry_price, exit_price, entry_date, exit_date, status) "
        "SELECT user_id, id, 'O', 'Long Call', 'Call', 5, '2025-01-01', 1, 1, 2, entry_date, exit_date, 'closed' "
        "FROM public.stocks WHERE id %% 4 = 0; ANALYZE public.stocks; ANALYZE public.options",
        users, trades);
}

static void test_lost_connection_ends_the_reader_for_good(void **state)
{
    static const char *const ids[] = {"u0000", "u0001"};
    const struct journal *journal;
    const char *id;
    int backend;

    (void)state;
    fill(2, 100000);
    r.db = database_open(database_role_url(), 60000, true);
    backend = database_backend(r.db);
    assert_status(db_begin_snapshot(r.db, &r.as_of, &err), STATUS_OK, &err);
    assert_status(trade_reader_open(r.db, 2, ids, r.as_of, &r.reader, &err), STATUS_OK, &err);
    database_run("SELECT pg_terminate_backend(%d)", backend);
    assert_status(trade_reader_next(r.reader, &id, &journal, &err), STATUS_UNAVAILABLE, &err);
    assert_status(trade_reader_next(r.reader, &id, &journal, &err), STATUS_UNAVAILABLE, &err);
    end_reading();
}

static void test_view_that_fails_in_the_middle_is_internal(void **state)
{
    static const char *const ids[] = {"u1"};
    const struct journal *journal;
    const char *id;

    (void)state;
    for (int i = 1; i <= 3; i++)
        add_stock("u1", i, "2025-03-05T15:00:00Z");
    database_run(
        "DROP VIEW pnlcache.stock_trades CASCADE; CREATE VIEW pnlcache.stock_trades AS SELECT user_id, id, symbol, trade_type, "
        "1 / (3 - id) AS number_shares, entry_price, exit_price, entry_date, exit_date, commissions, fees, stop_loss, "
        "initial_risk, take_profit, profit_target, intended_entry_price, mistakes, brokerage_name FROM public.stocks; "
        "GRANT SELECT ON pnlcache.stock_trades TO pnlcache");
    begin_reading(1, ids);
    assert_status(trade_reader_next(r.reader, &id, &journal, &err), STATUS_INTERNAL, &err);
    assert_non_null(strstr(err.text, "division by zero"));
    assert_status(trade_reader_next(r.reader, &id, &journal, &err), STATUS_INTERNAL, &err);
    end_reading();
}

static void test_missing_view_is_said_at_once(void **state)
{
    static const char *const ids[] = {"u1"};
    struct db *db = database_open(database_role_url(), 60000, true);
    struct trade_reader *reader = NULL;
    struct instant as_of;

    (void)state;
    database_run("DROP VIEW pnlcache.option_trades CASCADE");
    assert_status(db_begin_snapshot(db, &as_of, &err), STATUS_OK, &err);
    assert_status(trade_reader_open(db, 1, ids, as_of, &reader, &err), STATUS_INVALID, &err);
    assert_non_null(strstr(err.text, "option_trades"));
    assert_null(reader);
    db_end(db);
    db_free(&db);
}

/* --- the plan ------------------------------------------------------------------------------ */

/* Neither one user nor a batch may cost a sort: the indexes have the order. */
static void test_plan_merges_the_indexes_and_sorts_nothing(void **state)
{
    (void)state;
    fill(400, 100000);
    for (int users = 1; users <= 100; users += 99) {
        struct db *db = database_open(database_role_url(), 60000, true);
        struct buf sql = BUF_INIT, array = BUF_INIT, plan = BUF_INIT;
        struct db_result *result = NULL;

        buf_append_string(&array, "{u0000");
        for (int i = 1; i < users; i++)
            buf_append_format(&array, ",u%04d", i);
        buf_append_string(&array, "}");
        buf_append_string(&sql, "EXPLAIN ");
        trade_reader_append_query(&sql, array.data);
        assert_status(db_query(db, "", sql.data, 0, NULL, &result, &err), STATUS_OK, &err);
        for (size_t i = 0; i < db_result_rows(result); i++) {
            struct db_field line = db_result_field(result, i, 0);
            if (memmem(line.bytes, line.len, "Cond", 4) == NULL)
                buf_append_format(&plan, "%.*s\n", (int)line.len, (const char *)line.bytes);
        }
        if (strstr(plan.data, "Merge Append") == NULL || strstr(plan.data, "using stocks_by_exit") == NULL ||
            strstr(plan.data, "using options_by_exit") == NULL || strstr(plan.data, "Sort  (") != NULL)
            fail_msg("%d users:\n%s", users, plan.data);
        db_result_free(&result);
        buf_release(&sql);
        buf_release(&array);
        buf_release(&plan);
        db_free(&db);
    }
}

#define TEST(f) cmocka_unit_test_setup(f, clear_tables)
#define TEST_OF_VIEWS(f) cmocka_unit_test_setup_teardown(f, clear_tables, restore_views)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_user_is_delivered_once_in_byte_order),
        TEST(test_no_users_is_nothing_to_read),
        TEST(test_list_users_pages_through_all_views),
        TEST(test_trades_keep_their_values),
        TEST(test_equal_exits_come_in_canonical_order),
        TEST(test_deleted_rows_are_invisible),
        TEST_OF_VIEWS(test_foreign_view_values_are_judged_not_fatal),
        TEST(test_settings_are_read_and_default),
        TEST_OF_VIEWS(test_unusable_settings_name_the_user_and_the_others_go_on),
        TEST(test_lost_connection_ends_the_reader_for_good),
        TEST_OF_VIEWS(test_view_that_fails_in_the_middle_is_internal),
        TEST_OF_VIEWS(test_missing_view_is_said_at_once),
        TEST(test_plan_merges_the_indexes_and_sorts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
