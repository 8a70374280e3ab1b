/* Time series (metrics.md 11): what a selection earned by day, week, month, weekday and hour, and how its win
 * rate, Sharpe ratio and drawdown went, for one range.
 *
 * One pass over the history leaves one small record per calendar day; every series is then read from those.
 * Rolling values look back beyond the range, so the days are those of the history and not of the range. */
#ifndef PNLCACHE_JOBS_ANALYTICS_TIME_SERIES_H
#define PNLCACHE_JOBS_ANALYTICS_TIME_SERIES_H

#include "jobs/analytics/rollup.h"

struct time_series; /* keeps its memory between uses */

enum status time_series_new(struct time_series **ret_series) MUST_CHECK;
void time_series_free(struct time_series **series);

/* metrics: of the range, from a rollup of the same journal and asset; borrowed like the journal.
 * STATUS_NO_MEMORY. */
enum status time_series_compute(struct time_series *series, const struct journal *journal, enum asset asset,
                                const struct range_metrics *metrics) MUST_CHECK;
/* The object `time_series`. */
void time_series_write(const struct time_series *series, struct json_writer *w);
/* The same with its lists and maps empty (include_time_series=false); needs no time_series_compute(). */
void time_series_write_scalars(const struct range_metrics *metrics, struct json_writer *w);

#endif
