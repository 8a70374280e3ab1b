/* Medians of every range, each from one ranking of the longest. */
#include "jobs/analytics/rollup_internal.h"

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

enum status rollup_set_medians(struct rollup *p, const size_t *segments, size_t n_ranges, struct range_metrics *metrics)
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
