/* A lock in Redis with an owner: a key with a random token and a TTL. Whoever holds it renews it; when the holder
 * dies it runs out. It keeps work from being done twice, it does not make anything correct: a holder that was paused
 * may go on after its end (what it stores then is judged by the epochs, as everything is). */
#ifndef PNLCACHE_STORE_LEASE_H
#define PNLCACHE_STORE_LEASE_H

#include "lib/base/buf.h"
#include "lib/store/redis.h"

struct lease {
    struct buf key;
    char token[33];
    int64_t ttl_ms;
};

/* `key` is the whole key, prefix included. STATUS_NO_MEMORY. Release with lease_release(). */
enum status lease_init(struct lease *lease, const char *key, int64_t ttl_ms, struct err *err) MUST_CHECK;
void lease_release(struct lease *lease); /* memory only */

/* STATUS_CONFLICT: somebody else holds it. STATUS_LIMIT: Redis takes no writes (it is full, or its disk is). Else statuses of redis_command(). */
enum status lease_take(struct lease *lease, struct redis *redis, struct err *err) MUST_CHECK;
/* For another ttl_ms; one that is gone is taken again. STATUS_CONFLICT: somebody else holds it. */
enum status lease_renew(const struct lease *lease, struct redis *redis, struct err *err) MUST_CHECK;
/* Gives it back if it still is ours. */
enum status lease_give_back(const struct lease *lease, struct redis *redis, struct err *err) MUST_CHECK;

#endif
