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
/* What was computed in one job and is too large to be cached, which is no failure. Begins as zero. */
#define TOO_LARGE_NAMED 64
struct too_large_log {
    size_t n, others;
    struct too_large {
        const char *name; /* borrowed until too_large_log_end() */
        uint64_t last_user;
        size_t users;
    } named[TOO_LARGE_NAMED];
};

/* What of whom; calls about one user and name come together. NULL: nobody's own, each call counts. */
void too_large_log_add(struct too_large_log *log, const char *name, const char *user_id);
/* After the last one: a line for each name with its number of `unit`. */
void too_large_log_end(const struct too_large_log *log, const char *unit);

/* A user's whole list that could not be computed: its readers will, or fail themselves. */
void log_failed_collection(const char *user_id, const struct dataset *dataset, const char *reason);

#endif
