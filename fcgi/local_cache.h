/* L1: what the responder keeps in its own memory. Values (lib/store/l1.h) and epochs (lib/store/epoch_cache.h), joined by
 * the read rule. A hit costs no round trip, no allocation and no copy.
 *
 * One for all threads. Each thread reads through a reader of its own, which counts for it. Where L1 cannot be coherent
 * (nobody tracks Redis, or tracking is in doubt) nothing is found and nothing is kept; callers need not ask. */
#ifndef PNLCACHE_FCGI_LOCAL_CACHE_H
#define PNLCACHE_FCGI_LOCAL_CACHE_H

#include "lib/base/settings.h"
#include "lib/store/epoch_cache.h"
#include "lib/store/l1.h"

struct local_cache;  /* thread-safe */
struct local_reader; /* one thread's */

/* The epochs are current for this long after the last proof that invalidations arrive (fcgi/tracking.h). */
#define LOCAL_PROOF_MS 1000

/* `cache` must outlive it. With CACHE_MAX_MEMORY_ENTRIES=0 it keeps nothing. */
enum status local_cache_new(const struct settings *settings, struct cache *cache, struct local_cache **ret_local,
                            struct err *err) MUST_CHECK;
void local_cache_free(struct local_cache **local);
/* Freed with the cache, so that what it counted stays. */
enum status local_reader_new(struct local_cache *local, struct local_reader **ret_reader, struct err *err) MUST_CHECK;

/* --- reading ------------------------------------------------------------------------------- */

enum local_use {
    LOCAL_CURRENT,  /* as good as asking Redis, or less old than LOCAL_PROOF_MS */
    LOCAL_DEGRADED, /* Redis does not answer: what was valid at the last proof, until CACHE_DEGRADED_TTL after it */
};
/* A value that may be served, judged by the read rule as of `now`, when the monotonic clock said `now_ms`: the present, or a
 * moment before since which the reader has waited, as for a request that arrived then. NULL: there is none. Only the inputs of
 * `lookup` are read. Give it back with l1_put(). */
struct l1_value *local_cache_find(struct local_reader *reader, const struct cache_lookup *lookup, enum local_use use,
                                  int64_t now_ms, struct instant now);

/* Around a lookup in Redis: a ticket before it is sent, and what was found with it afterwards. */
struct epoch_ticket local_cache_begin(struct local_cache *local, const struct cache_lookup *lookup);
void local_cache_keep(struct local_cache *local, struct epoch_ticket ticket, const struct cache_lookup *lookup);

/* Without Redis (REDIS_ENABLED=false): the epochs a computation goes under, to be opened before its snapshot. False:
 * there is a Redis, or nothing is kept. */
bool local_cache_open(struct local_cache *local, const char *user_id, const struct cache_tags *tags,
                      struct cache_epochs *ret_epochs) MUST_CHECK;
/* Keeps what was computed under them, for CACHE_DEGRADED_TTL at most. */
bool local_cache_store(struct local_cache *local, const struct cache_store *store);

/* --- invalidating -------------------------------------------------------------------------- */

/* An event was seen: from the return on, no read of this process is answered by what was stored, or read from Redis,
 * before. user_id may be NULL or "" when all tags are shared. */
void local_cache_forget(struct local_cache *local, const char *user_id, const struct cache_tags *tags);
/* cache_invalidate_many() for a process with L1: the ONE way for it. Forgets before, so that nothing is served while the outcome
 * is open, and after, whatever the outcome. */
enum status local_cache_invalidate_many(struct local_cache *local, struct redis *redis, struct cache_invalidation *list,
                                        size_t n, struct err *err) MUST_CHECK;

/* --- sessions ---------------------------------------------------------------------------------- */

/* The same messages tell which sessions ended or were renewed. `name` as in lib/store/session_store.h. Before it is read from Redis: a
 * number, 0 when nothing may be kept. What was read is as good as asking Redis (or less old than LOCAL_PROOF_MS) while the number
 * stands. now_ms as for local_cache_find(). */
uint64_t local_cache_begin_session(struct local_cache *local, const char *name);
bool local_cache_session_stands(struct local_cache *local, const char *name, uint64_t number,
                                int64_t now_ms) MUST_CHECK;
/* It was ended, or renewed, here or elsewhere. */
void local_cache_forget_session(struct local_cache *local, const char *name);

/* --- for fcgi/tracking.c, and who reports --------------------------------------------------- */

enum local_state {
    LOCAL_OFF,   /* switched off, or Redis refuses tracking */
    LOCAL_DOUBT, /* every read asks Redis */
    LOCAL_ON,
};
struct epoch_cache *local_cache_epochs(struct local_cache *local);
/* Whether there is something to track Redis for. */
bool local_cache_needs_tracking(const struct local_cache *local);
void local_cache_set_state(struct local_cache *local, enum local_state state);
/* "off", "in doubt", "on" */
const char *local_cache_state_name(const struct local_cache *local);

/* What became of reads. */
enum local_outcome {
    LOCAL_HIT,
    LOCAL_HIT_DEGRADED,
    LOCAL_MISS_ABSENT,
    LOCAL_MISS_EPOCH, /* not known, or not the value's */
    LOCAL_MISS_OLD,   /* expired, or of another instance */
    LOCAL_MISS_DOUBT, /* L1 is off or in doubt */
    LOCAL_BYPASS,     /* an invalidation is pending, or a fresh computation was asked for */
    LOCAL_OUTCOMES
};
void local_reader_count(struct local_reader *reader, enum local_outcome outcome);

struct local_counters {
    uint64_t outcomes[LOCAL_OUTCOMES]; /* sums over the threads */
    struct l1_usage usage;
};
void local_cache_read_counters(struct local_cache *local, struct local_counters *ret_counters);
/* One log line with the sums since the start, when somebody has read since the last one. For one thread. */
void local_cache_log(struct local_cache *local);

#endif
