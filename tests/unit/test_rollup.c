/* What must not matter: the order of rows, the unit of the currency, the size of amounts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/brute_force.h"
#include "tests/support/json_text.h"
#include "tests/support/random_numbers.h"

static void resolve_presets(const struct journal *j, struct time_range *ranges)
{
    for (size_t i = 0; i < RANGE_PRESETS; i++) {
        struct range_request preset = {.name = (enum range_name)i};

        ranges[i] = time_range_resolve(&preset, j->today);
    }
}

static void compute_presets(struct report *report, struct journal *j, enum asset asset)
{
    struct time_range ranges[RANGE_PRESETS];

    resolve_presets(j, ranges);
    assert_int_equal(report_compute(report, j, asset, ranges, RANGE_PRESETS, NULL), STATUS_OK);
}

static void all_sections(struct report *report, struct journal *j, struct buf *out)
{
    struct json_writer w;

    compute_presets(report, j, ASSET_ALL);
    buf_clear(out);
    for (size_t i = 0; i < RANGE_PRESETS; i++) {
        json_init(&w, out);
        report_write_summary(report, i, &w);
        assert_int_equal(report_compute_time_series(report, i, NULL), STATUS_OK);
        report_write_time_series(report, &w);
    }
}

static void test_the_order_of_rows_does_not_matter(void **state)
{
    struct journal j;
    struct report *report;
    struct buf first = BUF_INIT, second = BUF_INIT;

    (void)state;
    random_state = 99;
    journal_init(&j);
    assert_int_equal(report_new(&report, NULL), STATUS_OK);
    set_account("America/New_York", 0, "2025-03-12T20:00:00Z", 100000);
    make_journal(700, 400, MONEY_SCALE);
    load(&j);
    all_sections(report, &j, &first);
    for (size_t i = n_trades; i-- > 1;) {
        size_t other = (size_t)below((int64_t)i + 1);
        struct trade_row row = rows[i];

        rows[i] = rows[other];
        rows[other] = row;
    }
    load(&j);
    all_sections(report, &j, &second);
    assert_string_equal(first.data, second.data);
    buf_release(&first);
    buf_release(&second);
    report_free(&report);
    journal_release(&j);
}

/* Reads the rows of these asset classes alone. */
static void load_kinds(struct journal *j, bool stocks, bool options)
{
    journal_begin(j, &account, as_of);
    for (size_t i = 0; i < n_trades; i++)
        if (rows[i].option ? options : stocks)
            assert_int_equal(journal_add(j, &rows[i], NULL), STATUS_OK);
    journal_finish(j);
}

/* What a precomputed document of all trades may be taken from: sections and meta. */
static void documents_of(struct report *report, struct journal *j, enum asset asset, struct buf *out)
{
    struct json_writer w;
    size_t start, end;

    compute_presets(report, j, asset);
    buf_clear(out);
    json_init(&w, out);
    json_array_begin(&w);
    for (size_t i = 0; i < RANGE_PRESETS; i++) {
        report_write_core(report, i, &w);
        report_write_risk(report, i, &w);
        report_write_performance(report, i, &w);
        report_write_meta(report, i, "u", as_of, &w, &start, &end);
    }
    json_array_end(&w);
}

/* Of stocks, of options, of both, of neither; with and without an equity. */
static void test_one_asset_class_alone_says_what_all_trades_say(void **state)
{
    struct journal j;
    struct report *report;
    struct buf all = BUF_INIT, own = BUF_INIT;

    (void)state;
    random_state = 20;
    journal_init(&j);
    assert_int_equal(report_new(&report, NULL), STATUS_OK);
    for (int kinds = 0; kinds < 4; kinds++) {
        for (int equity = 0; equity < 2; equity++) {
            set_account("America/New_York", 0, "2025-03-12T20:00:00Z", equity * 100000);
            make_journal(300, 400, MONEY_SCALE);
            load_kinds(&j, kinds % 2 != 0, kinds / 2 != 0);
            for (int asset = ASSET_STOCKS; asset <= ASSET_OPTIONS; asset++) {
                documents_of(report, &j, ASSET_ALL, &all);
                documents_of(report, &j, (enum asset)asset, &own);
                assert_int_equal(report_is_of_all(&j, (enum asset)asset),
                                 equity == 0 && (kinds == 0 || kinds == asset));
                if (report_is_of_all(&j, (enum asset)asset))
                    assert_string_equal(own.data, all.data);
                else if (kinds == 3)
                    assert_string_not_equal(own.data, all.data);
            }
        }
    }
    buf_release(&all);
    buf_release(&own);
    report_free(&report);
    journal_release(&j);
}

static void append_range(struct report *report, struct journal *j, const struct time_range *ranges, size_t n,
                         size_t which, struct buf *out)
{
    struct json_writer w;

    assert_int_equal(report_compute(report, j, ASSET_ALL, ranges, n, NULL), STATUS_OK);
    json_init(&w, out);
    report_write_summary(report, which, &w);
}

/* R multiples of tenths, whose mean over these 128 trades often lies in the middle between two printed numbers: it must not fall to
 * either side by how it was summed. */
static void make_journal_of_ties(void)
{
    make_journal(128, 400, MONEY_SCALE);
    for (size_t i = 0; i < n_trades; i++)
        rows[i].initial_risk = (struct number){NUMBER_FINITE, 10 * MONEY_SCALE};
}

/* A request computes one range, a job all of them; an ETag has to fit both. */
static void test_a_range_alone_is_the_same_as_among_others(void **state)
{
    struct time_range ranges[RANGE_PRESETS];
    struct journal j;
    struct report *report;
    struct buf together = BUF_INIT, alone = BUF_INIT;

    (void)state;
    random_state = 711;
    journal_init(&j);
    assert_int_equal(report_new(&report, NULL), STATUS_OK);
    set_account("America/New_York", 0, "2025-03-12T20:00:00Z", 100000);
    for (size_t round = 0; round < 50; round++) {
        make_journal_of_ties();
        load(&j);
        resolve_presets(&j, ranges);
        for (size_t i = 0; i < RANGE_PRESETS; i++) {
            buf_clear(&together);
            buf_clear(&alone);
            append_range(report, &j, ranges, RANGE_PRESETS, i, &together);
            append_range(report, &j, &ranges[i], 1, 0, &alone);
            assert_string_equal(together.data, alone.data);
        }
    }
    buf_release(&together);
    buf_release(&alone);
    report_free(&report);
    journal_release(&j);
}

static void test_ratios_do_not_depend_on_the_currency_unit(void **state)
{
    static const char *const ratios[] = {"profit_factor", "sharpe_ratio", "k_ratio",    "kelly_criterion",
                                         "edge",          "skewness",     "tail_ratio", "median_r_multiple"};
    struct journal j;
    struct report *report;
    struct buf first = BUF_INIT, second = BUF_INIT;

    (void)state;
    journal_init(&j);
    assert_int_equal(report_new(&report, NULL), STATUS_OK);
    set_account("America/New_York", 0, "2025-03-12T20:00:00Z", 0);
    for (int round = 0; round < 2; round++) {
        random_state = 1234;
        make_journal(500, 400, round == 0 ? MONEY_SCALE : 10 * MONEY_SCALE);
        load(&j);
        all_sections(report, &j, round == 0 ? &first : &second);
    }
    for (size_t i = 0; i < sizeof ratios / sizeof ratios[0]; i++) {
        const char *a, *b;

        document = first.data;
        a = found(ratios[i]);
        document = second.data;
        b = found(ratios[i]);
        assert_true(strcspn(a, ",}") == strcspn(b, ",}") && strncmp(a, b, strcspn(a, ",}")) == 0);
    }
    buf_release(&first);
    buf_release(&second);
    report_free(&report);
    journal_release(&j);
}

/* --- the limits of metrics.md 1.2 ------------------------------------------------------------------ */

static void add_largest_loss(struct journal *j, int64_t id)
{
    const int64_t largest = TRADE_AMOUNT_LIMIT_E8 - 1;
    struct trade_row row = rows[0];

    row.id = id;
    row.quantity = (struct number){NUMBER_FINITE, MONEY_SCALE};
    row.entry_price = row.commissions = row.fees = (struct number){NUMBER_FINITE, largest};
    row.exit_price = (struct number){NUMBER_FINITE, 0};
    row.stop_loss = (struct number){NUMBER_NULL, 0};
    assert_int_equal(journal_add(j, &row, NULL), STATUS_OK);
}

static void test_sums_of_the_largest_amounts_do_not_wrap(void **state)
{
    static const struct expected expected[] = {
        {"total_pnl", "\"-2999999999999999.9970\""}, /* 100,000 x -29999999999.99999997: past 64 bits */
        {"avg_loss", "\"-30000000000.0000\""},
        {"profit_factor", "\"0.000000\""},
        {"avg_position_size", "\"10000000000.0000\""},
        {"gross_loss", "-2999999999999999.997"},
        {"total_costs", "1999999999999999.998"},
        {"edge", "-1"},
        {"maximum_drawdown", "2999999999999999.997"},
        {"recovery_factor", "-1"},
        {"gain_to_pain_ratio", "-1"},
        {"commission_impact_percentage", "200"},
    };
    struct journal j;
    struct report *report;
    struct buf out = BUF_INIT;
    struct json_writer w;
    struct time_range all = {.name = RANGE_ALL_TIME};

    (void)state;
    random_state = 3;
    journal_init(&j);
    assert_int_equal(report_new(&report, NULL), STATUS_OK);
    set_account("UTC", 0, "2025-03-12T20:00:00Z", 0);
    do
        make_journal(1, 1, MONEY_SCALE);
    while (trades[0].option || strcmp(rows[0].side.bytes, "BUY") != 0);
    journal_begin(&j, &account, as_of);
    for (int64_t id = 1; id <= 100000; id++)
        add_largest_loss(&j, id);
    journal_finish(&j);
    all.end = j.today;
    assert_int_equal(report_compute(report, &j, ASSET_STOCKS, &all, 1, NULL), STATUS_OK);
    json_init(&w, &out);
    report_write_summary(report, 0, &w);
    assert_int_equal(check_members(out.data, expected, sizeof expected / sizeof expected[0]), 0);
    assert_null(strstr(out.data, "nan"));
    assert_null(strstr(out.data, "inf"));
    buf_release(&out);
    report_free(&report);
    journal_release(&j);
}

/* One trade more than the sums are made for is refused, not added. */
static void test_more_trades_than_sums_can_hold_are_refused(void **state)
{
    struct journal j;
    struct err err = {.text = ""};

    (void)state;
    random_state = 3;
    set_account("UTC", 0, "2025-03-12T20:00:00Z", 0);
    make_journal(1, 1, MONEY_SCALE);
    journal_init(&j);
    journal_begin(&j, &account, as_of);
    rows[0].exit = INSTANT_NEVER; /* an open one, whose array alone looks this large */
    j.n_open = j.cap_open = JOURNAL_MAX_TRADES;
    assert_int_equal(journal_add(&j, &rows[0], &err), STATUS_LIMIT);
    assert_non_null(strstr(err.text, "trades"));
    j.n_open = j.cap_open = 0;
    journal_release(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_order_of_rows_does_not_matter),
        cmocka_unit_test(test_one_asset_class_alone_says_what_all_trades_say),
        cmocka_unit_test(test_a_range_alone_is_the_same_as_among_others),
        cmocka_unit_test(test_ratios_do_not_depend_on_the_currency_unit),
        cmocka_unit_test(test_sums_of_the_largest_amounts_do_not_wrap),
        cmocka_unit_test(test_more_trades_than_sums_can_hold_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
