#include "jobs/analytics/rollup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The trades from one range start up to the next. */
struct segment {
    bool unbounded;
    bool has_curve, in_opening_year; /* see below */
    struct date start;
    size_t first, first_r; /* index of its first trade in the columns, of its first R */
    size_t n_stocks;
    wide_int opening_e8; /* P&L of everything before it */
    struct tally tally;
    struct core core;
    struct risk_sums risk;
    struct performance_sums performance;
    struct options_metrics options;
    /* of the curve that begins here and runs to the end of the pass */
    struct drawdown drawdown;
    struct year_loss opening_year;
    double year_loss_sum;
    /* of its own trades */
    struct float_moments r_moments;
    struct integer_moments net_moments, size_moments;
    struct curve curve;
};

struct rollup {
    /* the selection's history */
    int64_t *exits_us;
    unsigned char *outcomes;
    size_t n_history;
    /* the trades in the longest range */
    int64_t *net_e8, *size_e8, *hold_us;
    size_t n;
    double *r;          /* of those with a defined risk */
    uint32_t *r_trades; /* their index in the journal */
    size_t n_r;
    size_t cap;

    struct segment segments[ROLLUP_MAX_RANGES];
    size_t n_segments, present; /* present: number of segments begun */
    struct daily daily;
    struct ranking ranking;

    /* of the pass */
    const struct journal *journal;
    enum asset asset;
    struct date end;
    bool has_starting_equity;
    wide_int curve_e8;     /* cumulative P&L */
    struct year_loss year; /* the present calendar year, from its beginning */
    struct date year_end;
};

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
    return (double)(p->journal->account.starting_equity_e8 + p->curve_e8);
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
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (exits_us[middle] <= entry_us)
            low = middle + 1;
        else
            high = middle;
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
        int64_t net = trade_net_e8(&closed[i]);

        if (!selected(p, &closed[i]))
            continue;
        p->exits_us[p->n_history] = closed[i].exit.us;
        p->outcomes[p->n_history++] = (unsigned char)(1 + (net > 0) - (net < 0));
    }
    if (p->n_history == begin || is_before_ranges(p, day) || day.days > p->end.days)
        return;
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

/* --- ranges ---------------------------------------------------------------------------------------- */

static size_t segment_end(const struct rollup *p, size_t i)
{
    return i + 1 < p->present ? p->segments[i + 1].first : p->n;
}

static size_t segment_end_r(const struct rollup *p, size_t i)
{
    return i + 1 < p->present ? p->segments[i + 1].first_r : p->n_r;
}

static void reduce_segments(struct rollup *p)
{
    for (size_t i = 0; i < p->present; i++) {
        struct segment *s = &p->segments[i];
        size_t n = segment_end(p, i) - s->first;

        integer_moments_of(p->net_e8 + s->first, n, &s->net_moments);
        integer_moments_of(p->size_e8 + s->first, n, &s->size_moments);
        float_moments_of(p->r + s->first_r, segment_end_r(p, i) - s->first_r, &s->r_moments);
        curve_of(p->net_e8 + s->first, n, &s->curve);
    }
}

/* Each segment takes in the later ones, last to first, and so becomes a range. */
static void merge_segments(struct rollup *p)
{
    for (size_t i = p->present; i-- > 1;) {
        struct segment *into = &p->segments[i - 1];
        const struct segment *later = &p->segments[i];

        into->n_stocks += later->n_stocks;
        tally_merge(&into->tally, &later->tally);
        core_merge(&into->core, &later->core);
        risk_merge(&into->risk, &later->risk);
        performance_merge(&into->performance, &later->performance);
        options_metrics_merge(&into->options, &later->options);
        integer_moments_merge(&into->net_moments, &later->net_moments);
        integer_moments_merge(&into->size_moments, &later->size_moments);
        float_moments_merge(&into->r_moments, &later->r_moments);
    }
}

/* metrics.md 8: the standard error is 0 when the trades after the first are all equal. */
static bool is_straight(const struct rollup *p, size_t first)
{
    size_t i = p->n - 1;

    while (i > first + 1 && p->net_e8[i - 1] == p->net_e8[i])
        i--;
    return i <= first + 1;
}

static double k_ratio(const struct rollup *p, size_t segment)
{
    struct curve curves[ROLLUP_MAX_RANGES];
    size_t n = 0, first = p->segments[segment].first;

    if (p->n - first < 3 || is_straight(p, first))
        return NAN;
    for (size_t i = segment; i < p->present; i++)
        curves[n++] = p->segments[i].curve;
    return curve_k_ratio(curves, n, p->net_e8[first]);
}

static double t_statistic(const struct integer_moments *net, const struct totals *totals)
{
    double n = (double)net->n;

    if (net->n < 2 || trade_net_e8(totals->best) == trade_net_e8(totals->worst))
        return NAN;
    return (double)net->sum / n / (sample_deviation(net->squares, net->n) / sqrt(n));
}

/* The curve of a range: that of the first segment with trades. */
static const struct segment *curve_segment(const struct rollup *p, size_t segment)
{
    for (size_t i = segment; i < p->present; i++)
        if (p->segments[i].has_curve)
            return &p->segments[i];
    return NULL;
}

static void finish_range(struct rollup *p, size_t segment, struct range_metrics *m)
{
    const struct segment *s = &p->segments[segment], *curve;
    struct risk_input risk = {.account = &p->journal->account, .daily = &p->daily, .end = p->end};
    bool begun = segment < p->present;

    m->tally = s->tally;
    m->totals = tally_totals(&s->tally);
    m->core = s->core;
    m->risk_sums = s->risk;
    m->options = s->options;
    m->n_stocks = s->n_stocks;
    m->performance = (struct performance){.sums = s->performance, .net = s->net_moments, .size = s->size_moments};
    m->performance.r = s->r_moments;

    curve = curve_segment(p, segment);
    risk.first_day = s->unbounded ? 0 : daily_from(&p->daily, s->start);
    risk.opening_e8 = (begun ? s->opening_e8 : p->curve_e8) + p->journal->account.starting_equity_e8;
    risk.totals = &m->totals;
    if (curve != NULL) {
        risk.drawdown = &curve->drawdown;
        risk.year_loss_sum = curve->year_loss_sum;
    }
    risk_compute(&risk, &m->risk);
    day_statistics_compute(&p->daily, risk.first_day, p->end, &m->performance.days);
    m->t_statistic = t_statistic(&s->net_moments, &m->totals);
    m->k_ratio = begun ? k_ratio(p, segment) : NAN;
}

/* --- medians --------------------------------------------------------------------------------------- */

static enum status rank_integers(struct rollup *p, const int64_t *values)
{
    enum status status = ranking_resize(&p->ranking, p->n);

    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < p->n; i++)
        p->ranking.keys[i] = ranking_key_int64(values[i]);
    ranking_sort(&p->ranking);
    return STATUS_OK;
}

static struct ratio integer_median(const struct rollup *p, const int64_t *values, size_t first)
{
    size_t n = p->n - first;
    uint32_t low, high;

    if (n == 0)
        return (struct ratio){0, 0};
    ranking_select(&p->ranking, (uint32_t)first, (n - 1) / 2, &low, &high);
    if (n % 2 != 0)
        high = low;
    return (struct ratio){(wide_int)values[low] + values[high], 2};
}

static const struct trade *r_trade(const struct rollup *p, uint32_t i)
{
    return &p->journal->closed[p->r_trades[i]];
}

static bool r_is_less(const void *context, uint32_t a, uint32_t b)
{
    const struct trade *x = r_trade(context, a), *y = r_trade(context, b);

    return (wide_int)trade_net_e8(x) * y->risk_e8 < (wide_int)trade_net_e8(y) * x->risk_e8;
}

/* Sorted as doubles, then exactly where their rounding leaves the order open: each is within 2 units in the
 * last place of the exact ratio. */
static enum status rank_r(struct rollup *p)
{
    enum status status = ranking_resize(&p->ranking, p->n_r);

    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < p->n_r; i++)
        p->ranking.keys[i] = ranking_key_double(p->r[i]);
    ranking_sort(&p->ranking);
    ranking_settle(&p->ranking, 8, r_is_less, p);
    return STATUS_OK;
}

static struct ratio r_median(const struct rollup *p, size_t first)
{
    size_t n = p->n_r - first;
    const struct trade *low, *high;
    uint32_t at, next;

    if (n == 0)
        return (struct ratio){0, 0};
    ranking_select(&p->ranking, (uint32_t)first, (n - 1) / 2, &at, &next);
    low = r_trade(p, at);
    if (n % 2 != 0)
        return (struct ratio){trade_net_e8(low), low->risk_e8};
    high = r_trade(p, next);
    return (struct ratio){(wide_int)trade_net_e8(low) * high->risk_e8 + (wide_int)trade_net_e8(high) * low->risk_e8,
                          2 * (wide_int)low->risk_e8 * high->risk_e8};
}

static size_t first_of(const struct rollup *p, size_t segment)
{
    return segment < p->present ? p->segments[segment].first : p->n;
}

static size_t first_r_of(const struct rollup *p, size_t segment)
{
    return segment < p->present ? p->segments[segment].first_r : p->n_r;
}

static enum status set_medians(struct rollup *p, const size_t *segments, size_t n_ranges, struct range_metrics *metrics)
{
    enum status status = rank_integers(p, p->net_e8);

    for (size_t i = 0; status == STATUS_OK && i < n_ranges; i++)
        metrics[i].performance.median_net = integer_median(p, p->net_e8, first_of(p, segments[i]));
    if (status == STATUS_OK)
        status = rank_integers(p, p->hold_us);
    for (size_t i = 0; status == STATUS_OK && i < n_ranges; i++)
        metrics[i].performance.median_hold = integer_median(p, p->hold_us, first_of(p, segments[i]));
    if (status == STATUS_OK)
        status = rank_r(p);
    for (size_t i = 0; status == STATUS_OK && i < n_ranges; i++)
        metrics[i].performance.median_r = r_median(p, first_r_of(p, segments[i]));
    return status;
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
    p->has_starting_equity = asset == ASSET_ALL && account->has_starting_equity && account->starting_equity_e8 > 0;
    p->n = p->n_r = p->n_history = 0;
    p->year_end = (struct date){INT32_MIN};
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
    reduce_segments(p);
    merge_segments(p);
    for (size_t i = 0; i < n_ranges; i++) {
        segments[i] = segment_of(p, &ranges[i]);
        ret_metrics[i].range = ranges[i];
        finish_range(p, segments[i], &ret_metrics[i]);
    }
    return set_medians(p, segments, n_ranges, ret_metrics);
}
