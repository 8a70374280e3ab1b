/* The job queue (design section 5): the Redis stream `jobs` with the consumer group `workers`; `jobs:later`, a sorted set of
 * jobs that failed and wait for their next attempt; and the stream `jobs:dead` of those that were given up. A job names
 * a user and why; it carries no data, so losing one costs a miss, never a wrong number.
 *
 * What is known of a job travels with it (attempts, age), so neither a worker's death nor putting it back forgets that. */
#ifndef PNLCACHE_STORE_JOB_STREAM_H
#define PNLCACHE_STORE_JOB_STREAM_H

#include "lib/store/cache.h"

struct job {
    char id[48]; /* stream id */
    char user_id[USER_ID_MAX + 1];
    char kind[32];      /* "analytics" */
    char reason[64];    /* what caused it, for logs: "webhook trade.created", "outbox" */
    int64_t attempts;   /* that failed */
    int64_t deliveries; /* of this entry, this one included; more than one: a worker died with it */
    int64_t born_ms;    /* wall clock, when it was first queued */
};

/* Appends a job (XADD, MAXLEN ~ 1,000,000). STATUS_LIMIT: Redis is there but takes no write (full, MISCONF, too few replicas). */
enum status job_stream_add(struct cache *cache, struct redis *redis, const char *kind, const char *user_id,
                           const char *reason, struct err *err) MUST_CHECK;
struct job_request {
    /* in */
    const char *kind, *user_id, *reason; /* as of job_stream_add() */
    /* out */
    enum status status; /* as of job_stream_add() */
};
/* Appends n jobs in one pipelined round trip. The result is that of the transport, it is in every `status` then. */
enum status job_stream_add_many(struct cache *cache, struct redis *redis, struct job_request *requests, size_t n,
                                struct err *err) MUST_CHECK;
/* Creates stream and group if missing. STATUS_INTERNAL: another type is in the way. */
enum status job_stream_prepare(struct cache *cache, struct redis *redis, struct err *err) MUST_CHECK;
/* Takes up to `max` jobs for `consumer`: first those idle for more than claim_idle_ms (a dead worker's; < 0: none), then new
 * ones, waiting up to block_ms (which must be below the Redis time-out). *ret_n may be 0. */
enum status job_stream_take(struct cache *cache, struct redis *redis, const char *consumer, int64_t claim_idle_ms,
                            int64_t block_ms, struct job *ret_jobs, size_t max, size_t *ret_n,
                            struct err *err) MUST_CHECK;
/* The consumer still works on these: their idle time begins anew, so nobody claims them. */
enum status job_stream_keep(struct cache *cache, struct redis *redis, const char *consumer,
                            const struct job *const *jobs, size_t n, struct err *err) MUST_CHECK;
/* Done: XACK + XDEL. */
enum status job_stream_finish(struct cache *cache, struct redis *redis, const struct job *const *jobs, size_t n,
                              struct err *err) MUST_CHECK;
/* Back into the stream, for any worker. On failure it stays with its consumer until it is claimed. */
enum status job_stream_put_back(struct cache *cache, struct redis *redis, const struct job *job,
                                struct err *err) MUST_CHECK;
/* Several times the time after which others take over a consumer's jobs: one that is silent for so long is gone. */
int64_t job_stream_consumer_idle_ms(const struct settings *settings);
/* The consumer has ended and holds no job: it is forgotten. One that holds jobs stays, for they would go with it. */
enum status job_stream_leave(struct cache *cache, struct redis *redis, const char *consumer,
                             struct err *err) MUST_CHECK;

/* Failed: into jobs:later until due_ms (wall clock); job->attempts counts this one already. */
enum status job_stream_retry_later(struct cache *cache, struct redis *redis, const struct job *job, const char *error,
                                   int64_t due_ms, struct err *err) MUST_CHECK;
/* Moves what is due by now_ms from jobs:later into the stream. *ret_next_ms: when the next one is due, INT64_MAX: none waits. */
enum status job_stream_resume(struct cache *cache, struct redis *redis, int64_t now_ms, int64_t *ret_next_ms,
                              struct err *err) MUST_CHECK;
/* Failed for good: to jobs:dead with the error, then finished. */
enum status job_stream_bury(struct cache *cache, struct redis *redis, const struct job *job, const char *error,
                            struct err *err) MUST_CHECK;

/* Removes the consumers that hold no job and have been silent for idle_ms: workers that were killed. One that lives all the same
 * is made again by its next job_stream_take(). *ret_n: how many. */
enum status job_stream_drop_consumers(const struct cache *cache, struct redis *redis, int64_t idle_ms, int64_t *ret_n,
                                      struct err *err) MUST_CHECK;
/* Removes the user's jobs, wherever they are, but not those of kind `but`. Walks over all of them: in the background only. */
enum status job_stream_forget(struct cache *cache, struct redis *redis, const char *user_id, const char *but,
                              struct err *err) MUST_CHECK;

/* --- for the operator ------------------------------------------------------------------------ */

#define JOB_KINDS_MAX 16

struct job_stream_state {
    int64_t depth;     /* jobs not yet finished: queued, in flight, or waiting for their next attempt */
    int64_t in_flight; /* taken by a worker */
    int64_t retrying;  /* failed, waiting for their next attempt */
    int64_t dead;
    int64_t oldest_age_ms; /* of the oldest job not yet finished; 0 when none */
    size_t n_kinds;
    struct {
        char name[32];
        int64_t jobs;
    } kinds[JOB_KINDS_MAX]; /* of depth; a kind beyond JOB_KINDS_MAX is counted in the last, "other" */
};
/* Reads the whole queue in steps: for people and monitoring, not for a request. */
enum status job_stream_inspect(struct cache *cache, struct redis *redis, struct job_stream_state *ret_state,
                               struct err *err) MUST_CHECK;

/* The same by constant work, however long the queue: no kinds, and oldest_age_ms is that of the job at the stream's head, or
 * of the one that is tried again next. One round trip. */
enum status job_stream_measure(struct cache *cache, struct redis *redis, struct job_stream_state *ret_state,
                               struct err *err) MUST_CHECK;

enum job_place { JOB_QUEUED, JOB_IN_FLIGHT, JOB_RETRYING, JOB_DEAD };
struct job_entry {
    enum job_place place;
    struct job job;     /* of a retrying one id is "" */
    char consumer[128]; /* in flight: who has it */
    char error[512];    /* retrying, dead: why it failed */
    int64_t due_ms;     /* retrying: wall clock of the next attempt */
    char dead_id[48];   /* dead: names the letter for job_dead_retry() and job_dead_drop() */
};
typedef void (*job_visit)(void *context, const struct job_entry *entry);
/* Everything not finished, the oldest first; with `dead` the dead letters instead. */
enum status job_stream_visit(struct cache *cache, struct redis *redis, bool dead, job_visit visit, void *context,
                             struct err *err) MUST_CHECK;
/* One dead letter, by its id in jobs:dead, back into the stream with no attempt counted, or away. STATUS_NOT_FOUND: no such
 * letter; STATUS_INVALID: not an id. */
enum status job_dead_retry(struct cache *cache, struct redis *redis, const char *dead_id, struct err *err) MUST_CHECK;
enum status job_dead_drop(struct cache *cache, struct redis *redis, const char *dead_id, struct err *err) MUST_CHECK;

/* --- who is active ------------------------------------------------------------------------- */

/* The sorted set `active:users`: who was seen when. An erased user is taken out of it instead. */
enum status active_users_touch(struct cache *cache, struct redis *redis, const char *user_id,
                               struct err *err) MUST_CHECK;
/* The same for a user who reads, which also counts for the hours of the week in which the user comes (activity_hours.h): at
 * most once a minute for each user. */
enum status active_users_visit(struct cache *cache, struct redis *redis, const char *user_id,
                               struct err *err) MUST_CHECK;
/* Takes the user out of both. */
enum status active_users_forget(struct cache *cache, struct redis *redis, const char *user_id,
                                struct err *err) MUST_CHECK;
#define ACTIVE_USERS_MAX 100000 /* what a job looks after */
/* Ids seen within window_s, most recent first, at most max; free them with text_array_free() (base/text.h). */
enum status active_users_list(struct cache *cache, struct redis *redis, int64_t window_s, size_t max, char ***ret_ids,
                              size_t *ret_n, struct err *err) MUST_CHECK;

#endif
