/* Log lines about what a computation met. */
#ifndef PNLCACHE_WORKER_REPORT_LOG_H
#define PNLCACHE_WORKER_REPORT_LOG_H

#include "jobs/analytics/journal.h"
#include "jobs/dataset.h"

#define SKIPPED_ROWS_NAMED 10000 /* of one job: what a broken view may put into the log */

/* The rows left out of one job, all its users together. Begins as zero. */
struct skipped_log {
    size_t rows_named, rows_unnamed, users_unnamed;
};

/* Names the rows left out of this user's journal, as "stock 17 bad_value, option 4 too_large", in as many lines as they
 * take; beyond SKIPPED_ROWS_NAMED they are counted only. */
void skipped_log_user(struct skipped_log *log, const char *user_id, const struct journal *journal);
/* After the last user: how many were not named, if any. */
void skipped_log_end(const struct skipped_log *log);
/* A user's whole list that could not be computed: its readers will, or fail themselves. */
void log_failed_collection(const char *user_id, const struct dataset *dataset, const char *reason);

#endif
