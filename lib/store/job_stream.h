/* The job queue: the Redis stream `jobs` with the consumer group `workers` (design section 5). A job
 * names a user and why; it carries no data, so losing one costs a miss, never a wrong number. */
#ifndef PNLCACHE_STORE_JOB_STREAM_H
#define PNLCACHE_STORE_JOB_STREAM_H

#include "lib/store/cache.h"

struct job {
    char id[48]; /* stream id */
    char user_id[USER_ID_MAX + 1];
    char kind[32];    /* "analytics" */
    char reason[64];  /* what caused it, for logs: "webhook trade.created", "outbox" */
    int64_t attempts; /* deliveries so far, this one included */
};

/* Appends a job (XADD, MAXLEN ~ 1,000,000). */
enum status job_stream_add(struct cache *cache, struct redis *redis, const char *kind, const char *user_id,
                           const char *reason, struct err *err) MUST_CHECK;
/* Creates stream and group if missing. */
enum status job_stream_prepare(struct cache *cache, struct redis *redis, struct err *err) MUST_CHECK;
/* Takes up to `max` jobs for `consumer`: first those idle for more than claim_idle_ms (a dead worker's), then new
 * ones, waiting up to block_ms (which must be below the Redis time-out). *ret_n may be 0. */
enum status job_stream_take(struct cache *cache, struct redis *redis, const char *consumer, int64_t claim_idle_ms,
                            int64_t block_ms, struct job *ret_jobs, size_t max, size_t *ret_n,
                            struct err *err) MUST_CHECK;
/* Done: XACK + XDEL. */
enum status job_stream_finish(struct cache *cache, struct redis *redis, const struct job *job,
                              struct err *err) MUST_CHECK;
/* Failed for good: to jobs:dead with the error, then finished. */
enum status job_stream_bury(struct cache *cache, struct redis *redis, const struct job *job, const char *error,
                            struct err *err) MUST_CHECK;

struct job_stream_state {
    int64_t depth, in_flight, dead;
    int64_t oldest_age_ms; /* of the oldest job not yet finished; 0 when none */
};
enum status job_stream_inspect(struct cache *cache, struct redis *redis, struct job_stream_state *ret_state,
                               struct err *err) MUST_CHECK;

/* The sorted set `active:users`: who was seen when. */
enum status active_users_touch(struct cache *cache, struct redis *redis, const char *user_id,
                               struct err *err) MUST_CHECK;
#define ACTIVE_USERS_MAX 100000 /* what a job looks after */
/* Ids seen within window_s, most recent first, at most max; free them with text_array_free() (base/text.h). */
enum status active_users_list(struct cache *cache, struct redis *redis, int64_t window_s, size_t max, char ***ret_ids,
                              size_t *ret_n, struct err *err) MUST_CHECK;

#endif
