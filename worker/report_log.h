/* Log lines about what a computation met. */
#ifndef PNLCACHE_WORKER_REPORT_LOG_H
#define PNLCACHE_WORKER_REPORT_LOG_H

#include "jobs/analytics/journal.h"
#include "lib/base/buf.h"

/* "rows left out": counts by reason and the first ids, as "stock 17 bad_value, option 4 too_large". */
void log_skipped_rows(const char *user_id, const struct journal *journal);
/* The ids part of it; appended to `out`. */
void append_skipped_ids(struct buf *out, const struct journal *journal);

#endif
