/* From segments to ranges. */
#include "jobs/analytics/rollup_internal.h"

#include <math.h>

static size_t segment_end(const struct rollup *p, size_t i)
{
    return i + 1 < p->present ? p->segments[i + 1].first : p->n;
}

static size_t segment_end_r(const struct rollup *p, size_t i)
{
    return i + 1 < p->present ? p->segments[i + 1].first_r : p->n_r;
}

void rollup_reduce_segments(struct rollup *p)
{
    for (size_t i = 0; i < p->present; i++) {
        struct segment *s = &p->segments[i];
        size_t n = segment_end(p, i) - s->first;

        integer_moments_of(p->net_e8 + s->first, n, &s->net_moments);
        integer_moments_of(p->size_e8 + s->first, n, &s->size_moments);
        float_moments_of(p->r + s->first_r, segment_end_r(p, i) - s->first_r, &s->r_moments);
        curve_of(p->net_e8 + s->first, n, s->net_moments.sum, &s->curve);
    }
}

/* Last to first; so each becomes a range. */
void rollup_merge_segments(struct rollup *p)
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

void rollup_finish_range(struct rollup *p, size_t segment, struct range_metrics *m)
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
