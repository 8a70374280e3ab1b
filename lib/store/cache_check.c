/* Judging values without their bodies. What a job finds valid here a reader may still find damaged; then the reader
 * recomputes. */
#include <stdio.h>

#include "lib/store/cache_internal.h"

static enum cache_verdict judge(const struct redis *redis, size_t reply, struct cache_check *check, struct instant now)
{
    struct cache_header header;
    size_t len, width;
    const char *line;

    if (redis_reply_type_of(redis_reply_at(redis, reply)) != REDIS_STRING)
        return CACHE_MISS_DAMAGED; /* a foreign type under our key */
    line = redis_reply_bytes(redis_reply_at(redis, reply), &len);
    if (len == 0)
        return CACHE_MISS_ABSENT;
    if (!cache_header_take(line, len, &header, &width) ||
        redis_reply_integer(redis_reply_at(redis, reply + 1)) != (int64_t)(width + header.body_size))
        return CACHE_MISS_DAMAGED;
    check->ttl_s = (header.expires_at.us - header.computed_at.us) / US_PER_SECOND;
    if (header.expires_at.us < header.valid_until.us)
        now.us += check->ahead_s * US_PER_SECOND;
    return cache_judge(&header, check->tags, check->epochs, redis_instance(redis), now);
}

enum status cache_check_many(struct cache *cache, struct redis *redis, struct cache_check *checks, size_t n,
                             struct err *err)
{
    struct instant now = clock_now();
    char last[24];
    enum status status;

    (void)cache;
    for (size_t i = 0; i < n; i++) {
        checks[i].verdict = CACHE_MISS_ABSENT;
        checks[i].ttl_s = 0;
        (void)snprintf(last, sizeof last, "%zu", cache_header_width(checks[i].tags) - 1);
        redis_append_words(redis, "GETRANGE", checks[i].key, "0", last, NULL);
        redis_append_words(redis, "STRLEN", checks[i].key, NULL);
    }
    status = redis_flush_repeatable(redis, err);
    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        checks[i].verdict = judge(redis, 2 * i, &checks[i], now);
    return status;
}
