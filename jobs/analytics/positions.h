/* Open positions (metrics.md 14). */
#ifndef PNLCACHE_JOBS_ANALYTICS_POSITIONS_H
#define PNLCACHE_JOBS_ANALYTICS_POSITIONS_H

#include "jobs/analytics/price_table.h"
#include "lib/json/json_writer.h"

bool positions_any(const struct journal *journal, enum asset asset);
/* The object `open_positions`. */
void positions_write(const struct journal *journal, enum asset asset, const struct price_table *prices,
                     struct json_writer *w);

#endif
