/* Time series (metrics.md 11) of random journals against brute force. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/brute_force.h"

/* All closed trades of the asset, and their observation days up to today. */
struct history {
    const struct simple_trade *t[MAX_TRADES];
    size_t n;
    int64_t obs[MAX_DAYS];
    wide_int p[MAX_DAYS];
    size_t exits[MAX_DAYS];
    size_t n_obs;
};

static struct history history;

static void select_history(enum asset asset, int64_t today)
{
    int64_t first = INT64_MAX;

    history.n = 0;
    history.n_obs = 0;
    for (size_t i = 0; i < n_trades; i++) {
        if (!is_in(&trades[i], asset))
            continue;
        history.t[history.n++] = &trades[i];
        first = trades[i].day < first ? trades[i].day : first;
    }
    for (int64_t day = first; first != INT64_MAX && day <= today; day++) {
        struct date d = {(int32_t)day};
        size_t n = 0;
        wide_int p = 0;

        for (size_t i = 0; i < history.n; i++) {
            n += history.t[i]->day == day;
            p += history.t[i]->day == day ? history.t[i]->net : 0;
        }
        if (n == 0 && (date_is_weekend(d) || holiday.days == day))
            continue;
        history.obs[history.n_obs] = day;
        history.p[history.n_obs] = p;
        history.exits[history.n_obs++] = n;
    }
}

static void date_text(int64_t day, char series[DATE_TEXT_SIZE])
{
    struct date d = {(int32_t)day};

    date_format(d, series);
}

/* Points `document` behind the date of the next point of the series at hand. */
static void enter_point(const char *date)
{
    char wanted[40];

    (void)snprintf(wanted, sizeof wanted, "{\"date\":\"%s\",", date);
    document = strstr(document, "{\"date\":");
    if (document == NULL || strncmp(document, wanted, strlen(wanted)) != 0)
        fail_msg("%s: a point begins with %.30s instead of %s", context, document == NULL ? "?" : document, wanted);
    document += strlen(wanted);
}

static void enter_series(const char *series, const char *key)
{
    document = series;
    document = found(key);
}

/* The series ends here. */
static void leave_series(void)
{
    const char *close = strchr(document, ']');

    if (close == NULL || (strchr(document, '{') != NULL && strchr(document, '{') < close))
        fail_msg("%s: the series has more points: %.60s", context, document);
}

/* The next day after `day` with an exit in the range; INT64_MAX: none. */
static int64_t next_day(int64_t day)
{
    int64_t next = INT64_MAX;

    for (size_t i = 0; i < sel.n; i++)
        if (sel.t[i]->day > day && sel.t[i]->day < next)
            next = sel.t[i]->day;
    return next;
}

static void period_text(int period, int64_t day, char name[40])
{
    struct date d = {(int32_t)day};
    struct civil civil = date_to_civil(d);
    int year, week;

    date_iso_week(d, &year, &week);
    if (period == 0)
        (void)snprintf(name, 40, "%04d-%02d-%02d", civil.year, civil.month, civil.day);
    else if (period == 1)
        (void)snprintf(name, 40, "%04d-W%02d", year, week);
    else
        (void)snprintf(name, 40, "%04d-%02d", civil.year, civil.month);
}

static void check_period_pnl(const char *series, const char *key, int period)
{
    char previous[40] = "", name[40], other[40];

    enter_series(series, key);
    for (int64_t day = next_day(INT64_MIN); day != INT64_MAX; day = next_day(day)) {
        wide_int value = 0, cumulative = 0;
        int64_t n = 0;

        period_text(period, day, name);
        if (strcmp(name, previous) == 0)
            continue;
        for (size_t i = 0; i < sel.n; i++) {
            period_text(period, sel.t[i]->day, other);
            value += strcmp(other, name) == 0 ? sel.t[i]->net : 0;
            n += strcmp(other, name) == 0;
            cumulative += sel.t[i]->day < day || strcmp(other, name) == 0 ? sel.t[i]->net : 0;
        }
        enter_point(name);
        check_exact("value", value, MONEY_SCALE, 4);
        check_exact("cumulative_value", cumulative, MONEY_SCALE, 4);
        check_count("trade_count", n);
        (void)snprintf(previous, sizeof previous, "%s", name);
    }
    leave_series();
}

static void check_rolling_wins(const char *series, const char *key, size_t k)
{
    char date[DATE_TEXT_SIZE];

    enter_series(series, key);
    for (int64_t day = next_day(INT64_MIN); day != INT64_MAX; day = next_day(day)) {
        size_t last = 0, wins = 0;

        for (size_t i = 0; i < history.n; i++)
            if (history.t[i]->day == day)
                last = i + 1;
        for (size_t i = last < k ? 0 : last - k; i < last; i++)
            wins += history.t[i]->net > 0;
        date_text(day, date);
        enter_point(date);
        check_exact("value", 100 * (wide_int)wins, last < k ? 0 : (wide_int)k, 4);
        check_exact("cumulative_value", 100 * (wide_int)wins, last < k ? 0 : (wide_int)k, 4);
        check_count("trade_count", (int64_t)(last < k ? last : k));
    }
    leave_series();
}

static long double sharpe_of_window(size_t last, size_t k)
{
    long double x[50], mean = 0, rate = 0, least, most;
    wide_int equity = account.starting_equity_e8;

    if (last + 1 < k)
        return NAN;
    for (size_t i = 0; i <= last; i++) {
        if (i + k > last) {
            x[i + k - last - 1] = (long double)history.p[i];
            if (sel.equity && equity <= 0)
                return NAN;
            if (sel.equity)
                x[i + k - last - 1] /= (long double)equity;
        }
        equity += history.p[i];
    }
    least = most = x[0];
    for (size_t i = 0; i < k; i++) {
        mean += x[i] / (long double)k;
        least = fminl(least, x[i]);
        most = fmaxl(most, x[i]);
    }
    if (most - least <= (sel.equity ? 1e-12L * fmaxl(fabsl(least), fabsl(most)) : 0))
        return NAN;
    if (sel.equity)
        rate = powl(1 + (long double)account.risk_free_rate_e8 / MONEY_SCALE, 1 / 252.0L) - 1;
    return (mean - rate) / deviation(x, k) * sqrtl(252);
}

static void check_rolling_sharpe(const char *series, const char *key, size_t k)
{
    char date[DATE_TEXT_SIZE];

    enter_series(series, key);
    for (int64_t day = next_day(INT64_MIN); day != INT64_MAX; day = next_day(day)) {
        size_t last = 0;
        int64_t exits = 0;

        while (history.obs[last] != day)
            last++;
        for (size_t i = last + 1 < k ? 0 : last + 1 - k; i <= last; i++)
            exits += (int64_t)history.exits[i];
        date_text(day, date);
        enter_point(date);
        check_float("value", sharpe_of_window(last, k), 6);
        check_float("cumulative_value", sharpe_of_window(last, k), 6);
        check_count("trade_count", exits);
    }
    leave_series();
}

static void check_drawdown_curve(const char *series)
{
    char date[DATE_TEXT_SIZE];

    enter_series(series, "drawdown_curve");
    for (int64_t day = next_day(INT64_MIN); day != INT64_MAX; day = next_day(day)) {
        wide_int peak = 0, at_end = 0, deepest = 0, peak_at_end = 0;

        for (size_t i = 1; i < points.n; i++) {
            peak = points.value[i] > peak ? points.value[i] : peak;
            if (points.day[i] != day)
                continue;
            at_end = peak - points.value[i];
            peak_at_end = peak;
            deepest = at_end > deepest ? at_end : deepest;
        }
        date_text(day, date);
        enter_point(date);
        check_exact("value", at_end, MONEY_SCALE, 4);
        check_exact("cumulative_value", at_end, MONEY_SCALE, 4);
        check_exact("max_value", deepest, MONEY_SCALE, 4);
        check_exact("percentage", 100 * at_end, sel.equity ? sel.e0 + peak_at_end : 0, 4);
    }
    leave_series();
}

static int hour_of(int64_t us)
{
    struct instant t = {us};

    return timezone_to_local(account.zone, t).hour;
}

static void check_maps(const char *series)
{
    static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                           "Thursday", "Friday", "Saturday"};
    static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                         "July",    "August",   "September", "October", "November", "December"};
    wide_int by_weekday[7] = {0}, by_month[12] = {0}, by_hour[24] = {0}, by_entry_hour[24] = {0};
    char hour[12];

    for (size_t i = 0; i < sel.n; i++) {
        struct date d = {(int32_t)sel.t[i]->day};

        by_weekday[date_weekday(d)] += sel.t[i]->net;
        by_month[date_to_civil(d).month - 1] += sel.t[i]->net;
        by_hour[hour_of(sel.t[i]->exit_us)] += sel.t[i]->net;
        by_entry_hour[hour_of(sel.t[i]->entry_us)] += sel.t[i]->net;
    }
    enter_series(series, "profit_by_day_of_week");
    for (int i = 0; i < 7; i++)
        check_exact(weekdays[i], by_weekday[i], MONEY_SCALE, 4);
    enter_series(series, "profit_by_month");
    for (int i = 0; i < 12; i++)
        check_exact(months[i], by_month[i], MONEY_SCALE, 4);
    for (int entry = 0; entry < 2; entry++) {
        enter_series(series, entry ? "profit_by_entry_hour" : "profit_by_hour");
        for (int i = 0; i < 24; i++) {
            (void)snprintf(hour, sizeof hour, "%02d", i % 24);
            check_exact(hour, entry ? by_entry_hour[i] : by_hour[i], MONEY_SCALE, 4);
        }
    }
}

static void check_time_series(const char *series)
{
    long double growth = NAN;
    wide_int total = 0;

    check_period_pnl(series, "daily_pnl", 0);
    check_period_pnl(series, "weekly_pnl", 1);
    check_period_pnl(series, "monthly_pnl", 2);
    check_rolling_wins(series, "rolling_win_rate_20", 20);
    check_rolling_wins(series, "rolling_win_rate_50", 50);
    check_rolling_wins(series, "rolling_win_rate_100", 100);
    check_rolling_sharpe(series, "rolling_sharpe_ratio_20", 20);
    check_rolling_sharpe(series, "rolling_sharpe_ratio_50", 50);
    check_drawdown_curve(series);
    check_maps(series);
    for (size_t i = 0; i < sel.n; i++)
        total += sel.t[i]->net;
    if (sel.equity && sel.n != 0 && sel.n_obs >= 21 && sel.e0 + total > 0)
        growth = 100 * powl((long double)(sel.e0 + total) / (long double)sel.e0, 252 / (long double)sel.n_obs) - 100;
    document = series;
    check_exact("cumulative_return", total, MONEY_SCALE, 4);
    check_exact("total_return_percentage", 100 * total, sel.equity && sel.n != 0 ? sel.e0 : 0, 4);
    check_float("annualized_return", growth, 4);
    check_count("total_trades", (int64_t)sel.n);
}

static void check(struct report *report, size_t range, const struct sums *s)
{
    static struct buf out = BUF_INIT;
    struct json_writer w;

    (void)s;
    if (range == 0) /* the next asset's ranges begin */
        select_history(sel.asset, trading_day(account.zone, account.trading_day_start, as_of).days);
    buf_clear(&out);
    json_init(&w, &out);
    assert_int_equal(report_compute_time_series(report, range, NULL), STATUS_OK);
    report_write_time_series(report, &w);
    assert_false(out.failed);
    check_time_series(out.data);
}

int main(void)
{
    struct section_check section = {check};
    const struct CMUnitTest tests[] = {
        BRUTE_FORCE_TESTS(&section),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
