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
#include "tests/support/random_numbers.h"

static void all_sections(struct report *report, struct journal *j, struct buf *out)
{
    struct time_range ranges[RANGE_PRESETS];
    struct json_writer w;

    for (size_t i = 0; i < RANGE_PRESETS; i++) {
        struct range_request preset = {.name = (enum range_name)i};

        ranges[i] = time_range_resolve(&preset, j->today);
    }
    assert_int_equal(report_compute(report, j, ASSET_ALL, ranges, RANGE_PRESETS, NULL), STATUS_OK);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_order_of_rows_does_not_matter),
        cmocka_unit_test(test_ratios_do_not_depend_on_the_currency_unit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
