/* Counts, P&L and hold times of trades by outcome and duration bucket: what core, performance and
 * duration metrics have in common (metrics.md 5, 7, 9, 10). */
#ifndef PNLCACHE_JOBS_ANALYTICS_TALLY_H
#define PNLCACHE_JOBS_ANALYTICS_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "jobs/analytics/trade.h"
#include "lib/base/money.h"

enum outcome { OUTCOME_LOSS, OUTCOME_BREAK_EVEN, OUTCOME_WIN, OUTCOMES };
#define DURATION_BUCKETS 5

/* One closed trade on its way through the accumulators. */
struct trade_values {
    const struct trade *trade;
    int64_t net_e8, hold_us;
    enum outcome outcome;
    int duration_bucket;
    enum outcome previous; /* outcome of the previous close; OUTCOMES: there is none */
    double r;              /* meaningful when trade->risk_e8 != 0 */
};

static inline enum outcome outcome_of(int64_t net_e8)
{
    return (enum outcome)(1 + (net_e8 > 0) - (net_e8 < 0));
}

/* Inline: handed over in memory it would be read in wider pieces than it was written in, which stalls the processor. */
static inline struct trade_values trade_values_of(const struct trade *t)
{
    struct trade_values v = {.trade = t, .net_e8 = trade_net_e8(t), .hold_us = t->exit.us - t->entry.us};

    v.outcome = outcome_of(v.net_e8);
    /* Half-open bounds of metrics.md 10. */
    v.duration_bucket = (v.hold_us >= US_PER_DAY) + (v.hold_us >= 7 * US_PER_DAY) + (v.hold_us >= 28 * US_PER_DAY) +
                        (v.hold_us >= 90 * US_PER_DAY);
    v.previous = OUTCOMES;
    if (t->risk_e8 != 0)
        v.r = (double)v.net_e8 / (double)t->risk_e8;
    return v;
}

struct tally_cell {
    size_t count;
    wide_int net_e8, hold_us;
};

struct tally {
    struct tally_cell cells[DURATION_BUCKETS][OUTCOMES];
    const struct trade *best[DURATION_BUCKETS], *worst[DURATION_BUCKETS]; /* first of equals; NULL: empty */
};

static inline void tally_add(struct tally *tally, const struct trade_values *v)
{
    struct tally_cell *cell = &tally->cells[v->duration_bucket][v->outcome];
    const struct trade **best = &tally->best[v->duration_bucket], **worst = &tally->worst[v->duration_bucket];

    cell->count++;
    cell->net_e8 += v->net_e8;
    cell->hold_us += v->hold_us;
    if (*best == NULL || v->net_e8 > trade_net_e8(*best))
        *best = v->trade;
    if (*worst == NULL || v->net_e8 < trade_net_e8(*worst))
        *worst = v->trade;
}
/* `later` comes after `into` in canonical order. */
void tally_merge(struct tally *into, const struct tally *later);

/* Sums over duration buckets. */
struct totals {
    size_t n, wins, losses, break_evens;
    wide_int net_e8, gross_profit_e8, gross_loss_e8; /* gross_loss <= 0 */
    wide_int hold_us, hold_wins_us, hold_losses_us;
    const struct trade *best, *worst; /* of all trades, first in canonical order; NULL: no trade */
};
struct totals tally_totals(const struct tally *tally);

#endif
