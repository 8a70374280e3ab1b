#include "jobs/analytics/time_series.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/analytics/metric_writer.h"

#define WIN_WINDOWS 3
#define SHARPE_WINDOWS 2
#define LONGEST_WIN_WINDOW 100
#define HOURS 24

static const struct {
    const char *key;
    size_t trades;
} win_windows[WIN_WINDOWS] = {
    {"rolling_win_rate_20", 20},
    {"rolling_win_rate_50", 50},
    {"rolling_win_rate_100", LONGEST_WIN_WINDOW},
};

static const struct {
    const char *key;
    size_t days;
} sharpe_windows[SHARPE_WINDOWS] = {
    {"rolling_sharpe_ratio_20", 20},
    {"rolling_sharpe_ratio_50", 50},
};

/* How things stood after the last trade of a day. */
struct standing {
    size_t n_history;                          /* closed trades so far */
    unsigned wins[WIN_WINDOWS];                /* among the last of them */
    wide_int drawdown_e8, peak_e8, deepest_e8; /* of the range's curve */
};

struct time_series {
    const struct journal *journal;
    enum asset asset;
    const struct range_metrics *metrics;

    struct daily daily;         /* of the history up to the range's end */
    struct standing *standings; /* by calendar day from daily.first on */
    size_t cap_standings;

    /* of the pass */
    bool won[LONGEST_WIN_WINDOW]; /* a ring */
    struct standing now;
    struct drawdown drawdown;
    wide_int curve_e8; /* P&L since the range's start */
    struct day_clock entry_clock, exit_clock;
    wide_int by_exit_hour_e8[HOURS], by_entry_hour_e8[HOURS];
};

enum status time_series_new(struct time_series **ret_series)
{
    *ret_series = calloc(1, sizeof **ret_series);
    return *ret_series == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

void time_series_free(struct time_series **series)
{
    if (*series == NULL)
        return;
    daily_release(&(*series)->daily);
    free((*series)->standings);
    free(*series);
    *series = NULL;
}

/* --- the pass -------------------------------------------------------------------------------------- */

/* F of metrics.md 6; the day after the end when there is none. */
static struct date first_exit_day(const struct time_series *s)
{
    struct date first = date_add_days(s->metrics->range.end, 1);

    for (size_t i = 0; i < s->journal->n_closed; i++) {
        const struct trade *t = &s->journal->closed[i];

        if (!asset_has(s->asset, t))
            continue;
        if (t->exit_day.days < first.days)
            first = t->exit_day;
        if (!s->journal->days_go_back)
            break;
    }
    return first;
}

static enum status begin(struct time_series *s)
{
    size_t n;
    enum status status = daily_begin(&s->daily, first_exit_day(s), s->metrics->range.end);

    if (status != STATUS_OK)
        return status;
    n = s->daily.n_days;
    if (n > s->cap_standings) {
        free(s->standings);
        s->cap_standings = 0;
        s->standings = malloc(n * sizeof *s->standings);
        if (s->standings == NULL)
            return STATUS_NO_MEMORY;
        s->cap_standings = n;
    }
    if (n != 0)
        memset(s->standings, 0, n * sizeof *s->standings);
    memset(s->by_exit_hour_e8, 0, sizeof s->by_exit_hour_e8);
    memset(s->by_entry_hour_e8, 0, sizeof s->by_entry_hour_e8);
    s->now = (struct standing){0};
    s->curve_e8 = 0;
    drawdown_begin(&s->drawdown, 0, 0);
    day_clock_init(&s->entry_clock, &s->journal->account);
    day_clock_init(&s->exit_clock, &s->journal->account);
    return STATUS_OK;
}

static void add_to_windows(struct time_series *s, bool won)
{
    struct standing *now = &s->now;

    for (int i = 0; i < WIN_WINDOWS; i++) {
        size_t k = win_windows[i].trades;

        if (now->n_history >= k)
            now->wins[i] -= s->won[(now->n_history - k) % LONGEST_WIN_WINDOW];
        now->wins[i] += won;
    }
    s->won[now->n_history++ % LONGEST_WIN_WINDOW] = won;
}

static void add_trade(struct time_series *s, const struct trade *t)
{
    struct trade_values v = trade_values_of(t);

    add_to_windows(s, v.outcome == OUTCOME_WIN);
    if (t->exit_day.days > s->daily.end.days)
        return;
    daily_add(&s->daily, &v);
    if (!time_range_has(&s->metrics->range, t->exit_day))
        return;
    s->curve_e8 += v.net_e8;
    s->by_exit_hour_e8[day_clock_hour(&s->exit_clock, t->exit)] += v.net_e8;
    s->by_entry_hour_e8[day_clock_hour(&s->entry_clock, t->entry)] += v.net_e8;
}

/* After the trades that exited at one instant: one point of the equity curve, if it lies in the range. */
static void end_group(struct time_series *s, struct date day)
{
    struct standing *standing;
    wide_int deepest;

    if (!time_range_has(&s->metrics->range, day))
        return;
    standing = &s->standings[day.days - s->daily.first.days];
    deepest = standing->deepest_e8;
    drawdown_step(&s->drawdown, s->curve_e8, day);
    *standing = s->now;
    standing->peak_e8 = s->drawdown.peak_e8;
    standing->drawdown_e8 = s->drawdown.peak_e8 - s->curve_e8;
    standing->deepest_e8 = standing->drawdown_e8 > deepest ? standing->drawdown_e8 : deepest;
}

static void add_all(struct time_series *s)
{
    const struct trade *closed = s->journal->closed;
    size_t n = s->journal->n_closed, n_group = 0;

    for (size_t i = 0; i < n; i++) {
        if (asset_has(s->asset, &closed[i])) {
            add_trade(s, &closed[i]);
            n_group++;
        }
        if (i + 1 < n && closed[i + 1].exit.us == closed[i].exit.us)
            continue;
        if (n_group != 0)
            end_group(s, closed[i].exit_day);
        n_group = 0;
    }
}

enum status time_series_compute(struct time_series *s, const struct journal *journal, enum asset asset,
                                const struct range_metrics *metrics)
{
    wide_int opening = journal->account.starting_equity_e8;
    enum status status;

    s->journal = journal;
    s->asset = asset;
    s->metrics = metrics;
    status = begin(s);
    if (status != STATUS_OK)
        return status;
    add_all(s);
    return daily_observe(&s->daily, &journal->account, metrics->risk.on_equity ? &opening : NULL);
}

/* --- days of the range ----------------------------------------------------------------------------- */

/* Index of the next day with exits at or after the i-th observation day; daily.n: none. */
static size_t next_active(const struct time_series *s, size_t i)
{
    while (i < s->daily.n && s->daily.days[i].n == 0)
        i++;
    return i;
}

static size_t first_active(const struct time_series *s)
{
    const struct time_range *range = &s->metrics->range;

    return next_active(s, range->has_start ? daily_from(&s->daily, range->start) : 0);
}

static const struct standing *standing_of(const struct time_series *s, size_t i)
{
    return &s->standings[s->daily.days[i].date.days - s->daily.first.days];
}

/* --- P&L by period --------------------------------------------------------------------------------- */

enum period { PERIOD_DAY, PERIOD_WEEK, PERIOD_MONTH };

static struct date period_start(enum period period, struct date day)
{
    switch (period) {
    case PERIOD_WEEK: return date_add_days(day, -((date_weekday(day) + 6) % 7));
    case PERIOD_MONTH: return date_first_of_month(day);
    case PERIOD_DAY: break;
    }
    return day;
}

static void write_period_name(enum period period, struct date start, struct json_writer *w)
{
    char text[40];
    struct civil civil = date_to_civil(start);
    int year, week;

    json_key(w, "date");
    switch (period) {
    case PERIOD_DAY: date_format(start, text); break;
    case PERIOD_WEEK:
        date_iso_week(start, &year, &week);
        (void)snprintf(text, sizeof text, "%04d-W%02d", year, week);
        break;
    case PERIOD_MONTH: (void)snprintf(text, sizeof text, "%04d-%02d", civil.year, civil.month); break;
    }
    json_string(w, text);
    if (period != PERIOD_DAY)
        write_date(w, "start_date", true, start);
}

static void write_pnl(const struct time_series *s, const char *key, enum period period, struct json_writer *w)
{
    wide_int cumulative = 0;

    json_key(w, key);
    json_array_begin(w);
    for (size_t i = first_active(s); i < s->daily.n;) {
        struct date start = period_start(period, s->daily.days[i].date);
        wide_int net = 0;
        size_t n = 0;

        for (; i < s->daily.n && period_start(period, s->daily.days[i].date).days == start.days;
             i = next_active(s, i + 1)) {
            net += s->daily.days[i].net_e8;
            n += s->daily.days[i].n;
        }
        cumulative += net;
        json_object_begin(w);
        write_period_name(period, start, w);
        write_money(w, "value", net);
        write_money(w, "cumulative_value", cumulative);
        write_count(w, "trade_count", n);
        json_object_end(w);
    }
    json_array_end(w);
}

/* --- rolling values -------------------------------------------------------------------------------- */

static void write_win_rates(const struct time_series *s, int window, struct json_writer *w)
{
    size_t k = win_windows[window].trades;

    json_key(w, win_windows[window].key);
    json_array_begin(w);
    for (size_t i = first_active(s); i < s->daily.n; i = next_active(s, i + 1)) {
        const struct standing *standing = standing_of(s, i);
        bool full = standing->n_history >= k;

        json_object_begin(w);
        write_date(w, "date", true, s->daily.days[i].date);
        write_percentage(w, "value", standing->wins[window], full ? (wide_int)k : 0);
        write_percentage(w, "cumulative_value", standing->wins[window], full ? (wide_int)k : 0);
        write_count(w, "trade_count", full ? k : standing->n_history);
        json_object_end(w);
    }
    json_array_end(w);
}

/* Of the k observation days that end with the i-th. */
static double rolling_sharpe(const struct time_series *s, size_t i, size_t k, double daily_rate)
{
    const struct daily *d = &s->daily;
    size_t from = i + 1 - k;

    if (i + 1 < k)
        return NAN;
    if (!d->has_equity)
        return sharpe_ratio(d->net + from, k, false, 0);
    for (size_t j = from; j <= i; j++)
        if (d->equity_e8[j] <= 0)
            return NAN;
    return sharpe_ratio(d->returns + from, k, true, daily_rate);
}

static void write_sharpes(const struct time_series *s, int window, struct json_writer *w)
{
    size_t k = sharpe_windows[window].days;
    double daily_rate = daily_risk_free_rate(&s->journal->account);

    json_key(w, sharpe_windows[window].key);
    json_array_begin(w);
    for (size_t i = first_active(s); i < s->daily.n; i = next_active(s, i + 1)) {
        double sharpe = rolling_sharpe(s, i, k, daily_rate);
        size_t exits = 0;

        for (size_t j = i + 1 < k ? 0 : i + 1 - k; j <= i; j++)
            exits += s->daily.days[j].n;
        json_object_begin(w);
        write_date(w, "date", true, s->daily.days[i].date);
        write_float(w, "value", sharpe, 6);
        write_float(w, "cumulative_value", sharpe, 6);
        write_count(w, "trade_count", exits);
        json_object_end(w);
    }
    json_array_end(w);
}

/* --- profit by what the clock and the calendar said ------------------------------------------------ */

static void write_weekdays(const struct time_series *s, struct json_writer *w)
{
    static const char *const names[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
    wide_int sums[7] = {0};

    for (size_t i = first_active(s); i < s->daily.n; i = next_active(s, i + 1))
        sums[date_weekday(s->daily.days[i].date)] += s->daily.days[i].net_e8;
    json_key(w, "profit_by_day_of_week");
    json_object_begin(w);
    for (int day = 0; day < 7; day++)
        write_money(w, names[day], sums[day]);
    json_object_end(w);
}

static void write_months(const struct time_series *s, struct json_writer *w)
{
    static const char *const names[] = {"January", "February", "March",     "April",   "May",      "June",
                                        "July",    "August",   "September", "October", "November", "December"};
    wide_int sums[12] = {0};

    for (size_t i = first_active(s); i < s->daily.n; i = next_active(s, i + 1))
        sums[date_to_civil(s->daily.days[i].date).month - 1] += s->daily.days[i].net_e8;
    json_key(w, "profit_by_month");
    json_object_begin(w);
    for (int month = 0; month < 12; month++)
        write_money(w, names[month], sums[month]);
    json_object_end(w);
}

static void write_hours(const char *key, const wide_int sums_e8[HOURS], struct json_writer *w)
{
    json_key(w, key);
    json_object_begin(w);
    for (int hour = 0; hour < HOURS; hour++) {
        char name[] = {(char)('0' + hour / 10), (char)('0' + hour % 10), '\0'};

        write_money(w, name, sums_e8[hour]);
    }
    json_object_end(w);
}

/* --- the rest -------------------------------------------------------------------------------------- */

static void write_drawdowns(const struct time_series *s, struct json_writer *w)
{
    const struct risk *risk = &s->metrics->risk;

    json_key(w, "drawdown_curve");
    json_array_begin(w);
    for (size_t i = first_active(s); i < s->daily.n; i = next_active(s, i + 1)) {
        const struct standing *standing = standing_of(s, i);

        json_object_begin(w);
        write_date(w, "date", true, s->daily.days[i].date);
        write_money(w, "value", standing->drawdown_e8);
        write_money(w, "cumulative_value", standing->drawdown_e8);
        write_count(w, "trade_count", s->daily.days[i].n);
        write_money(w, "max_value", standing->deepest_e8);
        write_percentage(w, "percentage", standing->drawdown_e8,
                         risk->on_equity ? risk->opening_e8 + standing->peak_e8 : 0);
        json_object_end(w);
    }
    json_array_end(w);
}

static void write_scalars(const struct range_metrics *metrics, struct json_writer *w)
{
    const struct risk *risk = &metrics->risk;
    const struct totals *totals = &metrics->totals;

    write_money(w, "cumulative_return", totals->net_e8);
    write_percentage(w, "total_return_percentage", totals->net_e8,
                     risk->on_equity && totals->n != 0 ? risk->opening_e8 : 0);
    write_float(w, "annualized_return", 100 * risk->growth, 4);
    write_count(w, "total_trades", totals->n);
}

void time_series_write(const struct time_series *s, struct json_writer *w)
{
    json_object_begin(w);
    write_pnl(s, "daily_pnl", PERIOD_DAY, w);
    write_pnl(s, "weekly_pnl", PERIOD_WEEK, w);
    write_pnl(s, "monthly_pnl", PERIOD_MONTH, w);
    for (int i = 0; i < WIN_WINDOWS; i++)
        write_win_rates(s, i, w);
    for (int i = 0; i < SHARPE_WINDOWS; i++)
        write_sharpes(s, i, w);
    write_weekdays(s, w);
    write_months(s, w);
    write_hours("profit_by_hour", s->by_exit_hour_e8, w);
    write_hours("profit_by_entry_hour", s->by_entry_hour_e8, w);
    write_drawdowns(s, w);
    write_scalars(s->metrics, w);
    json_object_end(w);
}

static void write_empty(const char *key, bool map, struct json_writer *w)
{
    json_key(w, key);
    if (map) {
        json_object_begin(w);
        json_object_end(w);
    } else {
        json_array_begin(w);
        json_array_end(w);
    }
}

void time_series_write_scalars(const struct range_metrics *metrics, struct json_writer *w)
{
    json_object_begin(w);
    write_empty("daily_pnl", false, w);
    write_empty("weekly_pnl", false, w);
    write_empty("monthly_pnl", false, w);
    for (int i = 0; i < WIN_WINDOWS; i++)
        write_empty(win_windows[i].key, false, w);
    for (int i = 0; i < SHARPE_WINDOWS; i++)
        write_empty(sharpe_windows[i].key, false, w);
    write_empty("profit_by_day_of_week", true, w);
    write_empty("profit_by_month", true, w);
    write_empty("profit_by_hour", true, w);
    write_empty("profit_by_entry_hour", true, w);
    write_empty("drawdown_curve", false, w);
    write_scalars(metrics, w);
    json_object_end(w);
}
