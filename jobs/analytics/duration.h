/* Duration buckets (metrics.md 10). */
#ifndef PNLCACHE_JOBS_ANALYTICS_DURATION_H
#define PNLCACHE_JOBS_ANALYTICS_DURATION_H

#include "jobs/analytics/core.h"

/* The object `duration_performance`. */
void duration_write(const struct tally *tally, const struct core *core, const struct totals *totals,
                    const struct journal *journal, struct json_writer *w);

#endif
