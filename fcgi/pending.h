/* Invalidations that were accepted although Redis refused them: they stand in the database's outbox, and until
 * this process has carried them out itself it does not trust the cache for those users (design section 4). */
#ifndef PNLCACHE_FCGI_PENDING_H
#define PNLCACHE_FCGI_PENDING_H

#include "fcgi/local_cache.h"

struct pending; /* thread-safe */

enum status pending_new(struct pending **ret_pending, struct err *err) MUST_CHECK;
void pending_free(struct pending **pending);

/* From its return on, pending_covers() is true for the user (none: for every user). STATUS_LIMIT: too many wait. */
enum status pending_add(struct pending *pending, const struct cache_invalidation *one, struct err *err) MUST_CHECK;
/* Cheap when nothing is pending. */
bool pending_covers(struct pending *pending, const char *user_id);
size_t pending_count(
    const struct pending *pending); /* users, "" for all of them counted as one; more than once above nine tags */
/* Tries every pending invalidation, many in a round trip; those that Redis acknowledges are no longer pending. A failure
 * ends it. */
enum status pending_carry_out(struct pending *pending, struct local_cache *local, struct redis *redis,
                              struct err *err) MUST_CHECK;

#endif
