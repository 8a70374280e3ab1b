/* What must not be lost: an invalidation is in effect when Redis has acknowledged it; what it has not is put off, to the database's outbox,
 * and this responder trusts the cache for nobody concerned until it has carried that out itself (pending.h). */
#ifndef PNLCACHE_FCGI_INVALIDATION_H
#define PNLCACHE_FCGI_INVALIDATION_H

#include "fcgi/responder.h"

/* In Redis, and in this process's memory. STATUS_OK: all are in effect; else the text says what is wrong with one that is not, and each
 * `status` which are. `redis`: NULL when REDIS_ENABLED is false. */
enum status invalidation_carry_out(struct responder *responder, struct redis *redis, struct cache_invalidation *list,
                                   size_t n, struct err *err) MUST_CHECK;
/* One transaction for all. Results as above: STATUS_OK in a `status` means durable, and from now on not served by this process. Tags of rows are
 * put off as the whole tag. */
enum status invalidation_put_off(struct responder *responder, struct redis *redis, struct db *db,
                                 struct cache_invalidation *list, size_t n, struct err *err) MUST_CHECK;

#endif
