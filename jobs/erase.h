/* What follows the deletion of a user (design section 4, docs/decisions/0005-erasure.md): everything Redis holds of the user goes. The
 * tombstone that keeps new values away is set before, with the invalidation (cache_invalidate_many()). */
#ifndef PNLCACHE_JOBS_ERASE_H
#define PNLCACHE_JOBS_ERASE_H

#include "lib/store/cache.h"

#define ERASE_JOB "erase" /* the kind of job */

/* Ends the user's sessions, unlinks every key with the user's hash tag but the tombstone, takes the user out of the active ones and
 * the job stream. Walks over the whole key space, so in the background only; again is harmless. Begin it no sooner than one Redis
 * time-out after the tombstone was set: what a computation was just writing is there then. *ret_keys: how many went.
 * `go_on` (may be NULL) is asked between steps and may use the connection; STATUS_UNAVAILABLE also when it says no. */
enum status erase_user(struct cache *cache, struct redis *redis, const char *user_id, bool (*go_on)(void *context),
                       void *context, size_t *ret_keys, struct err *err) MUST_CHECK;

#endif
