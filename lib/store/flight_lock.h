/* The hint to other processes that a value is being computed here: a lease on "lock:KEY". Nothing depends on it but
 * the number of computations: whoever cannot take it, or has waited long enough for its holder, computes as well, and
 * what anybody stores is judged by its epochs. Its holder renews it; when that dies it runs out. */
#ifndef PNLCACHE_STORE_FLIGHT_LOCK_H
#define PNLCACHE_STORE_FLIGHT_LOCK_H

#include <pthread.h>

#include "lib/store/cache.h"
#include "lib/store/lease.h"

#define FLIGHT_LOCK_TTL_MS 10000

/* Belongs to the thread that computes; another one may renew it meanwhile. */
struct flight_lock {
    pthread_mutex_t mutex; /* guards the rest */
    int64_t ttl_ms;
    bool held;
    int64_t renewed_ms;
    struct lease lease;
};

void flight_lock_init(struct flight_lock *lock, int64_t ttl_ms);
/* Memory only: a lock that is still held runs out. */
void flight_lock_release(struct flight_lock *lock);

/* STATUS_CONFLICT: another process computes the value. Any other failure: nobody knows, compute. `key` is the value's. */
enum status flight_lock_take(struct flight_lock *lock, const struct cache *cache, struct redis *redis, const char *key,
                             struct err *err) MUST_CHECK;
/* Does nothing when it is not held. A failure is not reported: the lock runs out. */
void flight_lock_give_back(struct flight_lock *lock, struct redis *redis);
/* For the renewing thread, with a connection of its own: renews when a third of the TTL has passed. */
void flight_lock_renew(struct flight_lock *lock, struct redis *redis, int64_t now_ms);

/* Which of the n values' locks are held at the moment, in one round trip. */
enum status flight_lock_look(const struct cache *cache, struct redis *redis, size_t n, const char *const *keys,
                             bool *ret_held, struct err *err) MUST_CHECK;

#endif
