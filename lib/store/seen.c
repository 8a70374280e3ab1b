#include "lib/store/seen.h"

#include <stdio.h>

static enum status make_key(const struct cache *cache, const char *id, struct buf *key)
{
    buf_clear(key);
    cache_append_prefix(cache, key);
    buf_append_string(key, "seen:webhook:");
    cache_append_user(key, id); /* the same encoding: whatever an id holds, the key is plain */
    return buf_status(key);
}

enum status seen_mark_many(struct cache *cache, struct redis *redis, struct seen_mark *marks, size_t n, int64_t ttl_s,
                           struct err *err)
{
    struct buf key = BUF_INIT;
    enum status status = STATUS_OK, flushed;
    char ttl[24];

    (void)snprintf(ttl, sizeof ttl, "%lld", (long long)ttl_s);
    for (size_t i = 0; i < n; i++) {
        marks[i].is_repeat = false;
        if (status == STATUS_OK)
            status = make_key(cache, marks[i].id, &key);
        if (status == STATUS_OK)
            redis_append_words(redis, "SET", key.data, "1", "NX", "EX", ttl, NULL);
    }
    buf_release(&key);
    if (redis_appended(redis) == 0)
        return status;
    flushed = redis_flush(redis, err);
    if (status != STATUS_OK || flushed != STATUS_OK)
        return status != STATUS_OK ? err_fail(err, status, "out of memory") : flushed;
    for (size_t i = 0; i < n; i++)
        marks[i].is_repeat = redis_reply_type_of(redis_reply_at(redis, i)) == REDIS_NIL;
    return STATUS_OK;
}

enum status seen_unmark(struct cache *cache, struct redis *redis, const char *id, struct err *err)
{
    const struct redis_reply *reply;
    struct buf key = BUF_INIT;
    enum status status = make_key(cache, id, &key);

    if (status == STATUS_OK)
        status = redis_command(redis, &reply, err, "DEL", key.data, NULL);
    buf_release(&key);
    return status;
}
