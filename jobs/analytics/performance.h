/* Performance metrics (metrics.md 9). */
#ifndef PNLCACHE_JOBS_ANALYTICS_PERFORMANCE_H
#define PNLCACHE_JOBS_ANALYTICS_PERFORMANCE_H

#include "jobs/analytics/core.h"
#include "jobs/analytics/daily.h"
#include "jobs/analytics/moments.h"
#include "jobs/analytics/risk.h"

#define R_CLASSES 5

/* Over trades, segment by segment. */
struct performance_sums {
    wide_int turnover_e8; /* sum of |gross| */
    wide_int slippage_e8, flawed_net_e8;
    wide_int size_after_e8[OUTCOMES]; /* size by outcome of the previous close */
    size_t n_after[OUTCOMES];
    size_t n_slippage, n_flawed, n_planned_rr;
    size_t n_positive_r, n_negative_r, r_distribution[R_CLASSES];
    struct float_sum planned_rr;
};

void performance_add(struct performance_sums *sums, const struct trade_values *v);
void performance_merge(struct performance_sums *into, const struct performance_sums *later);

/* What the days of one range with exits give. */
struct day_statistics {
    size_t n, winning, losing, most_trades;
    wide_int best_e8, worst_e8;
    size_t months, winning_months, quarters, winning_quarters;
    double month_rate_deviation; /* percent; NAN: undefined */
    struct date first_observed;
    struct date end;
};
void day_statistics_compute(const struct daily *daily, size_t first_day, struct date end,
                            struct day_statistics *ret_days);

/* Everything one range needs to print. */
struct performance {
    struct performance_sums sums;
    struct day_statistics days;
    struct integer_moments net, size;
    struct float_moments r;
    struct ratio median_net, median_hold, median_r; /* denominator 0: undefined */
};

/* The object `performance_metrics`. */
void performance_write(const struct performance *p, const struct core *core, const struct totals *totals,
                       struct json_writer *w);

#endif
