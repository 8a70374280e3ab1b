/* One job per user at a time, over all workers: the key lock:job:{U} with a token and a TTL. An economy, not a safeguard:
 * what keeps wrong numbers away are the epochs, so a lock that is lost costs a computation done twice.
 *
 * After a computation the key stays for as long as that took: under a burst of changes one user gets at most half of a
 * consumer's time, and the changes that arrive meanwhile are done in one computation. */
#ifndef PNLCACHE_WORKER_USER_TURN_H
#define PNLCACHE_WORKER_USER_TURN_H

#include "lib/store/cache.h"

#define USER_TURN_TTL_MS 10000 /* what a dead worker costs its user */

/* For each of n users: whether it is our turn. Users that somebody else is at have none; in doubt (Redis takes no writes)
 * it is. One round trip. */
enum status user_turns_take(struct cache *cache, struct redis *redis, const char *token, size_t n,
                            const char *const *user_ids, bool *ret_ours, struct err *err) MUST_CHECK;
/* Ours for another TTL. At least every half of it while the work goes on. */
enum status user_turns_keep(struct cache *cache, struct redis *redis, size_t n, const char *const *user_ids,
                            struct err *err) MUST_CHECK;
/* The next turn may begin after rest_ms (0: at once). Only within the TTL, else the turn may be somebody else's. */
enum status user_turns_end(struct cache *cache, struct redis *redis, size_t n, const char *const *user_ids,
                           int64_t rest_ms, struct err *err) MUST_CHECK;

#endif
