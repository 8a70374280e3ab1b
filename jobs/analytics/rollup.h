/* The one pass over a selection's trades that feeds every section of every range.
 *
 * All ranges of a pass end on the same day, so each is a tail of the canonical order. The pass adds every
 * trade to the segment between two consecutive range starts that it falls in; what a range needs is then
 * merged from its segments, last to first, so that no trade is touched once per range. Only equity curves,
 * whose spells do not merge, run one small state machine per segment start; days, of which there are few,
 * are walked once per range. */
#ifndef PNLCACHE_JOBS_ANALYTICS_ROLLUP_H
#define PNLCACHE_JOBS_ANALYTICS_ROLLUP_H

#include "jobs/analytics/core.h"
#include "jobs/analytics/options_metrics.h"
#include "jobs/analytics/performance.h"
#include "jobs/analytics/risk.h"
#include "jobs/analytics/time_range.h"

#define ROLLUP_MAX_RANGES 9

/* Everything known about one range. */
struct range_metrics {
    struct time_range range;
    struct tally tally;
    struct totals totals;
    struct core core;
    struct risk_sums risk_sums;
    struct risk risk;
    struct performance performance;
    struct options_metrics options;
    double t_statistic, k_ratio; /* NAN: undefined */
    size_t n_stocks;             /* the rest of totals.n are options */
};

struct rollup; /* scratch memory, kept between passes */

enum status rollup_new(struct rollup **ret_rollup) MUST_CHECK;
void rollup_free(struct rollup **rollup);

/* ranges must all end on the same day; only one when the journal's days go back. STATUS_NO_MEMORY. */
enum status rollup_run(struct rollup *rollup, const struct journal *journal, enum asset asset,
                       const struct time_range *ranges, size_t n_ranges, struct range_metrics *ret_metrics) MUST_CHECK;

#endif
