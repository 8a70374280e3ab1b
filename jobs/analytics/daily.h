/* The days of a selection (metrics.md 6): P&L by trading day, the observation days and the account's
 * equity before each. Every range that ends with the selection sees the tail of these arrays. */
#ifndef PNLCACHE_JOBS_ANALYTICS_DAILY_H
#define PNLCACHE_JOBS_ANALYTICS_DAILY_H

#include "jobs/analytics/journal.h"
#include "jobs/analytics/ranking.h"
#include "jobs/analytics/tally.h"

struct day {
    wide_int net_e8;
    uint32_t n, wins, losses;
    struct date date;
};

struct daily {
    struct date first, end; /* calendar days of `days`; n_days 0: nothing to observe */
    struct day *days;       /* every calendar day; compacted to observation days by daily_observe() */
    size_t n_days, cap_days;
    size_t n;            /* observation days */
    double *net;         /* their P&L in 10^-8 units */
    double *returns;     /* P&L / equity before the day; only with has_equity */
    wide_int *equity_e8; /* account equity before the day; only with has_equity */
    size_t cap;
    bool has_equity;
    size_t n_without_equity; /* the first observation day after which equity stays positive */
    struct ranking by_net, by_return;
};

void daily_release(struct daily *d);
/* Empties it for the calendar days first..end (none when first > end). */
enum status daily_begin(struct daily *d, struct date first, struct date end) MUST_CHECK;
static inline void daily_add(struct daily *d, const struct trade_values *v)
{
    struct day *day = &d->days[v->trade->exit_day.days - d->first.days];

    day->net_e8 += v->net_e8;
    day->n++;
    day->wins += v->outcome == OUTCOME_WIN;
    day->losses += v->outcome == OUTCOME_LOSS;
}
/* After the last trade: keeps the observation days and computes the rest. opening_e8: account equity
 * before `first`, or NULL when there is no return base. */
enum status daily_observe(struct daily *d, const struct account *account, const wide_int *opening_e8) MUST_CHECK;
/* Index of the first observation day at or after `start`. */
size_t daily_from(const struct daily *d, struct date start);

#endif
