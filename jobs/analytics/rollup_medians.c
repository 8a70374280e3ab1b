/* Medians of every range, found together. */
#include "jobs/analytics/rollup_internal.h"

/* The middle places of the segments' tails, of the column of R or of the others. The number of tails that hold any value:
 * they are the first ones, because segments ascend. */
static size_t place_medians(const struct rollup *p, bool of_r, struct ranking_place places[ROLLUP_MAX_RANGES])
{
    size_t n = of_r ? p->n_r : p->n, i;

    for (i = 0; i < p->present; i++) {
        size_t first = of_r ? p->segments[i].first_r : p->segments[i].first;

        if (first == n)
            break;
        places[i] = (struct ranking_place){.first = (uint32_t)first, .k = (n - first - 1) / 2};
    }
    return i;
}

/* One for each segment; denominator 0: it has none. */
static enum status integer_medians(struct rollup *p, const int64_t *values, struct ratio medians[ROLLUP_MAX_RANGES])
{
    struct ranking_place places[ROLLUP_MAX_RANGES];
    size_t n = place_medians(p, false, places);
    enum status status = ranking_find_integers(&p->ranking, values, p->n, places, n);

    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        bool odd = (p->n - places[i].first) % 2 != 0;

        medians[i].numerator = (wide_int)values[places[i].position] + values[odd ? places[i].position : places[i].next];
        medians[i].denominator = 2;
    }
    return status;
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

static struct ratio r_median(const struct rollup *p, const struct ranking_place *place)
{
    const struct trade *low = r_trade(p, place->position), *high = r_trade(p, place->next);

    if ((p->n_r - place->first) % 2 != 0)
        return (struct ratio){trade_net_e8(low), low->risk_e8};
    return (struct ratio){(wide_int)trade_net_e8(low) * high->risk_e8 + (wide_int)trade_net_e8(high) * low->risk_e8,
                          2 * (wide_int)low->risk_e8 * high->risk_e8};
}

/* Ordered as doubles, then exactly where their rounding leaves the order open: each is within 2 units in the
 * last place of the exact ratio. */
static enum status r_medians(struct rollup *p, struct ratio medians[ROLLUP_MAX_RANGES])
{
    struct ranking_order exact = {r_is_less, p};
    struct ranking_place places[ROLLUP_MAX_RANGES];
    size_t n = place_medians(p, true, places);
    enum status status = ranking_find_doubles(&p->ranking, p->r, p->n_r, &exact, places, n);

    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        medians[i] = r_median(p, &places[i]);
    return status;
}

enum status rollup_set_medians(struct rollup *p, const size_t *segments, size_t n_ranges, struct range_metrics *metrics)
{
    struct ratio net[ROLLUP_MAX_RANGES] = {0}, hold[ROLLUP_MAX_RANGES] = {0}, r[ROLLUP_MAX_RANGES] = {0};
    enum status status = integer_medians(p, p->net_e8, net);

    if (status == STATUS_OK)
        status = integer_medians(p, p->hold_us, hold);
    if (status == STATUS_OK)
        status = r_medians(p, r);
    for (size_t i = 0; i < n_ranges && status == STATUS_OK; i++) {
        metrics[i].performance.median_net = net[segments[i]];
        metrics[i].performance.median_hold = hold[segments[i]];
        metrics[i].performance.median_r = r[segments[i]];
    }
    return status;
}
