#include "lib/store/flight_lock.h"

/* "lock:" comes between the prefix and the rest of the value's key, so that both are in one slot. */
static enum status append_lock_key(const struct cache *cache, const char *key, struct buf *out)
{
    size_t prefix;

    buf_clear(out);
    cache_append_prefix(cache, out);
    prefix = out->len;
    buf_append_string(out, "lock:");
    buf_append_string(out, key + prefix);
    return buf_status(out);
}

void flight_lock_init(struct flight_lock *lock, int64_t ttl_ms)
{
    *lock = (struct flight_lock){.ttl_ms = ttl_ms};
    pthread_mutex_init(&lock->mutex, NULL);
}

void flight_lock_release(struct flight_lock *lock)
{
    if (lock->held)
        lease_release(&lock->lease);
    lock->held = false;
    pthread_mutex_destroy(&lock->mutex);
}

enum status flight_lock_take(struct flight_lock *lock, const struct cache *cache, struct redis *redis, const char *key,
                             struct err *err)
{
    struct buf name = BUF_INIT;
    struct lease lease = {.key = BUF_INIT};
    enum status status = append_lock_key(cache, key, &name);

    if (status == STATUS_OK)
        status = lease_init(&lease, name.data, lock->ttl_ms, err);
    if (status == STATUS_OK)
        status = lease_take(&lease, redis, err);
    buf_release(&name);
    if (status != STATUS_OK) {
        lease_release(&lease);
        return status;
    }
    pthread_mutex_lock(&lock->mutex);
    lock->lease = lease;
    lock->held = true;
    lock->renewed_ms = clock_monotonic_ms();
    pthread_mutex_unlock(&lock->mutex);
    return STATUS_OK;
}

void flight_lock_give_back(struct flight_lock *lock, struct redis *redis)
{
    struct lease lease;
    bool held;

    pthread_mutex_lock(&lock->mutex);
    held = lock->held;
    lease = lock->lease;
    lock->held = false;
    pthread_mutex_unlock(&lock->mutex);
    if (!held)
        return;
    (void)!lease_give_back(&lease, redis, NULL);
    lease_release(&lease);
}

void flight_lock_renew(struct flight_lock *lock, struct redis *redis, int64_t now_ms)
{
    pthread_mutex_lock(&lock->mutex);
    if (lock->held && now_ms - lock->renewed_ms >= lock->ttl_ms / 3) {
        lock->renewed_ms = now_ms;
        (void)!lease_renew(&lock->lease, redis, NULL);
    }
    pthread_mutex_unlock(&lock->mutex);
}

enum status flight_lock_look(const struct cache *cache, struct redis *redis, size_t n, const char *const *keys,
                             bool *ret_held, struct err *err)
{
    struct buf name = BUF_INIT;
    enum status status = STATUS_OK, flushed;

    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        status = append_lock_key(cache, keys[i], &name);
        if (status == STATUS_OK)
            redis_append_words(redis, "EXISTS", name.data, NULL);
    }
    buf_release(&name);
    flushed = redis_flush_repeatable(redis, err); /* also after a failure: nothing may stay in the queue */
    if (status == STATUS_OK)
        status = flushed;
    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        status = redis_reply_status(redis_reply_at(redis, i), err);
        ret_held[i] = redis_reply_integer(redis_reply_at(redis, i)) == 1;
    }
    return status;
}
