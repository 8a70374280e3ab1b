/* One trade (metrics.md 15, IndividualTradeAnalytics). */
#ifndef PNLCACHE_JOBS_ANALYTICS_TRADE_ANALYTICS_H
#define PNLCACHE_JOBS_ANALYTICS_TRADE_ANALYTICS_H

#include "jobs/analytics/journal.h"
#include "lib/json/json_writer.h"

/* The closed or open trade; NULL: the journal has none of that kind and id. One look at every trade. */
const struct trade *trade_analytics_find(const struct journal *journal, bool option, int64_t id);
void trade_analytics_write(const struct trade *trade, const struct journal *journal, struct json_writer *w);

#endif
