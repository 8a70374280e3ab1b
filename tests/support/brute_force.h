/* The definitions of metrics.md 5-11 computed the slow way, straight from the text: one range of a random journal at a time,
 * in 128-bit integers and long double. */
#ifndef PNLCACHE_TESTS_SUPPORT_BRUTE_FORCE_H
#define PNLCACHE_TESTS_SUPPORT_BRUTE_FORCE_H

#include "jobs/analytics/report.h"
#include "tests/support/check_value.h"
#include "tests/support/random_journal.h"

#define MAX_DAYS 60000

/* One asset class and range of the present journal. */
struct selection {
    enum asset asset;
    const struct simple_trade *t[MAX_TRADES]; /* of the range, canonical order */
    size_t n;
    int64_t obs[MAX_DAYS]; /* observation days */
    wide_int p[MAX_DAYS];
    size_t n_obs;
    bool equity;
    wide_int e0;
    int64_t end;
};

extern struct selection sel;

struct sums {
    wide_int wins, losses, n, total, profit, loss, size, risk, gross, turnover;
    wide_int hold, after[3], n_after[3], flawed, flawed_net, n_risk, slippage, n_slippage;
};

/* The equity points of the selection; the first is the start. */
struct points {
    wide_int value[MAX_TRADES + 1];
    int64_t day[MAX_TRADES + 1];
    size_t n;
};

extern struct points points;

int compare_wide(const void *a, const void *b);
int compare_long_double(const void *a, const void *b);
/* Sample standard deviation; NAN below two values. */
long double deviation(const long double *x, size_t n);

typedef void write_section(const struct report *report, size_t range, struct json_writer *w);
/* Writes the section and points `document` at it, until the next call. */
void look_at(write_section *write, const struct report *report, size_t range);

/* Holds a section of a computed range against the selection, its points and sums. */
typedef void check_range(struct report *report, size_t range, const struct sums *s);
struct section_check {
    check_range *check;
};

/* Three tests of a section (their *state: its struct section_check). Journals of 0 to 300 trades under six accounts: known and
 * unknown equity, days that start in the evening, clocks put back across midnight, a day that did not happen; one of
 * MAX_TRADES trades; and one whose sums leave 64 bits. Of each every asset, preset and a random custom range. */
void test_random_journals_agree_with_brute_force(void **state);
void test_a_large_random_journal_agrees_with_brute_force(void **state);
void test_the_largest_amounts_agree_with_brute_force(void **state);
#define BRUTE_FORCE_TESTS(section)                                                                                     \
    cmocka_unit_test_prestate(test_random_journals_agree_with_brute_force, section),                                   \
        cmocka_unit_test_prestate(test_a_large_random_journal_agrees_with_brute_force, section),                       \
        cmocka_unit_test_prestate(test_the_largest_amounts_agree_with_brute_force, section)

#endif
