#include "jobs/analytics/rollup_internal.h"

#include <stdlib.h>
#include <string.h>

enum status rollup_new(struct rollup **ret_rollup)
{
    *ret_rollup = calloc(1, sizeof **ret_rollup);
    return *ret_rollup == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

static void free_columns(struct rollup *p)
{
    free(p->exits_us);
    free(p->outcomes);
    free(p->net_e8);
    free(p->size_e8);
    free(p->hold_us);
    free(p->r);
    free(p->r_trades);
    p->exits_us = p->net_e8 = p->size_e8 = p->hold_us = NULL;
    p->outcomes = NULL;
    p->r = NULL;
    p->r_trades = NULL;
    p->cap = 0;
}

void rollup_free(struct rollup **rollup)
{
    struct rollup *p = *rollup;

    if (p == NULL)
        return;
    free_columns(p);
    daily_release(&p->daily);
    ranking_release(&p->ranking);
    free(p);
    *rollup = NULL;
}

static enum status reserve_columns(struct rollup *p, size_t n)
{
    if (p->cap != 0 && n <= p->cap)
        return STATUS_OK;
    n = n == 0 ? 1 : n; /* there is always a column to point into */
    free_columns(p);
    p->exits_us = malloc(n * sizeof *p->exits_us);
    p->outcomes = malloc(n * sizeof *p->outcomes);
    p->net_e8 = malloc(n * sizeof *p->net_e8);
    p->size_e8 = malloc(n * sizeof *p->size_e8);
    p->hold_us = malloc(n * sizeof *p->hold_us);
    p->r = malloc(n * sizeof *p->r);
    p->r_trades = malloc(n * sizeof *p->r_trades);
    if (p->exits_us == NULL || p->outcomes == NULL || p->net_e8 == NULL || p->size_e8 == NULL || p->hold_us == NULL ||
        p->r == NULL || p->r_trades == NULL) {
        free_columns(p);
        return STATUS_NO_MEMORY;
    }
    p->cap = n;
    return STATUS_OK;
}

/* --- segments -------------------------------------------------------------------------------------- */

static int compare_segments(const void *a, const void *b)
{
    const struct segment *x = a, *y = b;

    if (x->unbounded || y->unbounded)
        return (int)y->unbounded - (int)x->unbounded;
    return (x->start.days > y->start.days) - (x->start.days < y->start.days);
}

static void set_segments(struct rollup *p, const struct time_range *ranges, size_t n_ranges)
{
    size_t n = 0;

    memset(p->segments, 0, sizeof p->segments);
    for (size_t i = 0; i < n_ranges; i++) {
        p->segments[i].unbounded = !ranges[i].has_start;
        p->segments[i].start = ranges[i].start;
    }
    qsort(p->segments, n_ranges, sizeof p->segments[0], compare_segments);
    for (size_t i = 0; i < n_ranges; i++)
        if (n == 0 || compare_segments(&p->segments[n - 1], &p->segments[i]) != 0)
            p->segments[n++] = p->segments[i];
    p->n_segments = n;
    p->present = 0;
}

/* The segment that begins where the range does. */
static size_t segment_of(const struct rollup *p, const struct time_range *range)
{
    struct segment wanted = {.unbounded = !range->has_start, .start = range->start};
    size_t i = 0;

    while (compare_segments(&p->segments[i], &wanted) != 0)
        i++;
    return i;
}

static bool selected(const struct rollup *p, const struct trade *t)
{
    return p->asset == ASSET_ALL || t->option == (p->asset == ASSET_OPTIONS);
}

static bool is_before_ranges(const struct rollup *p, struct date day)
{
    return !p->segments[0].unbounded && day.days < p->segments[0].start.days;
}

/* P&L of the trades before the longest range. */
static wide_int opening_pnl(const struct rollup *p)
{
    const struct journal *j = p->journal;
    wide_int sum = 0;

    for (size_t i = 0; i < j->n_closed; i++) {
        if (is_before_ranges(p, j->closed[i].exit_day))
            sum += selected(p, &j->closed[i]) ? trade_net_e8(&j->closed[i]) : 0;
        else if (!j->days_go_back)
            break;
    }
    return sum;
}

/* --- equity curves --------------------------------------------------------------------------------- */

static double equity(const struct rollup *p)
{
    return wide_to_double(p->journal->account.starting_equity_e8 + p->curve_e8);
}

static void begin_curve(struct rollup *p, struct segment *s)
{
    s->has_curve = true;
    drawdown_begin(&s->drawdown, p->curve_e8,
                   p->has_starting_equity ? (wide_int)p->journal->account.starting_equity_e8 : 0);
    s->in_opening_year = true;
    if (p->has_starting_equity)
        year_loss_begin(&s->opening_year, equity(p));
}

/* Books the calendar year that ended to every curve. */
static void end_year(struct rollup *p)
{
    for (size_t i = 0; i < p->present; i++) {
        struct segment *s = &p->segments[i];

        if (!s->has_curve)
            continue;
        s->year_loss_sum += s->in_opening_year ? s->opening_year.largest : p->year.largest;
        s->in_opening_year = false;
    }
}

/* One point of the equity curve: everything that exited at one instant. */
static void add_point(struct rollup *p, struct date day)
{
    double value;

    for (size_t i = 0; i < p->present; i++)
        if (p->segments[i].has_curve)
            drawdown_step(&p->segments[i].drawdown, p->curve_e8, day);
    if (!p->has_starting_equity)
        return;
    value = equity(p);
    year_loss_step(&p->year, value);
    for (size_t i = 0; i < p->present; i++)
        if (p->segments[i].in_opening_year)
            year_loss_step(&p->segments[i].opening_year, value);
}

/* --- the pass -------------------------------------------------------------------------------------- */

/* How many of the first n exits are at or before the entry: gallops back from the end, because the
 * previous close is usually near. */
static size_t closed_by(const int64_t *exits_us, size_t n, int64_t entry_us)
{
    size_t high = n, step = 1, low;

    while (step <= high && exits_us[high - step] > entry_us) {
        high -= step;
        step *= 2;
    }
    low = step <= high ? high - step : 0;
    /* Halves what is left without a branch, which would be a guess each time. */
    for (size_t left = high - low; left > 0; left /= 2) {
        size_t half = (left + 1) / 2;

        low += exits_us[low + half - 1] <= entry_us ? half : 0;
    }
    return low;
}

/* The outcome of the close before the trade at `self`'s entry (metrics.md 9). The exits of its own
 * instant end before group_end. */
static enum outcome previous_outcome(const struct rollup *p, const struct trade *t, size_t self, size_t group_end)
{
    size_t n = group_end;

    if (t->entry.us != t->exit.us)
        n = closed_by(p->exits_us, self, t->entry.us);
    else if (n - 1 == self)
        n--; /* the others, not itself */
    return n == 0 ? OUTCOMES : (enum outcome)p->outcomes[n - 1];
}

static void add_trade(struct rollup *p, struct segment *s, const struct trade_values *v)
{
    const struct trade *t = v->trade;

    p->net_e8[p->n] = v->net_e8;
    p->size_e8[p->n] = t->size_e8;
    p->hold_us[p->n] = v->hold_us;
    p->n++;
    if (t->risk_e8 != 0) {
        p->r[p->n_r] = v->r;
        p->r_trades[p->n_r++] = (uint32_t)(t - p->journal->closed);
    }
    s->n_stocks += !t->option;
    tally_add(&s->tally, v);
    core_add(&s->core, v);
    risk_add(&s->risk, v);
    performance_add(&s->performance, v);
    options_metrics_add(&s->options, v);
    daily_add(&p->daily, v);
    p->curve_e8 += v->net_e8;
}

/* Opens the segments that have begun by `day`; the last of them receives its trades. */
static void begin_segments(struct rollup *p, struct date day)
{
    while (p->present < p->n_segments) {
        struct segment *s = &p->segments[p->present];

        if (!s->unbounded && s->start.days > day.days)
            return;
        s->first = p->n;
        s->first_r = p->n_r;
        s->opening_e8 = p->curve_e8;
        p->present++;
    }
}

static void enter_day(struct rollup *p, struct date day)
{
    p->day = day;
    begin_segments(p, day);
    if (day.days <= p->year_end.days)
        return;
    end_year(p);
    p->year_end = date_from_civil(date_to_civil(day).year, 12, 31);
    if (p->has_starting_equity)
        year_loss_begin(&p->year, equity(p));
}

/* Trades [from, to) of the journal exit at one instant. */
static void add_group(struct rollup *p, size_t from, size_t to)
{
    const struct trade *closed = p->journal->closed;
    struct date day = closed[from].exit_day;
    size_t begin = p->n_history, self = begin;
    struct segment *s;

    for (size_t i = from; i < to; i++) {
        if (!selected(p, &closed[i]))
            continue;
        p->exits_us[p->n_history] = closed[i].exit.us;
        p->outcomes[p->n_history++] = (unsigned char)outcome_of(trade_net_e8(&closed[i]));
    }
    if (p->n_history == begin || is_before_ranges(p, day) || day.days > p->end.days)
        return;
    if (day.days != p->day.days)
        enter_day(p, day);
    s = &p->segments[p->present - 1];
    if (!s->has_curve)
        begin_curve(p, s);
    for (size_t i = from; i < to; i++) {
        struct trade_values v;

        if (!selected(p, &closed[i]))
            continue;
        v = trade_values_of(&closed[i]);
        v.previous = previous_outcome(p, &closed[i], self++, p->n_history);
        add_trade(p, s, &v);
    }
    add_point(p, day);
}

static void add_all(struct rollup *p)
{
    const struct journal *j = p->journal;
    size_t to;

    for (size_t from = 0; from < j->n_closed; from = to) {
        for (to = from + 1; to < j->n_closed && j->closed[to].exit.us == j->closed[from].exit.us; to++)
            ;
        add_group(p, from, to);
    }
    begin_segments(p, p->end);
    end_year(p);
}

/* --- driving --------------------------------------------------------------------------------------- */

/* F of metrics.md 6: the day of the selection's first exit; the day after the end when it has none. */
static struct date first_exit_day(const struct rollup *p)
{
    struct date first = date_add_days(p->end, 1);

    for (size_t i = 0; i < p->journal->n_closed; i++) {
        const struct trade *t = &p->journal->closed[i];

        if (!selected(p, t))
            continue;
        if (t->exit_day.days < first.days)
            first = t->exit_day;
        if (!p->journal->days_go_back)
            break;
    }
    return first;
}

static enum status begin_days(struct rollup *p)
{
    struct date first = first_exit_day(p);

    if (!p->segments[0].unbounded && p->segments[0].start.days > first.days)
        first = p->segments[0].start;
    return daily_begin(&p->daily, first, p->end);
}

static enum status observe_days(struct rollup *p)
{
    wide_int opening = p->journal->account.starting_equity_e8;

    opening += p->present > 0 ? p->segments[0].opening_e8 : p->curve_e8;
    return daily_observe(&p->daily, &p->journal->account, p->has_starting_equity ? &opening : NULL);
}

enum status rollup_run(struct rollup *p, const struct journal *journal, enum asset asset,
                       const struct time_range *ranges, size_t n_ranges, struct range_metrics *ret_metrics)
{
    size_t segments[ROLLUP_MAX_RANGES];
    const struct account *account = &journal->account;
    enum status status = reserve_columns(p, journal->n_closed);

    if (status != STATUS_OK)
        return status;
    p->journal = journal;
    p->asset = asset;
    p->end = ranges[0].end;
    p->has_starting_equity = asset == ASSET_ALL && account_has_equity(account);
    p->n = p->n_r = p->n_history = 0;
    p->day = p->year_end = (struct date){INT32_MIN};
    p->year = (struct year_loss){0};
    set_segments(p, ranges, n_ranges);
    p->curve_e8 = opening_pnl(p);
    status = begin_days(p);
    if (status != STATUS_OK)
        return status;
    add_all(p);
    status = observe_days(p);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < p->present; i++)
        drawdown_finish(&p->segments[i].drawdown, p->end);
    rollup_reduce_segments(p);
    rollup_merge_segments(p);
    for (size_t i = 0; i < n_ranges; i++) {
        segments[i] = segment_of(p, &ranges[i]);
        ret_metrics[i].range = ranges[i];
        rollup_finish_range(p, segments[i], &ret_metrics[i]);
    }
    return rollup_set_medians(p, segments, n_ranges, ret_metrics);
}
