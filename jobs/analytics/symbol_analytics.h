/* One symbol (metrics.md 15, SymbolAnalytics). */
#ifndef PNLCACHE_JOBS_ANALYTICS_SYMBOL_ANALYTICS_H
#define PNLCACHE_JOBS_ANALYTICS_SYMBOL_ANALYTICS_H

#include "jobs/analytics/journal.h"
#include "jobs/analytics/time_range.h"
#include "lib/json/json_writer.h"

/* Of the trades closed in the range; one look at every trade. A symbol that nobody traded gives zeros and nulls. */
void symbol_analytics_write(const struct journal *journal, struct text_ref symbol, const struct time_range *range,
                            struct json_writer *w);

#endif
