/* Risk metrics (metrics.md 8) of random journals against brute force. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/brute_force.h"

static long double annual_growth(void)
{
    long double end = (long double)sel.e0 + (long double)(points.value[points.n - 1]);

    if (sel.n_obs < 21 || end <= 0)
        return NAN;
    return 100 * powl(end / (long double)sel.e0, 252 / (long double)sel.n_obs) - 100;
}

static void check_drawdown(void)
{
    size_t peak = 0, deep_peak = 0, deep = 0, recovery = 0;
    wide_int depth = 0;
    long double percent = 0;
    int64_t longest = 0;

    for (size_t i = 1; i < points.n; i++) {
        if (points.value[i] >= points.value[peak])
            peak = i;
        long double share =
            100 * (long double)(points.value[peak] - points.value[i]) / (long double)(sel.e0 + points.value[peak]);
        int64_t until = i + 1 < points.n ? points.day[i + 1] : sel.end;

        percent = share > percent ? share : percent;
        bool spell_ends = i + 1 == points.n || points.value[i + 1] >= points.value[peak];

        if (peak != i && spell_ends && until - points.day[peak] > longest)
            longest = until - points.day[peak];
        if (points.value[peak] - points.value[i] > depth) {
            depth = points.value[peak] - points.value[i];
            deep_peak = peak;
            deep = i;
        }
    }
    for (size_t i = deep; depth > 0 && recovery == 0 && i < points.n; i++)
        if (points.value[i] >= points.value[deep_peak])
            recovery = i;
    check_exact("maximum_drawdown", depth, MONEY_SCALE, 4);
    if (sel.equity && sel.n != 0)
        check_float("calmar_ratio", depth > 0 ? annual_growth() / percent : (long double)NAN, 6);
    else
        check_exact("calmar_ratio", points.value[points.n - 1] * 252, sel.n_obs < 21 ? 0 : depth * (wide_int)sel.n_obs,
                    6);
    check_float("maximum_drawdown_percentage", sel.equity && sel.n != 0 ? percent : (long double)NAN, 4);
    check_day("maximum_drawdown_peak_date", depth > 0, points.day[deep_peak]);
    check_day("maximum_drawdown_trough_date", depth > 0, points.day[deep]);
    check_day("maximum_drawdown_recovery_date", recovery != 0, points.day[recovery]);
    check_count("maximum_drawdown_duration_days", longest);
    check_exact("current_drawdown", points.value[peak] - points.value[points.n - 1], MONEY_SCALE, 4);
    check_count("current_drawdown_duration_days",
                points.value[points.n - 1] < points.value[peak] ? sel.end - points.day[peak] : 0);
}

static long double quantile(const long double *sorted, size_t n, size_t part)
{
    long double h = (long double)((n - 1) * part) / 20;
    size_t at = ((n - 1) * part) / 20;

    return at + 1 < n ? sorted[at] + (h - (long double)at) * (sorted[at + 1] - sorted[at]) : sorted[at];
}

static void check_tails(size_t n)
{
    static wide_int sorted[MAX_DAYS];

    memcpy(sorted, sel.p, n * sizeof sorted[0]);
    qsort(sorted, n, sizeof sorted[0], compare_wide);
    for (int i = 0; i < 2; i++) {
        size_t whole = i == 0 ? 20 : 100, at = n < 2 ? 0 : (n - 1) / whole;
        wide_int rest = n < 2 ? 0 : (wide_int)((n - 1) % whole), sum = 0;

        for (size_t k = 0; n >= 2 && k <= at; k++)
            sum += sorted[k];
        check_exact(i == 0 ? "var_95" : "var_99",
                    n < 2 ? 0 : sorted[at] * ((wide_int)whole - rest) + sorted[at + (rest != 0)] * rest,
                    n < 2 ? 0 : (wide_int)whole * MONEY_SCALE, 4);
        check_exact(i == 0 ? "expected_shortfall_95" : "expected_shortfall_99", sum,
                    n < 2 ? 0 : (wide_int)(at + 1) * MONEY_SCALE, 4);
    }
}

static long double mean_power(const long double *x, size_t n, int power)
{
    long double mean = 0, sum = 0;

    for (size_t i = 0; i < n; i++)
        mean += x[i] / (long double)n;
    for (size_t i = 0; i < n; i++)
        sum += powl(x[i] - mean, power);
    return sum / (long double)n;
}

static long double downside_of(const long double *x, size_t n)
{
    long double squares = 0;

    for (size_t i = 0; i < n; i++)
        squares += x[i] < 0 ? x[i] * x[i] : 0;
    return n < 2 ? (long double)NAN : sqrtl(squares / (long double)n);
}

static void check_distribution(long double *x, size_t n, long double rate)
{
    long double mean = 0, dd = downside_of(x, n), sd = deviation(x, n), low, high, nn = (long double)n;
    bool flat = true;

    for (size_t i = 0; i < n; i++) {
        mean += x[i] / nn;
        flat = flat && x[i] == x[0];
    }
    check_float("sortino_ratio", dd > 0 ? mean / dd * sqrtl(252) : (long double)NAN, 6);
    check_float("sharpe_ratio", n >= 2 && !flat ? (mean - rate) / sd * sqrtl(252) : (long double)NAN, 6);
    low = mean_power(x, n, 2);
    check_float("skewness",
                n >= 3 && !flat ? mean_power(x, n, 3) / powl(low, 1.5L) * sqrtl(nn * (nn - 1)) / (nn - 2)
                                : (long double)NAN,
                6);
    check_float("kurtosis",
                n >= 4 && !flat
                    ? (nn - 1) / ((nn - 2) * (nn - 3)) * ((nn + 1) * (mean_power(x, n, 4) / (low * low) - 3) + 6)
                    : (long double)NAN,
                6);
    qsort(x, n, sizeof x[0], compare_long_double);
    low = n < 2 ? 0 : quantile(x, n, 1);
    high = n < 2 ? 0 : quantile(x, n, 19);
    check_float("tail_ratio", low < 0 || low > 0 ? fabsl(high) / fabsl(low) : (long double)NAN, 6);
}

/* Mean over calendar years of the largest loss of the peak within the year, percent. */
static long double mean_year_loss(void)
{
    long double sum = 0;
    size_t years = 0;

    for (size_t i = 0; i < sel.n_obs; i++) {
        struct date d = {(int32_t)sel.obs[i]};
        int year = date_to_civil(d).year;
        long double peak, worst = 0;

        d.days = (int32_t)sel.obs[i == 0 ? 0 : i - 1];
        if (i != 0 && date_to_civil(d).year == year)
            continue;
        years++;
        peak = -1;
        for (size_t k = 1; k < points.n; k++) {
            d.days = (int32_t)points.day[k];
            if (date_to_civil(d).year != year)
                continue;
            if (peak < 0)
                peak = (long double)(sel.e0 + points.value[k - 1]);
            peak = fmaxl(peak, (long double)(sel.e0 + points.value[k]));
            worst = fmaxl(worst, 100 * (peak - (long double)(sel.e0 + points.value[k])) / peak);
        }
        sum += worst;
    }
    return sum / (long double)years;
}

static void check_growth(void)
{
    size_t n = sel.n_obs;
    long double squares = 0, peak = (long double)sel.e0, equity = peak;

    for (size_t i = 0; i < n; i++) {
        equity += (long double)sel.p[i];
        peak = fmaxl(peak, equity);
        squares += powl(100 * (peak - equity) / peak, 2);
    }
    check_float("ulcer_index", sqrtl(squares / (long double)n), 6);
    check_float("sterling_ratio", annual_growth() / (mean_year_loss() + 10), 6);
}

static long double k_ratio(void)
{
    long double n = (long double)sel.n, sx = 0, sy = 0, sxx = 0, sxy = 0, slope, rss = 0, y = 0;
    bool straight = true;

    for (size_t i = 2; i < sel.n; i++)
        straight = straight && sel.t[i]->net == sel.t[1]->net;
    if (sel.n < 3 || straight)
        return NAN;
    for (size_t i = 0; i < sel.n; i++) {
        y += (long double)sel.t[i]->net;
        sx += (long double)(i + 1);
        sy += y;
    }
    y = 0;
    for (size_t i = 0; i < sel.n; i++) {
        y += (long double)sel.t[i]->net;
        sxx += powl((long double)(i + 1) - sx / n, 2);
        sxy += ((long double)(i + 1) - sx / n) * (y - sy / n);
    }
    slope = sxy / sxx;
    y = 0;
    for (size_t i = 0; i < sel.n; i++) {
        y += (long double)sel.t[i]->net;
        rss += powl(y - sy / n - slope * ((long double)(i + 1) - sx / n), 2);
    }
    return slope / sqrtl(rss / (n - 2) / sxx);
}

static void check(struct report *report, size_t range, const struct sums *s)
{
    static long double p[MAX_DAYS], x[MAX_DAYS], net[MAX_TRADES];
    long double equity = (long double)sel.e0, rate;
    size_t n = sel.n_obs;
    wide_int losing = 0;
    bool flat = true;

    look_at(report_write_risk, report, range);
    check_count("observations", (int64_t)n);
    check_drawdown();
    if (sel.n == 0) {
        check_float("sharpe_ratio", NAN, 6);
        check_float("volatility", NAN, 4);
        check_exact("var_95", 0, 0, 4);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        p[i] = (long double)sel.p[i];
        x[i] = sel.equity ? p[i] / equity : p[i];
        equity += p[i];
        losing -= sel.p[i] < 0 ? sel.p[i] : 0;
    }
    for (size_t i = 0; i < sel.n; i++) {
        net[i] = (long double)sel.t[i]->net;
        flat = flat && sel.t[i]->net == sel.t[0]->net;
    }
    rate = sel.equity ? powl(1.02L, 1 / 252.0L) - 1 : 0;
    check_float("volatility", deviation(p, n) / MONEY_SCALE, 4);
    check_float("downside_deviation", downside_of(p, n) / MONEY_SCALE, 4);
    check_float("volatility_annualized_percentage", sel.equity ? 100 * deviation(x, n) * sqrtl(252) : (long double)NAN,
                4);
    check_float("downside_deviation_annualized_percentage",
                sel.equity ? 100 * downside_of(x, n) * sqrtl(252) : (long double)NAN, 4);
    check_distribution(x, n, rate);
    check_tails(n);
    if (sel.equity)
        check_growth();
    check_exact("gain_to_pain_ratio", s->total, losing, 6);
    check_exact("average_risk_per_trade", s->risk, s->n_risk * MONEY_SCALE, 4);
    check_float("t_statistic",
                sel.n < 2 || flat
                    ? (long double)NAN
                    : (long double)s->total / (long double)sel.n / (deviation(net, sel.n) / sqrtl((long double)sel.n)),
                6);
    check_float("k_ratio", k_ratio(), 6);
}

int main(void)
{
    struct section_check section = {check};
    const struct CMUnitTest tests[] = {
        BRUTE_FORCE_TESTS(&section),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
