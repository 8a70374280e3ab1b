/* Core metrics (metrics.md 7). */
#ifndef PNLCACHE_JOBS_ANALYTICS_CORE_H
#define PNLCACHE_JOBS_ANALYTICS_CORE_H

#include "jobs/analytics/journal.h"
#include "jobs/analytics/statistics.h"
#include "jobs/analytics/tally.h"
#include "lib/json/json_writer.h"

/* Runs of equal outcomes in canonical order; [0] losses, [1] wins. */
struct streaks {
    size_t n;                                /* trades, break-evens too */
    size_t prefix[2], suffix[2], longest[2]; /* runs at the start, at the end, anywhere */
};

struct core {
    wide_int gross_e8, commissions_e8, fees_e8, size_e8;
    struct float_sum returns[OUTCOMES]; /* fractions of size */
    size_t n_returns[OUTCOMES];
    struct streaks streaks;
};

void core_add(struct core *core, const struct trade_values *v);
void core_merge(struct core *into, const struct core *later);
/* The object `core_metrics`. */
void core_write(const struct core *core, const struct totals *totals, const struct journal *journal,
                struct json_writer *w);

#endif
