/* Performance metrics (metrics.md 9) of random journals against brute force. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/brute_force.h"
#include "tests/support/journal_csv.h"
#include "tests/support/json_text.h"

static void check_median(const char *key, wide_int *v, size_t n, wide_int unit, int decimals)
{
    qsort(v, n, sizeof v[0], compare_wide);
    check_exact(key, n == 0 ? 0 : v[(n - 1) / 2] + v[n / 2], n == 0 ? 0 : 2 * unit, decimals);
}

static void check_r(void)
{
    static long double r[MAX_TRADES];
    size_t k = 0;
    long double mean = 0;
    bool flat = true;

    for (size_t i = 0; i < sel.n; i++)
        if (sel.t[i]->risk != 0)
            r[k++] = (long double)sel.t[i]->net / (long double)sel.t[i]->risk;
    for (size_t i = 0; i < k; i++) {
        mean += r[i] / (long double)k;
        flat = flat && r[i] == r[0];
    }
    check_count("r_trade_count", (int64_t)k);
    check_float("average_r_multiple", k == 0 ? (long double)NAN : mean, 6);
    check_float("r_multiple_standard_deviation", deviation(r, k), 6);
    check_float("system_quality_number",
                k < 2 || flat ? (long double)NAN : sqrtl((long double)k) * mean / deviation(r, k), 6);
    check_float("system_quality_number_capped",
                k < 2 || flat ? (long double)NAN : sqrtl((long double)(k < 100 ? k : 100)) * mean / deviation(r, k), 6);
    qsort(r, k, sizeof r[0], compare_long_double);
    check_float("median_r_multiple", k == 0 ? (long double)NAN : (r[(k - 1) / 2] + r[k / 2]) / 2, 6);
}

static void check_plans(const struct sums *s)
{
    long double sum = 0;
    size_t n = 0;

    for (size_t i = 0; i < sel.n; i++) {
        if (sel.t[i]->reward == 0 || sel.t[i]->risk == 0)
            continue;
        sum += (long double)sel.t[i]->reward / (long double)sel.t[i]->risk;
        n++;
    }
    check_float("average_planned_risk_reward", n == 0 ? (long double)NAN : sum / (long double)n, 6);
    check_exact("average_slippage", s->slippage, s->n_slippage * MONEY_SCALE, 4);
}

/* Of 100 W / (W + L) over the months that have a win or a loss. */
static void check_monthly_rates(void)
{
    static long double rates[MAX_TRADES];
    size_t n = 0;

    for (size_t i = 0; i < sel.n; i++) {
        struct date first = date_first_of_month((struct date){(int32_t)sel.t[i]->day});
        size_t wins = 0, losses = 0, before = 0;

        for (size_t k = 0; k < sel.n; k++) {
            if (date_first_of_month((struct date){(int32_t)sel.t[k]->day}).days != first.days || sel.t[k]->net == 0)
                continue;
            before += k < i;
            wins += sel.t[k]->net > 0;
            losses += sel.t[k]->net < 0;
        }
        if (before == 0 && sel.t[i]->net != 0) /* the month's first */
            rates[n++] = 100 * (long double)wins / (long double)(wins + losses);
    }
    check_float("monthly_win_rate_standard_deviation", deviation(rates, n), 4);
}

/* Months (divisor 1) or quarters (3) with exits and with profit. */
static void check_periods(const char *key, int months)
{
    wide_int n = 0, winning = 0;
    int last = INT32_MIN;
    wide_int net = 0;

    for (size_t i = 0; i <= sel.n_obs; i++) {
        struct date d = {i < sel.n_obs ? (int32_t)sel.obs[i] : INT32_MAX / 2};
        struct civil c = date_to_civil(d);
        int period = (c.year * 12 + c.month - 1) / months;
        bool traded = false;

        for (size_t k = 0; i < sel.n_obs && k < sel.n && !traded; k++)
            traded = sel.t[k]->day == sel.obs[i];
        if (i < sel.n_obs && !traded)
            continue;
        if (period != last && last != INT32_MIN) {
            n++;
            winning += net > 0;
            net = 0;
        }
        last = period;
        net += i < sel.n_obs ? sel.p[i] : 0;
    }
    check_exact(key, 100 * winning, n, 4);
}

static void check(struct report *report, size_t range, const struct sums *s)
{
    static wide_int net[MAX_TRADES], hold[MAX_TRADES];
    static long double size[MAX_TRADES], amounts[MAX_TRADES];
    wide_int clean = s->n - s->flawed;
    int64_t trading_days = 0;

    for (size_t i = 0; i < sel.n; i++) {
        net[i] = sel.t[i]->net;
        amounts[i] = (long double)sel.t[i]->net / MONEY_SCALE;
        hold[i] = sel.t[i]->exit_us - sel.t[i]->entry_us;
        size[i] = (long double)sel.t[i]->size / MONEY_SCALE;
        bool seen = false;

        for (size_t k = 0; k < i && !seen; k++)
            seen = sel.t[k]->day == sel.t[i]->day;
        trading_days += !seen;
    }
    look_at(report_write_performance, report, range);
    check_exact("trade_expectancy", s->total, s->n * MONEY_SCALE, 4);
    check_exact("edge", s->total * s->losses, s->n * s->loss, 6);
    check_median("median_trade", net, sel.n, MONEY_SCALE, 4);
    check_median("median_hold_time_days", hold, sel.n, US_PER_DAY, 6);
    check_exact("average_hold_time_days", s->hold, s->n * US_PER_DAY, 6);
    check_float("trade_standard_deviation", deviation(amounts, sel.n), 4);
    check_float("position_size_standard_deviation", deviation(size, sel.n), 4);
    check_float("position_size_variability",
                deviation(size, sel.n) * (long double)sel.n * MONEY_SCALE / (long double)s->size, 6);
    check_exact("average_position_size_after_win", s->after[2], s->n_after[2] * MONEY_SCALE, 4);
    check_exact("average_position_size_after_loss", s->after[0], s->n_after[0] * MONEY_SCALE, 4);
    check_exact("kelly_criterion", s->wins * (s->profit - s->loss),
                s->losses == 0 ? 0 : (s->wins + s->losses) * s->profit, 6);
    check_r();
    check_plans(s);
    if (sel.n <= 300) /* it looks at every pair */
        check_monthly_rates();
    check_exact("consistency_ratio", s->wins * (s->profit - s->loss), s->n * s->profit, 6);
    check_periods("monthly_win_rate", 1);
    check_periods("quarterly_win_rate", 3);
    check_count("trading_days", trading_days);
    check_exact("average_daily_pnl", s->total, (wide_int)trading_days * MONEY_SCALE, 4);
    check_exact("trades_per_week", 7 * s->n, sel.n == 0 ? 0 : sel.end - sel.obs[0] + 1, 6);
    check_exact("commission_impact_percentage", 100 * (s->gross - s->total), s->turnover, 4);
    check_exact("clean_expectancy", s->total - s->flawed_net, clean * MONEY_SCALE, 4);
    check_exact("mistake_cost", (s->total - s->flawed_net) * s->flawed - s->flawed_net * clean,
                s->flawed == 0 ? 0 : clean * MONEY_SCALE, 4);
}

/* net / risk is -1, 1 and 2 as a double, and just above, below and below that in truth. */
static void test_the_class_of_an_r_is_exact(void **state)
{
    static const char csv[] =
        "id,symbol,trade_type,number_shares,entry_price,exit_price,initial_risk,entry_date,exit_date\n"
        "1,X,BUY,1,2000000000,1100000000.00000001,900000000,2025-04-01T14:00:00Z,2025-04-01T15:00:00Z\n"
        "2,X,BUY,1,2000000000,2899999999.99999999,900000000,2025-04-01T14:00:00Z,2025-04-02T15:00:00Z\n"
        "3,X,BUY,1,2000000000,3799999999.99999999,900000000,2025-04-01T14:00:00Z,2025-04-03T15:00:00Z\n"
        "4,X,BUY,1,100,90,10,2025-04-01T14:00:00Z,2025-04-04T15:00:00Z\n" /* -1, 0, 1 and 2 in truth too */
        "5,X,BUY,1,100,100,10,2025-04-01T14:00:00Z,2025-04-04T15:00:00Z\n"
        "6,X,BUY,1,100,110,10,2025-04-01T14:00:00Z,2025-04-04T15:00:00Z\n"
        "7,X,BUY,1,100,120,10,2025-04-01T14:00:00Z,2025-04-04T15:00:00Z\n";
    struct time_range all = {.name = RANGE_ALL_TIME};
    struct journal j;
    struct report *report;

    (void)state;
    journal_from_csv(&j, false, csv, "2025-04-30T20:00:00Z", NULL);
    all.end = j.today;
    assert_int_equal(report_new(&report, NULL), STATUS_OK);
    assert_int_equal(report_compute(report, &j, ASSET_ALL, &all, 1, NULL), STATUS_OK);
    look_at(report_write_performance_metrics, report, 0);
    assert_string_equal(
        member(document, "r_distribution"),
        "[{\"label\":\"<=-1R\",\"count\":1},{\"label\":\"-1..0R\",\"count\":1},{\"label\":\"0..1R\",\"count\":2},"
        "{\"label\":\"1..2R\",\"count\":2},{\"label\":\">=2R\",\"count\":1}]");
    report_free(&report);
    journal_release(&j);
}

int main(void)
{
    struct section_check section = {check};
    const struct CMUnitTest tests[] = {
        BRUTE_FORCE_TESTS(&section),
        cmocka_unit_test(test_the_class_of_an_r_is_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
