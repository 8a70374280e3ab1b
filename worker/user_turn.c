#include "worker/user_turn.h"

#include <stdio.h>

#define REST_MAX_MS 5000

static void append_key(const struct cache *cache, struct buf *key, const char *user_id)
{
    buf_clear(key);
    cache_append_prefix(cache, key);
    buf_append_string(key, "lock:job:{");
    cache_append_user(key, user_id);
    buf_append_char(key, '}');
}

static enum status flush(struct redis *redis, struct buf *key, struct err *err)
{
    enum status status = buf_status(key), flushed = redis_flush(redis, err);

    buf_release(key);
    return status == STATUS_OK ? flushed : err_fail(err, status, "out of memory");
}

enum status user_turns_take(struct cache *cache, struct redis *redis, const char *token, size_t n,
                            const char *const *user_ids, bool *ret_ours, struct err *err)
{
    struct buf key = BUF_INIT;
    char ttl[24];
    enum status status;

    (void)snprintf(ttl, sizeof ttl, "%d", USER_TURN_TTL_MS);
    for (size_t i = 0; i < n; i++) {
        append_key(cache, &key, user_ids[i]);
        redis_append_words(redis, "SET", key.data, token, "NX", "PX", ttl, NULL);
    }
    status = flush(redis, &key, err);
    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        ret_ours[i] = redis_reply_type_of(redis_reply_at(redis, i)) != REDIS_NIL;
    return status;
}

enum status user_turns_keep(struct cache *cache, struct redis *redis, size_t n, const char *const *user_ids,
                            struct err *err)
{
    struct buf key = BUF_INIT;
    char ttl[24];

    (void)snprintf(ttl, sizeof ttl, "%d", USER_TURN_TTL_MS);
    for (size_t i = 0; i < n; i++) {
        append_key(cache, &key, user_ids[i]);
        redis_append_words(redis, "PEXPIRE", key.data, ttl, NULL);
    }
    return flush(redis, &key, err);
}

enum status user_turns_end(struct cache *cache, struct redis *redis, size_t n, const char *const *user_ids,
                           int64_t rest_ms, struct err *err)
{
    struct buf key = BUF_INIT;
    char rest[24];

    (void)snprintf(rest, sizeof rest, "%lld", (long long)(rest_ms < REST_MAX_MS ? rest_ms : REST_MAX_MS));
    for (size_t i = 0; i < n; i++) {
        append_key(cache, &key, user_ids[i]);
        if (rest_ms > 0)
            redis_append_words(redis, "PEXPIRE", key.data, rest, NULL);
        else
            redis_append_words(redis, "DEL", key.data, NULL);
    }
    return flush(redis, &key, err);
}
