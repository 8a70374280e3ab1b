#include "tests/support/brute_force.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/random_numbers.h"

struct selection sel;
struct points points;

static void select_days(enum asset asset, const struct time_range *range)
{
    int64_t first = INT64_MAX;
    wide_int equity = sel.e0;

    for (size_t i = 0; i < n_trades; i++)
        if (is_in(&trades[i], asset) && trades[i].day < first)
            first = trades[i].day;
    if (first != INT64_MAX && range->has_start && range->start.days > first)
        first = range->start.days;
    sel.n_obs = 0;
    for (int64_t day = first; first != INT64_MAX && day <= range->end.days; day++) {
        struct date d = {(int32_t)day};
        bool traded = false;
        wide_int p = 0;

        for (size_t i = 0; i < sel.n; i++) {
            if (sel.t[i]->day == day) {
                traded = true;
                p += sel.t[i]->net;
            }
        }
        if (!traded && (date_is_weekend(d) || (account.n_holidays != 0 && account.holidays[0].days == day)))
            continue;
        if (equity <= 0)
            sel.equity = false;
        equity += p;
        sel.obs[sel.n_obs] = day;
        sel.p[sel.n_obs++] = p;
    }
}

static void select_range(enum asset asset, const struct time_range *range)
{
    sel.n = 0;
    sel.asset = asset;
    sel.end = range->end.days;
    sel.e0 = account.starting_equity_e8;
    for (size_t i = 0; i < n_trades; i++) {
        if (!is_in(&trades[i], asset))
            continue;
        if (range->has_start && trades[i].day < range->start.days)
            sel.e0 += trades[i].net;
        else if (trades[i].day <= range->end.days)
            sel.t[sel.n++] = &trades[i];
    }
    sel.equity = asset == ASSET_ALL && account.has_starting_equity && account.starting_equity_e8 > 0 && sel.e0 > 0;
    select_days(asset, range);
}

static struct sums sum_up(enum asset asset)
{
    struct sums s = {.n = (wide_int)sel.n};

    for (size_t i = 0; i < sel.n; i++) {
        const struct simple_trade *t = sel.t[i];

        s.wins += t->net > 0;
        s.losses += t->net < 0;
        s.total += t->net;
        s.profit += t->net > 0 ? t->net : 0;
        s.loss -= t->net < 0 ? t->net : 0;
        s.size += t->size;
        s.gross += t->gross;
        s.turnover += t->gross < 0 ? -t->gross : t->gross;
        s.risk += t->risk;
        s.n_risk += t->risk != 0;
        s.hold += t->exit_us - t->entry_us;
        s.slippage += t->slippage;
        s.n_slippage += t->slippage != 0;
        s.flawed += t->flawed;
        s.flawed_net += t->flawed ? t->net : 0;
        if (t->previous[asset] != 2) {
            s.after[t->previous[asset] + 1] += t->size;
            s.n_after[t->previous[asset] + 1]++;
        }
    }
    return s;
}

static void make_points(void)
{
    wide_int value = 0;

    points.n = 1;
    points.value[0] = 0;
    points.day[0] = sel.n == 0 ? 0 : sel.t[0]->day;
    for (size_t i = 0; i < sel.n; i++) {
        value += sel.t[i]->net;
        if (i + 1 < sel.n && sel.t[i + 1]->exit_us == sel.t[i]->exit_us)
            continue;
        points.value[points.n] = value;
        points.day[points.n++] = sel.t[i]->day;
    }
}

/* --- statistics ------------------------------------------------------------------------------------ */

int compare_wide(const void *a, const void *b)
{
    wide_int x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

int compare_long_double(const void *a, const void *b)
{
    long double x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

long double deviation(const long double *x, size_t n)
{
    long double mean = 0, squares = 0;

    for (size_t i = 0; i < n; i++)
        mean += x[i] / (long double)n;
    for (size_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    return n < 2 ? (long double)NAN : sqrtl(squares / (long double)(n - 1));
}

/* --- driving --------------------------------------------------------------------------------------- */

static struct buf written = BUF_INIT;

void look_at(write_section *write, const struct report *report, size_t range)
{
    struct json_writer w;

    buf_clear(&written);
    json_init(&w, &written);
    write(report, range, &w);
    assert_false(written.failed);
    document = written.data;
}

static void check_ranges(struct report *report, enum asset asset, const struct time_range *ranges, size_t n,
                         check_range *check)
{
    for (size_t i = 0; i < n; i++) {
        char name[160];
        struct sums s;

        (void)snprintf(name, sizeof name, "%s, %zu trades, %s, %s from %d", timezone_name(account.zone), n_trades,
                       asset_text(asset), range_name_text(ranges[i].name), (int)ranges[i].start.days);
        context = name;
        select_range(asset, &ranges[i]);
        make_points();
        s = sum_up(asset);
        check(report, i, &s);
    }
}

static void check_journal(struct report *report, struct journal *j, check_range *check)
{
    struct time_range ranges[RANGE_PRESETS], custom;
    struct range_request request = {.name = RANGE_CUSTOM, .has_start = below(4) != 0, .has_end = true};

    load(j);
    for (enum asset asset = ASSET_ALL; asset <= ASSET_OPTIONS; asset++) {
        for (size_t i = 0; i < RANGE_PRESETS; i++) {
            struct range_request preset = {.name = (enum range_name)i};

            ranges[i] = time_range_resolve(&preset, j->today);
        }
        assert_int_equal(report_compute(report, j, asset, ranges, RANGE_PRESETS, NULL), STATUS_OK);
        check_ranges(report, asset, ranges, RANGE_PRESETS, check);
        request.start = date_add_days(j->today, -(int)below(300));
        request.end = date_add_days(request.start, (int)below(200));
        custom = time_range_resolve(&request, j->today);
        assert_int_equal(report_compute(report, j, asset, &custom, 1, NULL), STATUS_OK);
        check_ranges(report, asset, &custom, 1, check);
    }
}

static const struct {
    const char *zone;
    int day_start;
    const char *now;
    int64_t equity;
} accounts[] = {
    {"America/New_York", 0, "2025-03-12T20:00:00Z", 100000},
    {"America/New_York", 17, "2024-03-01T04:59:59.999999Z", 0},
    {"Europe/Berlin", 2, "2024-02-29T23:00:00Z", 300},
    {"America/St_Johns", 0, "2006-11-02T12:00:00Z", 50000}, /* clocks went back at 00:01: days come twice */
    {"Pacific/Apia", 0, "2012-01-10T00:00:00Z", 100000},    /* 30 December 2011 did not happen */
    {"UTC", 23, "1975-01-01T00:00:00Z", 2000},
};

void test_random_journals_agree_with_brute_force(void **state)
{
    const struct section_check *section = *state;
    static const size_t sizes[] = {0, 1, 2, 3, 5, 17, 60, 300};
    static const int64_t spans[] = {1, 3, 40, 800};
    struct journal j;
    struct report *report;
    bool days_went_back = false;

    random_state = 20250711;
    journal_init(&j);
    assert_int_equal(report_new(&report, NULL), STATUS_OK);
    for (size_t a = 0; a < sizeof accounts / sizeof accounts[0]; a++) {
        set_account(accounts[a].zone, accounts[a].day_start, accounts[a].now, accounts[a].equity);
        for (size_t n = 0; n < sizeof sizes / sizeof sizes[0]; n++) {
            for (size_t s = 0; s < sizeof spans / sizeof spans[0]; s++) {
                make_journal(sizes[n], spans[s], MONEY_SCALE);
                check_journal(report, &j, section->check);
                days_went_back |= j.days_go_back;
            }
        }
    }
    assert_true(days_went_back);
    report_free(&report);
    journal_release(&j);
    buf_release(&written);
}

static void check_a_large_journal(size_t n, int64_t scale, check_range *check)
{
    struct journal j;
    struct report *report;

    random_state = 7;
    journal_init(&j);
    assert_int_equal(report_new(&report, NULL), STATUS_OK);
    set_account("America/New_York", 0, "2025-03-12T20:00:00Z", 100000);
    make_journal(n, 500, scale);
    check_journal(report, &j, check);
    report_free(&report);
    journal_release(&j);
    buf_release(&written);
}

void test_a_large_random_journal_agrees_with_brute_force(void **state)
{
    const struct section_check *section = *state;

    check_a_large_journal(MAX_TRADES, MONEY_SCALE / 100, section->check);
}

void test_the_largest_amounts_agree_with_brute_force(void **state)
{
    const struct section_check *section = *state;

    check_a_large_journal(2000, INT64_C(1000000) * MONEY_SCALE, section->check);
}
