/* Drawdowns where several are alike (metrics.md 8): equal depths, equal peaks, the longest spell apart from the deepest. Made by
 * hand, a day and a P&L a trade. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/analytics/report.h"
#include "tests/support/journal_csv.h"
#include "tests/support/json_text.h"

#define AS_OF "2025-04-30T20:00:00Z"

struct step {
    int day; /* of April 2025; 0: no more */
    int net;
};

/* clang-format off */
static const struct drawdown_case {
    const char *name, *equity;
    struct step steps[8];
    const char *depth, *percentage, *peak, *trough, *recovery, *longest, *current, *current_days;
} cases[] = {
    {"two of one depth: the first is the deepest", NULL,
     {{1, 10}, {2, -5}, {3, 5}, {8, -5}, {9, 6}},
     "5", "null", "2025-04-01", "2025-04-02", "2025-04-03", "6", "0", "0"},
    {"one depth reached twice in a spell: its first point is the trough", NULL,
     {{1, 10}, {2, -5}, {3, 1}, {4, -1}, {7, 5}},
     "5", "null", "2025-04-01", "2025-04-02", "2025-04-07", "6", "0", "0"},
    {"a point that returns to the peak is the last that stands there", NULL,
     {{1, 10}, {2, 0}, {3, -5}, {4, 4}},
     "5", "null", "2025-04-02", "2025-04-03", NULL, "28", "1", "28"},
    {"reaching the peak exactly ends the spell, and a deeper one begins there", NULL,
     {{1, 10}, {2, -5}, {4, 5}, {8, -6}, {10, 6}},
     "6", "null", "2025-04-04", "2025-04-08", "2025-04-10", "6", "0", "0"},
    {"the longest spell is not the deepest", NULL,
     {{1, 10}, {2, -1}, {20, 1}, {21, -8}, {22, 9}},
     "8", "null", "2025-04-20", "2025-04-21", "2025-04-22", "19", "0", "0"},
    {"the unfinished spell is the longest, an earlier one of its depth the deepest", NULL,
     {{1, 10}, {2, -5}, {3, 5}, {10, -5}},
     "5", "null", "2025-04-01", "2025-04-02", "2025-04-03", "27", "5", "27"},
    {"the start is the peak: its day is the first point's", NULL,
     {{2, -5}, {3, 1}, {9, 4}},
     "5", "null", "2025-04-02", "2025-04-02", "2025-04-09", "7", "0", "0"},
    {"never above the start: the first point's day too", NULL,
     {{2, -5}, {3, -1}},
     "6", "null", "2025-04-02", "2025-04-03", NULL, "28", "6", "28"},
    {"the largest percentage lies in another spell", "100",
     {{1, 0}, {2, -10}, {3, 110}, {4, -15}, {7, 15}},
     "15", "10", "2025-04-03", "2025-04-04", "2025-04-07", "4", "0", "0"},
    {"a percentage as large as another, from a higher peak", "100",
     {{1, 0}, {2, -10}, {3, 110}, {4, -20}, {7, 25}},
     "20", "10", "2025-04-03", "2025-04-04", "2025-04-07", "4", "0", "0"},
    {"nothing is lost", "100",
     {{1, 10}, {2, 0}, {3, 5}},
     "0", "0", NULL, NULL, NULL, "0", "0", "0"},
};
/* clang-format on */

static const char *quoted(const char *date, char text[20])
{
    if (date == NULL)
        return "null";
    (void)snprintf(text, 20, "\"%s\"", date);
    return text;
}

static void check_case(const struct drawdown_case *c)
{
    char csv[1024], peak[20], trough[20], recovery[20];
    size_t len =
        (size_t)sprintf(csv, "id,symbol,trade_type,number_shares,entry_price,exit_price,entry_date,exit_date\n");
    const struct expected expected[] = {{"maximum_drawdown", c->depth},
                                        {"maximum_drawdown_percentage", c->percentage},
                                        {"maximum_drawdown_peak_date", quoted(c->peak, peak)},
                                        {"maximum_drawdown_trough_date", quoted(c->trough, trough)},
                                        {"maximum_drawdown_recovery_date", quoted(c->recovery, recovery)},
                                        {"maximum_drawdown_duration_days", c->longest},
                                        {"current_drawdown", c->current},
                                        {"current_drawdown_duration_days", c->current_days}};
    struct time_range all = {.name = RANGE_ALL_TIME};
    struct journal j;
    struct report *report;
    struct buf out = BUF_INIT;
    struct json_writer w;

    for (size_t i = 0; i < 8 && c->steps[i].day != 0; i++)
        len += (size_t)sprintf(csv + len, "%zu,X,BUY,1,1000,%d,2025-04-%02dT14:00:00Z,2025-04-%02dT15:00:00Z\n", i + 1,
                               1000 + c->steps[i].net, c->steps[i].day, c->steps[i].day);
    journal_from_csv(&j, false, csv, AS_OF, c->equity);
    all.end = j.today;
    assert_int_equal(report_new(&report, NULL), STATUS_OK);
    assert_int_equal(report_compute(report, &j, ASSET_ALL, &all, 1, NULL), STATUS_OK);
    json_init(&w, &out);
    report_write_risk(report, 0, &w);
    if (check_members(out.data, expected, sizeof expected / sizeof expected[0]) != 0)
        fail_msg("%s", c->name);
    buf_release(&out);
    report_free(&report);
    journal_release(&j);
}

static void test_drawdowns_that_are_alike_are_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_case(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drawdowns_that_are_alike_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
