/* Groups: the tables of metrics.md 18, digit for digit, and random journals against a brute-force grouping, which
 * builds a journal of its own for each key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/analytics/group.h"
#include "jobs/analytics/report.h"
#include "lib/json/json_reader.h"
#include "tests/support/journal_csv.h"
#include "tests/support/random_numbers.h"
#include "tests/support/worked_examples.h"

#define N_ITEMS(array) (sizeof(array) / sizeof((array)[0]))
#define ALL_DIMENSIONS ((1U << DIMENSIONS) - 1)

/* --- the worked examples --------------------------------------------------------------------------- */

static const char *const members[] = {"total_trades",  "winning_trades", "losing_trades", "total_pnl",
                                      "profit_factor", "observations",   "sharpe_ratio",  "maximum_drawdown"};

struct expected_group {
    const char *dimension, *group;
    const char *values[N_ITEMS(members)];
};

/* Trailing zeros, which carry no meaning in a JSON number, are left out. */
/* clang-format off */
static const struct expected_group example_a_groups[] = {
    {"symbol", "AAPL", {"3", "3", "0", "677.6", "null", "35", "4.736119", "0"}},
    {"symbol", "AMD", {"1", "0", "1", "-301.75", "0", "30", "-2.898275", "301.75"}},
    {"symbol", "BTC", {"1", "1", "0", "96", "null", "26", "3.113247", "0"}},
    {"symbol", "META", {"1", "1", "0", "201.3827", "null", "26", "3.113247", "0"}},
    {"symbol", "MSFT", {"1", "0", "0", "0", "null", "33", "null", "0"}},
    {"symbol", "NVDA", {"1", "0", "1", "-101", "0", "32", "-2.806243", "101"}},
    {"symbol", "TSLA", {"2", "0", "2", "-372.5", "0", "33", "-3.969192", "372.5"}},
    {"trade_direction", "Bearish", {"2", "0", "2", "-483.25", "0", "33", "-3.845841", "483.25"}},
    {"trade_direction", "Bullish", {"8", "5", "2", "682.9827", "3.338982", "36", "3.638594", "191"}},
    {"holding_time", "1d_7d", {"4", "2", "2", "8.2827", "1.022235", "33", "0.059778", "191"}},
    {"holding_time", "2h_1d", {"3", "2", "0", "345", "null", "36", "3.453676", "0"}},
    {"holding_time", "30m_2h", {"1", "0", "1", "-301.75", "0", "30", "-2.898275", "301.75"}},
    {"holding_time", "5m_30m", {"1", "0", "1", "-101", "0", "32", "-2.806243", "101"}},
    {"holding_time", "7d_28d", {"1", "1", "0", "249.2", "null", "30", "2.898275", "0"}},
    {"position_size", "10k_25k", {"2", "1", "1", "-52.75", "0.825186", "35", "-0.356685", "301.75"}},
    {"position_size", "1k_5k", {"5", "3", "1", "285.7827", "2.496245", "34", "2.2502", "191"}},
    {"position_size", "5k_10k", {"3", "1", "2", "-33.3", "0.882124", "33", "-0.279368", "282.5"}},
    {"tag", "crypto", {"1", "1", "0", "96", "null", "26", "3.113247", "0"}},
    {"tag", "momentum", {"3", "3", "0", "677.6", "null", "35", "4.736119", "0"}},
    {"tag", "swing", {"2", "2", "0", "450.5827", "null", "30", "4.146389", "0"}},
    {"day_of_week", "Friday", {"2", "2", "0", "380.7827", "null", "26", "4.485495", "0"}},
    {"day_of_week", "Monday", {"3", "2", "1", "196.45", "1.651036", "35", "2.059164", "52.55"}},
    {"day_of_week", "Sunday", {"1", "1", "0", "96", "null", "26", "3.113247", "0"}},
    {"day_of_week", "Thursday", {"1", "0", "1", "-101", "0", "32", "-2.806243", "101"}},
    {"day_of_week", "Tuesday", {"1", "0", "1", "-191", "0", "24", "-3.24037", "191"}},
    {"day_of_week", "Wednesday", {"2", "0", "1", "-181.5", "0", "33", "-2.763397", "181.5"}},
    {"month", "2025-02", {"4", "1", "2", "-33.5", "0.881416", "35", "-0.273269", "282.5"}},
    {"month", "2025-03", {"6", "4", "2", "233.2327", "1.473329", "31", "1.892815", "191"}},
    {"hour", "00", {"1", "1", "0", "96", "null", "26", "3.113247", "0"}},
    {"hour", "09", {"5", "2", "3", "-165.35", "0.721516", "35", "-0.909576", "593.75"}},
    {"hour", "10", {"4", "2", "1", "269.0827", "2.482549", "33", "2.004763", "181.5"}},
};

static const struct expected_group example_b_groups[] = {
    {"strategy", "Cash-Secured Put", {"2", "2", "0", "483.05", "null", "99", "2.204342", "0"}},
    {"strategy", "Covered Call", {"1", "1", "0", "119.35", "null", "86", "1.711792", "0"}},
    {"strategy", "Long Call", {"4", "3", "1", "540", "81", "118", "2.194101", "6.75"}},
    {"strategy", "Long Put", {"1", "0", "1", "-500.65", "0", "66", "-1.954017", "500.65"}},
    {"strategy", "Short Strangle", {"1", "0", "1", "-502.6", "0", "30", "-2.898275", "502.6"}},
    {"side", "long", {"5", "3", "2", "39.35", "1.077552", "118", "0.092722", "507.4"}},
    {"side", "short", {"4", "3", "1", "99.8", "1.198567", "99", "0.25364", "502.6"}},
    {"option_type", "Call", {"6", "4", "2", "156.75", "1.307745", "118", "0.361841", "509.35"}},
    {"option_type", "Put", {"3", "2", "1", "-17.6", "0.964846", "99", "-0.045683", "500.65"}},
    {"dte", "0dte", {"1", "0", "1", "-6.75", "0", "5", "-7.099296", "6.75"}},
    {"dte", "31_60", {"2", "2", "0", "483.05", "null", "99", "2.204342", "0"}},
    {"dte", "8_30", {"6", "4", "2", "-337.15", "0.663942", "118", "-0.609827", "1003.25"}},
    {"trade_direction", "Bearish", {"1", "0", "1", "-500.65", "0", "66", "-1.954017", "500.65"}},
    {"trade_direction", "Bullish", {"6", "5", "1", "1023.05", "152.562963", "118", "3.00629", "6.75"}},
    {"trade_direction", "Neutral", {"2", "1", "1", "-383.25", "0.237465", "86", "-1.26664", "502.6"}},
    {"symbol", "AAPL", {"1", "1", "0", "119.35", "null", "86", "1.711792", "0"}},
    {"symbol", "AMD", {"1", "1", "0", "299.35", "null", "47", "2.315535", "0"}},
    {"symbol", "MRUT", {"1", "1", "0", "50", "null", "3", "9.165151", "0"}},
    {"symbol", "MSFT", {"1", "1", "0", "199.35", "null", "1", "null", "0"}},
    {"symbol", "NVDA", {"1", "0", "1", "-502.6", "0", "30", "-2.898275", "502.6"}},
    {"symbol", "QQQ", {"1", "1", "0", "183.7", "null", "99", "1.595448", "0"}},
    {"symbol", "SPY", {"2", "1", "1", "290.65", "44.059259", "118", "1.427554", "6.75"}},
    {"symbol", "TSLA", {"1", "0", "1", "-500.65", "0", "66", "-1.954017", "500.65"}},
    {"time_period", "Today", {"1", "1", "0", "199.35", "null", "1", "null", "0"}},
    {"time_period", "Last 7 Days", {"3", "2", "1", "242.6", "36.940741", "5", "8.818488", "6.75"}},
    {"time_period", "Last 30 Days", {"3", "2", "1", "242.6", "36.940741", "22", "4.030616", "6.75"}},
    {"time_period", "Last 90 Days", {"5", "3", "2", "39.35", "1.077255", "65", "0.12399", "509.35"}},
    {"time_period", "Last 6 Months", {"9", "6", "3", "139.15", "1.137772", "118", "0.23054", "710.65"}},
    {"time_period", "Last Year", {"9", "6", "3", "139.15", "1.137772", "118", "0.23054", "710.65"}},
    {"time_period", "Year to Date", {"9", "6", "3", "139.15", "1.137772", "118", "0.23054", "710.65"}},
    {"time_period", "All Time", {"9", "6", "3", "139.15", "1.137772", "118", "0.23054", "710.65"}},
};
/* clang-format on */

struct example {
    struct account account;
    struct journal journal;
    struct annotations annotations;
    struct buf text;
};

static struct text_ref text_of(const char *text)
{
    return (struct text_ref){text, strlen(text)};
}

static void begin_example(struct example *e, bool options, const char *csv, const char *as_of)
{
    *e = (struct example){.text = BUF_INIT};
    assert_int_equal(account_init_default(&e->account, NULL), STATUS_OK);
    e->account.has_starting_equity = !options;
    e->account.starting_equity_e8 = 10000 * MONEY_SCALE;
    annotations_init(&e->annotations);
    journal_init(&e->journal);
    e->journal.keep_details = true;
    journal_begin(&e->journal, &e->account, instant_of(as_of));
    journal_add_csv(&e->journal, options, csv);
    journal_finish(&e->journal);
}

static void end_example(struct example *e)
{
    journal_release(&e->journal);
    annotations_release(&e->annotations);
    buf_release(&e->text);
}

static void add_tag(struct example *e, int64_t trade, const char *name)
{
    assert_int_equal(annotations_add_tag(&e->annotations, false, trade, text_of(name)), STATUS_OK);
}

static void begin_a(struct example *e)
{
    begin_example(e, false, example_a_csv, "2025-04-11T20:00:00Z");
    add_tag(e, 6, "swing");
    add_tag(e, 8, "crypto");
    add_tag(e, 1, " momentum");
    add_tag(e, 6, "momentum");
    add_tag(e, 6, "momentum "); /* in another category, perhaps */
    add_tag(e, 10, "momentum");
    add_tag(e, 7, "swing");
    add_tag(e, 11, "open"); /* an open trade */
    add_tag(e, 12, "gone"); /* a deleted one */
    assert_int_equal(annotations_add_tag(&e->annotations, true, 1, text_of("option")), STATUS_OK);
    assert_int_equal(annotations_add_playbook(&e->annotations, 3, text_of("Breakout"), 0), STATUS_OK);
    for (int64_t id = 10; id > 0; id -= 3 + (id < 8)) {
        struct trade_link link = {.trade_id = id == 7 ? 6 : id == 3 ? 1 : id};

        assert_int_equal(annotations_add_playbook_link(&e->annotations, &link, 3), STATUS_OK);
        assert_int_equal(annotations_add_playbook_link(&e->annotations, &link, 4), STATUS_OK);
    }
    annotations_finish(&e->annotations);
}

static const char *grouped_for(struct example *e, enum asset asset, enum range_name name, unsigned dimensions)
{
    struct range_request request = {.name = name};
    struct time_range range = time_range_resolve(&request, e->journal.today);
    struct json_document *document = NULL;
    struct err err = {.text = ""};
    struct json_writer w;

    buf_clear(&e->text);
    json_init(&w, &e->text);
    assert_int_equal(group_write(&e->journal, &e->annotations, asset, &range, dimensions, &w, &err), STATUS_OK);
    assert_false(e->text.failed);
    if (json_parse(e->text.data, e->text.len, &document, &err) != STATUS_OK)
        fail_msg("%s", err.text);
    json_document_free(&document);
    return e->text.data;
}

static const char *grouped(struct example *e, const char *dimension)
{
    enum dimension d;

    assert_int_equal(dimension_parse(dimension, strlen(dimension), &d), STATUS_OK);
    return grouped_for(e, ASSET_ALL, RANGE_ALL_TIME, DIMENSION_BIT(d));
}

/* The value of a member of the group as it is written; "" without such a group. */
static const char *value_of(const char *json, const char *group, const char *name)
{
    static char value[64];
    char wanted[128];
    const char *at;

    value[0] = '\0';
    snprintf(wanted, sizeof wanted, "\"%s\":{\"group_name\":", group);
    at = strstr(json, wanted);
    snprintf(wanted, sizeof wanted, "\"%s\":", name);
    at = at == NULL ? NULL : strstr(at, wanted);
    if (at != NULL) {
        at += strlen(wanted);
        snprintf(value, sizeof value, "%.*s", (int)strcspn(at, ",}"), at);
    }
    return value;
}

static size_t count_groups(const char *json)
{
    size_t n = 0;

    while ((json = strstr(json, "{\"group_name\":")) != NULL) {
        json++;
        n++;
    }
    return n;
}

static void check_groups(struct example *e, const struct expected_group *expected, size_t n)
{
    const char *json = "", *dimension = "";
    size_t wrong = 0, of_dimension = 0;

    for (size_t i = 0; i < n; i++) {
        const struct expected_group *group = &expected[i];

        if (strcmp(dimension, group->dimension) != 0) {
            assert_int_equal(count_groups(json), of_dimension);
            json = grouped(e, group->dimension);
            dimension = group->dimension;
            of_dimension = 0;
        }
        of_dimension++;
        for (size_t m = 0; m < N_ITEMS(members); m++) {
            const char *value = value_of(json, group->group, members[m]);

            if (strcmp(value, group->values[m]) != 0) {
                print_error("%s %s: %s is %s, expected %s\n", dimension, group->group, members[m], value,
                            group->values[m]);
                wrong++;
            }
        }
    }
    assert_int_equal(count_groups(json), of_dimension);
    assert_int_equal(wrong, 0);
}

static void test_example_a_has_the_published_groups(void **state)
{
    struct example e;

    (void)state;
    begin_a(&e);
    check_groups(&e, example_a_groups, N_ITEMS(example_a_groups));
    end_example(&e);
}

static void test_example_b_has_the_published_groups(void **state)
{
    struct example e;

    (void)state;
    begin_example(&e, true, example_b_csv, "2025-06-20T20:00:00Z");
    check_groups(&e, example_b_groups, N_ITEMS(example_b_groups));
    end_example(&e);
}

static void test_example_a_has_groups_of_the_other_dimensions(void **state)
{
    struct example e;
    const char *json;

    (void)state;
    begin_a(&e);
    json = grouped(&e, "mistake");
    assert_int_equal(count_groups(json), 3);
    assert_string_equal(value_of(json, "held past stop", "total_pnl"), "-191");
    json = grouped(&e, "playbook");
    assert_int_equal(count_groups(json), 1);
    assert_string_equal(value_of(json, "Breakout", "total_pnl"), "677.6");
    assert_string_equal(value_of(grouped(&e, "AssetType"), "stock", "total_trades"), "10");
    assert_string_equal(grouped(&e, "strategy"), "{}");
    assert_string_equal(grouped(&e, "dte"), "{}");
    assert_string_equal(grouped(&e, "brokerage"), "{}");
    /* The account's own equity is no base of a group. */
    assert_string_equal(value_of(grouped(&e, "time_period"), "All Time", "return_basis"), "\"pnl\"");
    assert_string_equal(value_of(e.text.data, "Last 7 Days", "observations"), "5");
    assert_int_equal(count_groups(e.text.data), 8);
    end_example(&e);
}

/* A group has its own history: the range decides only whether, and of which trades, it appears. */
static void test_group_appears_only_with_a_trade_in_the_range(void **state)
{
    struct example e;
    const char *json;

    (void)state;
    begin_a(&e);
    json = grouped_for(&e, ASSET_ALL, RANGE_30D, DIMENSION_BIT(DIMENSION_SYMBOL));
    assert_int_equal(count_groups(json), 1);
    assert_string_equal(value_of(json, "AAPL", "total_pnl"), "179.4");
    assert_string_equal(value_of(json, "AAPL", "observations"), "22");
    assert_string_equal(grouped_for(&e, ASSET_ALL, RANGE_7D, DIMENSION_BIT(DIMENSION_SYMBOL)), "{}");
    assert_string_equal(grouped_for(&e, ASSET_OPTIONS, RANGE_ALL_TIME, DIMENSION_BIT(DIMENSION_SYMBOL)), "{}");
    assert_int_equal(count_groups(grouped_for(&e, ASSET_OPTIONS, RANGE_TODAY, DIMENSION_BIT(DIMENSION_TIME_PERIOD))),
                     8);
    assert_string_equal(value_of(e.text.data, "All Time", "total_trades"), "0");
    end_example(&e);
}

static void test_several_dimensions_prefix_their_keys(void **state)
{
    struct example e;
    const char *json;

    (void)state;
    begin_a(&e);
    json = grouped_for(&e, ASSET_ALL, RANGE_ALL_TIME, ALL_DIMENSIONS);
    assert_string_equal(value_of(json, "symbol:TSLA", "total_pnl"), "-372.5");
    assert_string_equal(value_of(json, "side:short", "total_trades"), "2");
    assert_string_equal(value_of(json, "tag:swing", "group_type"), "\"Tag\"");

    assert_string_equal(value_of(json, "time_period:Last Year", "total_trades"), "10");
    assert_non_null(strstr(json, "\"tag:swing\":{\"group_name\":\"swing\","));
    end_example(&e);
}

static void test_names_are_keys_whatever_they_hold(void **state)
{
    static const char csv[] =
        "id,symbol,trade_type,number_shares,entry_price,exit_price,entry_date,exit_date,mistakes,brokerage_name\n"
        "1,aapl,BUY,1,1,2,2025-02-24T14:35:00Z,2025-02-24T19:10:00Z, late ;; Late;late;\xc3\xa9\"x,IB\n"
        "2,AAPL,BUY,1,1,2,2025-02-24T14:35:00Z,2025-02-24T19:10:00Z, ;\t;late,ib\n";
    struct trade_link link = {.trade_id = 1};
    struct example e;
    const char *json;

    (void)state;
    begin_example(&e, false, csv, "2025-04-11T20:00:00Z");
    assert_int_equal(annotations_add_playbook(&e.annotations, 1, text_of(" \t"), 0), STATUS_OK);
    assert_int_equal(annotations_add_playbook_link(&e.annotations, &link, 1), STATUS_OK);
    assert_int_equal(annotations_add_tag(&e.annotations, false, 1, text_of(" ")), STATUS_OK);
    annotations_finish(&e.annotations);
    assert_int_equal(count_groups(grouped(&e, "playbook")), 0); /* what has no name is no key */
    assert_int_equal(count_groups(grouped(&e, "tag")), 0);
    json = grouped(&e, "mistake");
    assert_int_equal(count_groups(json), 3);
    assert_string_equal(value_of(json, "late", "total_trades"), "2");
    assert_string_equal(value_of(json, "Late", "total_trades"), "1");
    assert_string_equal(value_of(json, "\xc3\xa9\\\"x", "total_trades"), "1");
    assert_true(strstr(json, "\"Late\":") < strstr(json, "\"late\":"));
    assert_int_equal(count_groups(grouped(&e, "brokerage")), 2);
    assert_int_equal(count_groups(grouped(&e, "symbol")), 1);
    end_example(&e);
}

/* --- bounds ---------------------------------------------------------------------------------------- */

static const struct instant bound_exit = {INT64_C(1743516000000000)}; /* 2025-04-01T14:00:00Z */

static struct trade_row bound_row(int64_t id, bool option)
{
    return (struct trade_row){.option = option,
                              .has_id = true,
                              .has_entry = true,
                              .has_exit = true,
                              .has_expiration = true,
                              .id = id,
                              .symbol = text_of("X"),
                              .side = text_of(option ? "long" : "BUY"),
                              .strategy = text_of("Any"),
                              .option_type = text_of("Call"),
                              .status = text_of("closed"),
                              .strike_price = {NUMBER_FINITE, MONEY_SCALE},
                              .quantity = {NUMBER_FINITE, MONEY_SCALE},
                              .entry_price = {NUMBER_FINITE, MONEY_SCALE},
                              .exit_price = {NUMBER_FINITE, MONEY_SCALE},
                              .entry = bound_exit,
                              .exit = bound_exit};
}

/* One trade at each bound and one right below it: two in every group but the first and the last. */
static void check_bounds(const char *dimension, const char *const *groups, size_t n_groups, const int64_t *bounds,
                         void (*set)(struct trade_row *row, int64_t value))
{
    struct example e;
    int64_t id = 0;

    begin_example(&e, false, "id\n", "2025-04-11T20:00:00Z");
    journal_begin(&e.journal, &e.account, instant_of("2025-04-11T20:00:00Z"));
    for (size_t i = 0; i + 1 < n_groups; i++) {
        for (int64_t below_it = 0; below_it < 2; below_it++) {
            struct trade_row row = bound_row(++id, strcmp(dimension, "dte") == 0);

            set(&row, bounds[i] - below_it);
            assert_int_equal(journal_add(&e.journal, &row, NULL), STATUS_OK);
        }
    }
    journal_finish(&e.journal);
    for (size_t i = 0; i < n_groups; i++)
        if (strcmp(value_of(grouped(&e, dimension), groups[i], "total_trades"),
                   i == 0 || i + 1 == n_groups ? "1" : "2") != 0)
            fail_msg("%s %s has %s trades", dimension, groups[i], value_of(e.text.data, groups[i], "total_trades"));
    end_example(&e);
}

static void set_size(struct trade_row *row, int64_t size_e8)
{
    row->entry_price.e8 = size_e8;
}

static void set_hold(struct trade_row *row, int64_t hold_us)
{
    row->entry.us = bound_exit.us - hold_us;
}

static void set_dte(struct trade_row *row, int64_t days)
{
    row->expiration = date_add_days(date_of("2025-04-01"), (int)days);
}

static void test_a_bound_belongs_to_the_group_that_it_begins(void **state)
{
    static const char *const sizes[] = {"under_1k", "1k_5k", "5k_10k", "10k_25k", "25k_50k", "50k_100k", "100k_plus"};
    static const char *const holds[] = {"under_5m", "5m_30m", "30m_2h",  "2h_1d",
                                        "1d_7d",    "7d_28d", "28d_90d", "90d_plus"};
    static const char *const dtes[] = {"0dte", "1_7", "8_30", "31_60", "61_90", "91_plus"};
    static const int64_t minute = 60 * US_PER_SECOND, k = 1000 * MONEY_SCALE;

    (void)state;
    check_bounds("position_size", sizes, N_ITEMS(sizes), (const int64_t[]){k, 5 * k, 10 * k, 25 * k, 50 * k, 100 * k},
                 set_size);
    check_bounds("holding_time", holds, N_ITEMS(holds),
                 (const int64_t[]){5 * minute, 30 * minute, 120 * minute, US_PER_DAY, 7 * US_PER_DAY, 28 * US_PER_DAY,
                                   90 * US_PER_DAY},
                 set_hold);
    check_bounds("dte", dtes, N_ITEMS(dtes), (const int64_t[]){1, 8, 31, 61, 91}, set_dte);
}

static void test_empty_journal_has_no_groups_but_periods(void **state)
{
    struct example e;
    const char *json;

    (void)state;
    begin_example(&e, false, "id\n", "2025-04-11T20:00:00Z");
    json = grouped_for(&e, ASSET_ALL, RANGE_ALL_TIME, ALL_DIMENSIONS & ~DIMENSION_BIT(DIMENSION_TIME_PERIOD));
    assert_string_equal(json, "{}");
    json = grouped(&e, "time_period");
    assert_int_equal(count_groups(json), 8);
    assert_string_equal(value_of(json, "Today", "sharpe_ratio"), "null");
    assert_string_equal(value_of(json, "All Time", "observations"), "0");
    end_example(&e);
}

static void test_dimension_parse_takes_the_spellings_of_older_clients(void **state)
{
    static const struct {
        const char *text;
        enum dimension dimension;
    } good[] = {{"symbol", DIMENSION_SYMBOL},
                {"SYMBOL", DIMENSION_SYMBOL},
                {"TradeDirection", DIMENSION_TRADE_DIRECTION},
                {"trade_direction", DIMENSION_TRADE_DIRECTION},
                {"days_to_expiration", DIMENSION_DTE},
                {"DaysToExpiration", DIMENSION_DTE},
                {"TimePeriod", DIMENSION_TIME_PERIOD}};
    static const char *const bad[] = {"", "_", "symbols", "symbo", "trade-direction", "dte "};
    enum dimension d;

    (void)state;
    for (size_t i = 0; i < N_ITEMS(good); i++) {
        assert_int_equal(dimension_parse(good[i].text, strlen(good[i].text), &d), STATUS_OK);
        assert_int_equal(d, good[i].dimension);
    }
    for (size_t i = 0; i < N_ITEMS(bad); i++)
        if (dimension_parse(bad[i], strlen(bad[i]), &d) == STATUS_OK)
            fail_msg("'%s' was taken for %s", bad[i], dimension_name(d));
    for (int i = 1; i < DIMENSIONS; i++)
        assert_true(strcmp(dimension_name((enum dimension)(i - 1)), dimension_name((enum dimension)i)) < 0);
}

/* --- random journals ------------------------------------------------------------------------------- */

#define MAX_TRADES 400
#define MAX_KEYS 8
#define KEY_SIZE 32

static struct trade_row rows[MAX_TRADES];
static char tags[MAX_TRADES][MAX_KEYS][KEY_SIZE], playbooks[MAX_TRADES][MAX_KEYS][KEY_SIZE];
static size_t n_tags[MAX_TRADES], n_playbooks[MAX_TRADES];
static size_t n_rows;

static const char *const some_symbols[] = {"A", "AB", "B", "Z", "a:b", "\xc3\xa4"};
static const char *const some_texts[] = {"Long Call", "call", "Call", "x;y", " ", "\xf0\x9f\x98\x80"};
static const char *const some_mistakes[] = {"fomo", " fomo ;late", ";,", "late,late;early", "a,b,c,d,e", "Fomo"};
static const char *const some_tags[] = {"t1", "t2", "t10", "T1"};
static const char *const some_playbooks[] = {"Gap", "Breakout", "Fade", "gap"};

static struct number e8(int64_t value)
{
    return (struct number){.state = NUMBER_FINITE, .e8 = value};
}

static struct text_ref one_of(const char *const *texts, size_t n)
{
    return text_of(texts[below((int64_t)n)]);
}
#define ONE_OF(texts) one_of(texts, N_ITEMS(texts))

static void make_row(size_t i, struct instant as_of, int64_t span_days)
{
    static const char *const stock_sides[] = {"BUY", "SELL"}, *const option_sides[] = {"long", "short"};
    static const char *const types[] = {"Call", "Put"}, *const directions[] = {"Bullish", "Bearish", "Neutral"};
    static const int64_t holds_s[] = {0, 299, 300, 1800, 7199, 7200, 86399, 86400, 604800, 2419200, 7776000};
    struct trade_row *row = &rows[i];

    *row = (struct trade_row){.option = below(2) == 0, .has_id = true, .has_entry = true, .has_exit = true};
    row->id = 1 + (int64_t)(i / 2); /* a share and an option trade may have one id */
    row->option = i % 2 == 1;
    row->exit.us = as_of.us - below(span_days * 24 + 1) * 3600 * US_PER_SECOND;
    row->entry.us = row->exit.us - holds_s[below((int64_t)N_ITEMS(holds_s))] * US_PER_SECOND;
    row->symbol = ONE_OF(some_symbols);
    row->side = row->option ? ONE_OF(option_sides) : ONE_OF(stock_sides);
    row->quantity = e8((row->option ? 1 : 1 + below(2000)) * MONEY_SCALE);
    row->entry_price = e8((50 + below(3) * 25) * MONEY_SCALE);
    row->exit_price = e8((50 + below(3) * 25) * MONEY_SCALE);
    row->commissions = e8(below(2) * MONEY_SCALE);
    if (below(2) == 0)
        row->brokerage = ONE_OF(some_texts);
    if (below(2) == 0)
        row->mistakes = ONE_OF(some_mistakes);
    if (!row->option)
        return;
    row->multiplier = e8(10 * MONEY_SCALE);
    row->strategy = ONE_OF(some_texts);
    row->option_type = ONE_OF(types);
    row->status = text_of("closed");
    row->strike_price = e8(MONEY_SCALE);
    row->has_expiration = true;
    row->expiration = (struct date){(int32_t)(row->entry.us / US_PER_DAY) + (int32_t)below(100) - 3};
    if (below(2) == 0)
        row->trade_direction = ONE_OF(directions);
}

static void link_row(size_t i, struct annotations *a)
{
    n_tags[i] = (size_t)below(4);
    for (size_t k = 0; k < n_tags[i]; k++) {
        snprintf(tags[i][k], KEY_SIZE, "%s", some_tags[below((int64_t)N_ITEMS(some_tags))]);
        assert_int_equal(annotations_add_tag(a, rows[i].option, rows[i].id, text_of(tags[i][k])), STATUS_OK);
    }
    n_playbooks[i] = (size_t)below(3);
    for (size_t k = 0; k < n_playbooks[i]; k++) {
        int64_t playbook = below((int64_t)N_ITEMS(some_playbooks));
        struct trade_link link = {.option = rows[i].option, .trade_id = rows[i].id};

        snprintf(playbooks[i][k], KEY_SIZE, "%s", some_playbooks[playbook]);
        assert_int_equal(annotations_add_playbook_link(a, &link, playbook), STATUS_OK);
    }
}

static const char *bucket(double value, const double *bounds, const char *const *names)
{
    size_t i = 0;

    while (names[i + 1] != NULL && value >= bounds[i])
        i++;
    return names[i];
}

static size_t split_mistakes(struct text_ref list, char keys[MAX_KEYS][KEY_SIZE])
{
    char copy[64], *rest, *entry;
    size_t n = 0;

    if (list.bytes == NULL)
        return 0;
    snprintf(copy, sizeof copy, "%.*s", (int)list.len, list.bytes);
    for (entry = strtok_r(copy, ",; ", &rest); entry != NULL; entry = strtok_r(NULL, ",; ", &rest))
        snprintf(keys[n++], KEY_SIZE, "%s", entry);
    return n;
}

static size_t copy_keys(char keys[MAX_KEYS][KEY_SIZE], char from[MAX_KEYS][KEY_SIZE], size_t n)
{
    memcpy(keys, from, n * KEY_SIZE);
    return n;
}

/* The keys of row i, straight from metrics.md 12. */
static size_t keys_of(size_t i, enum dimension d, const struct account *account, char keys[MAX_KEYS][KEY_SIZE])
{
    static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                           "Thursday", "Friday", "Saturday"};
    const struct trade_row *row = &rows[i];
    bool is_short = strcmp(row->side.bytes, "SELL") == 0 || strcmp(row->side.bytes, "short") == 0;
    bool put = row->option && strcmp(row->option_type.bytes, "Put") == 0;
    struct date exit_day = trading_day(account->zone, account->trading_day_start, row->exit);
    struct date entry_day = trading_day(account->zone, account->trading_day_start, row->entry);
    double hold = (double)(row->exit.us - row->entry.us) / (double)US_PER_SECOND;
    double size = (double)row->entry_price.e8 / 1e8 * (double)row->quantity.e8 / 1e8 * (row->option ? 10 : 1);
    const char *key = NULL;

    switch (d) {
    case DIMENSION_ASSET_TYPE: key = row->option ? "option" : "stock"; break;
    case DIMENSION_BROKERAGE: key = row->brokerage.bytes; break;
    case DIMENSION_DAY_OF_WEEK: key = weekdays[(exit_day.days % 7 + 11) % 7]; break; /* 1970-01-01: Thursday */
    case DIMENSION_DTE:
        if (row->option)
            key = bucket((double)row->expiration.days - entry_day.days, (const double[]){1, 8, 31, 61, 91},
                         (const char *const[]){"0dte", "1_7", "8_30", "31_60", "61_90", "91_plus", NULL});
        break;
    case DIMENSION_HOLDING_TIME:
        key = bucket(hold, (const double[]){300, 1800, 7200, 86400, 7 * 86400, 28 * 86400, 90 * 86400},
                     (const char *const[]){"under_5m", "5m_30m", "30m_2h", "2h_1d", "1d_7d", "7d_28d", "28d_90d",
                                           "90d_plus", NULL});
        break;
    case DIMENSION_HOUR:
        snprintf(keys[0], KEY_SIZE, "%02d", timezone_to_local(account->zone, row->entry).hour);
        return 1;
    case DIMENSION_MISTAKE: return split_mistakes(row->mistakes, keys);
    case DIMENSION_MONTH:
        snprintf(keys[0], KEY_SIZE, "%04d-%02d", date_to_civil(exit_day).year, date_to_civil(exit_day).month);
        return 1;
    case DIMENSION_OPTION_TYPE: key = !row->option ? NULL : put ? "Put" : "Call"; break;
    case DIMENSION_PLAYBOOK: return copy_keys(keys, playbooks[i], n_playbooks[i]);
    case DIMENSION_POSITION_SIZE:
        key = bucket(
            size, (const double[]){1e3, 5e3, 1e4, 25e3, 5e4, 1e5},
            (const char *const[]){"under_1k", "1k_5k", "5k_10k", "10k_25k", "25k_50k", "50k_100k", "100k_plus", NULL});
        break;
    case DIMENSION_SIDE: key = is_short ? "short" : "long"; break;
    case DIMENSION_STRATEGY: key = row->option ? row->strategy.bytes : NULL; break;
    case DIMENSION_SYMBOL:
        snprintf(keys[0], KEY_SIZE, "%s", row->symbol.bytes);
        for (char *c = keys[0]; *c != '\0'; c++)
            if (*c >= 'a' && *c <= 'z')
                *c = (char)(*c - 32);
        return 1;
    case DIMENSION_TAG: return copy_keys(keys, tags[i], n_tags[i]);
    case DIMENSION_TRADE_DIRECTION:
        key = row->trade_direction.bytes != NULL ? row->trade_direction.bytes : is_short == put ? "Bullish" : "Bearish";
        break;
    case DIMENSION_TIME_PERIOD:
    case DIMENSIONS: break;
    }
    if (key == NULL)
        return 0;
    snprintf(keys[0], KEY_SIZE, "%s", key);
    return 1;
}

static bool has_key(size_t i, enum dimension d, const struct account *account, const char *key)
{
    char keys[MAX_KEYS][KEY_SIZE];
    size_t n = keys_of(i, d, account, keys);

    for (size_t k = 0; k < n; k++)
        if (strcmp(keys[k], key) == 0)
            return true;
    return false;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Every key of the dimension once, ascending. */
static size_t all_keys(enum dimension d, const struct account *account, char all[][KEY_SIZE])
{
    size_t n = 0, kept = 0;

    for (size_t i = 0; i < n_rows; i++)
        n += keys_of(i, d, account, &all[n]);
    qsort(all, n, KEY_SIZE, compare_keys);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || strcmp(all[kept - 1], all[i]) != 0)
            memmove(all[kept++], all[i], KEY_SIZE);
    return kept;
}

static bool has_asset(enum asset asset, const struct trade_row *row)
{
    return asset == ASSET_ALL || row->option == (asset == ASSET_OPTIONS);
}

struct one_group {
    enum dimension dimension;
    const char *type, *key; /* key NULL: every trade */
    enum asset asset;
    struct account account; /* without a starting equity */
    struct instant as_of;
};

/* The group as a journal of its own, every trade judged again. */
static void write_one_group(const struct one_group *one, const char *name, const struct time_range *range,
                            struct json_writer *w)
{
    struct journal j;
    struct report *report;
    size_t n_in_range = 0;

    journal_init(&j);
    journal_begin(&j, &one->account, one->as_of);
    for (size_t i = 0; i < n_rows; i++)
        if (has_asset(one->asset, &rows[i]) &&
            (one->key == NULL || has_key(i, one->dimension, &one->account, one->key)))
            assert_int_equal(journal_add(&j, &rows[i], NULL), STATUS_OK);
    journal_finish(&j);
    for (size_t i = 0; i < j.n_closed; i++)
        n_in_range += (!range->has_start || j.closed[i].exit_day.days >= range->start.days) &&
                      j.closed[i].exit_day.days <= range->end.days;
    if (n_in_range > 0 || one->key == NULL) {
        assert_int_equal(report_new(&report, NULL), STATUS_OK);
        assert_int_equal(report_compute(report, &j, ASSET_ALL, range, 1, NULL), STATUS_OK);
        json_key_text(w, name, strlen(name));
        json_object_begin(w);
        json_key(w, "group_name");
        json_string(w, name);
        json_key(w, "group_type");
        json_string(w, one->type);
        json_key(w, "core_metrics");
        report_write_core(report, 0, w);
        json_key(w, "risk_metrics");
        report_write_risk(report, 0, w);
        json_key(w, "performance_metrics");
        report_write_performance_metrics(report, 0, w);
        json_object_end(w);
        report_free(&report);
    }
    journal_release(&j);
}

static void write_by_brute_force(struct one_group *one, const struct time_range *range, struct date today,
                                 struct json_writer *w)
{
    static const char *const types[DIMENSIONS] = {
        "AssetType", "Brokerage", "DayOfWeek",  "Dte",        "HoldingTime",   "Hour",
        "Mistake",   "Month",     "OptionType", "Playbook",   "PositionSize",  "Side",
        "Strategy",  "Symbol",    "Tag",        "TimePeriod", "TradeDirection"};
    static const char *const periods[] = {"Today",         "Last 7 Days", "Last 30 Days", "Last 90 Days",
                                          "Last 6 Months", "Last Year",   "Year to Date", "All Time"};
    static char keys[MAX_TRADES * MAX_KEYS][KEY_SIZE];
    size_t n = all_keys(one->dimension, &one->account, keys);

    one->type = types[one->dimension];
    json_object_begin(w);
    for (size_t k = 0; k < n; k++) {
        one->key = keys[k];
        write_one_group(one, keys[k], range, w);
    }
    one->key = NULL;
    for (int i = 0; one->dimension == DIMENSION_TIME_PERIOD && i < RANGE_PRESETS; i++) {
        struct range_request request = {.name = (enum range_name)i};
        struct time_range preset = time_range_resolve(&request, today);

        write_one_group(one, periods[i], &preset, w);
    }
    json_object_end(w);
}

static struct time_range random_range(struct date today, int64_t span_days)
{
    struct range_request request = {.name = (enum range_name)below(RANGE_CUSTOM + 1)};

    request.has_start = below(3) != 0;
    request.has_end = below(2) == 0;
    request.end = date_add_days(today, (int)-below(span_days + 1));
    request.start = date_add_days(request.end, (int)-below(span_days + 1));
    return time_range_resolve(&request, today);
}

static void check_random_journal(uint64_t seed, size_t n, int64_t span_days)
{
    struct example e = {.text = BUF_INIT};
    struct one_group one = {.as_of = instant_of("2025-04-11T20:00:00Z")};
    struct buf expected = BUF_INIT;

    random_state = seed * 2654435761U + 88172645463325252U;
    n_rows = n;
    assert_int_equal(account_init_default(&e.account, NULL), STATUS_OK);
    e.account.trading_day_start = (int)below(24);
    one.account = e.account;
    e.account.has_starting_equity = true;
    e.account.starting_equity_e8 = 100000 * MONEY_SCALE;
    annotations_init(&e.annotations);
    for (size_t i = 0; i < N_ITEMS(some_playbooks); i++)
        assert_int_equal(annotations_add_playbook(&e.annotations, (int64_t)i, text_of(some_playbooks[i]), 0),
                         STATUS_OK);
    journal_init(&e.journal);
    e.journal.keep_details = true;
    journal_begin(&e.journal, &e.account, one.as_of);
    for (size_t i = 0; i < n; i++) {
        make_row(i, one.as_of, span_days);
        link_row(i, &e.annotations);
        assert_int_equal(journal_add(&e.journal, &rows[i], NULL), STATUS_OK);
    }
    journal_finish(&e.journal);
    annotations_finish(&e.annotations);
    for (int d = 0; d < DIMENSIONS; d++) {
        struct time_range range = random_range(e.journal.today, span_days);
        struct json_writer w;

        one.dimension = (enum dimension)d;
        one.asset = (enum asset)below(3);
        buf_clear(&expected);
        json_init(&w, &expected);
        write_by_brute_force(&one, &range, e.journal.today, &w);
        buf_clear(&e.text);
        json_init(&w, &e.text);
        assert_int_equal(group_write(&e.journal, &e.annotations, one.asset, &range, DIMENSION_BIT(d), &w, NULL),
                         STATUS_OK);
        if (strcmp(e.text.data, expected.data) != 0)
            fail_msg("seed %llu, %zu trades: the groups of %s differ", (unsigned long long)seed, n,
                     dimension_name((enum dimension)d));
    }
    buf_release(&expected);
    end_example(&e);
}

static void test_random_journals_have_the_groups_of_brute_force(void **state)
{
    (void)state;
    random_state = 1;
    for (uint64_t seed = 1; seed <= 12; seed++)
        check_random_journal(seed, (size_t)below(60), 1 + (int64_t)(seed % 4) * 40);
    check_random_journal(100, MAX_TRADES, 400);
    check_random_journal(101, 2, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_a_has_the_published_groups),
        cmocka_unit_test(test_example_b_has_the_published_groups),
        cmocka_unit_test(test_example_a_has_groups_of_the_other_dimensions),
        cmocka_unit_test(test_group_appears_only_with_a_trade_in_the_range),
        cmocka_unit_test(test_several_dimensions_prefix_their_keys),
        cmocka_unit_test(test_names_are_keys_whatever_they_hold),
        cmocka_unit_test(test_a_bound_belongs_to_the_group_that_it_begins),
        cmocka_unit_test(test_empty_journal_has_no_groups_but_periods),
        cmocka_unit_test(test_dimension_parse_takes_the_spellings_of_older_clients),
        cmocka_unit_test(test_random_journals_have_the_groups_of_brute_force),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
