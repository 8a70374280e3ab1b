#include "worker/epoch_walk.h"

#include <string.h>

#include "lib/store/key_walk.h"

/* Appends one HDEL per key of a SCAN reply. The arguments are copied by redis_append(). */
static void append_deletes(struct redis *redis, const struct redis_reply *keys, const struct cache_tags *tags)
{
    const char *argv[2 + CACHE_MAX_TAGS];
    size_t lengths[2 + CACHE_MAX_TAGS];

    argv[0] = "HDEL";
    lengths[0] = 4;
    for (size_t t = 0; t < tags->n; t++) {
        argv[2 + t] = tags->tags[t].name;
        lengths[2 + t] = strlen(tags->tags[t].name);
    }
    for (size_t i = 0; i < redis_reply_length(keys); i++) {
        argv[1] = redis_reply_bytes(redis_reply_element(keys, i), &lengths[1]);
        redis_append(redis, 2 + tags->n, argv, lengths);
    }
}

/* Another type under such a key holds no epoch, so nothing is valid under it. */
static enum status check_deleted(struct redis *redis, size_t n, struct err *err)
{
    enum status status = STATUS_OK;

    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        if (redis_reply_error_class(redis_reply_at(redis, i)) != REDIS_ERROR_TYPE)
            status = redis_reply_status(redis_reply_at(redis, i), err);
    return status;
}

/* One step; the cursor moves on. */
static enum status walk_step(struct redis *redis, const char *pattern, const struct cache_tags *tags,
                             char cursor[KEY_WALK_CURSOR_SIZE], struct err *err)
{
    const struct redis_reply *keys;
    enum status status = key_walk_step(redis, pattern, cursor, &keys, err);
    size_t n;

    if (status != STATUS_OK)
        return status;
    n = redis_reply_length(keys);
    if (n == 0)
        return STATUS_OK;
    append_deletes(redis, keys, tags);
    status = redis_flush(redis, err);
    return status == STATUS_OK ? check_deleted(redis, n, err) : status;
}

enum status epoch_walk_invalidate(const struct generation *g, struct redis *redis, const struct cache_tags *tags,
                                  struct err *err)
{
    struct buf prefix = BUF_INIT, pattern = BUF_INIT;
    enum status status;
    char cursor[KEY_WALK_CURSOR_SIZE] = KEY_WALK_START;

    cache_append_prefix(g->cache, &prefix);
    glob_append_escaped(&pattern, prefix.data);
    buf_append_string(&pattern, "epoch:{*");
    status = buf_status(&prefix) == STATUS_OK ? buf_status(&pattern) : STATUS_NO_MEMORY;
    while (status == STATUS_OK) {
        status = walk_step(redis, pattern.data, tags, cursor, err);
        if (key_walk_is_over(cursor))
            break;
        if (generation_stops(g))
            status = err_fail(err, STATUS_UNAVAILABLE, "stopped during a walk over all users");
    }
    buf_release(&prefix);
    buf_release(&pattern);
    return status;
}
