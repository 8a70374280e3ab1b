#include "worker/epoch_walk.h"

#include <stdio.h>
#include <string.h>

#include "lib/store/redis.h"

#define SCAN_STEP "1000"

void glob_append_escaped(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("*?[]^\\", *text) != NULL)
            buf_append_char(out, '\\');
        buf_append_char(out, *text);
    }
}

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

/* One SCAN step; the cursor moves on. */
static enum status walk_step(struct redis *redis, const char *pattern, const struct cache_tags *tags, char cursor[32],
                             struct err *err)
{
    const struct redis_reply *reply, *keys;
    enum status status;
    const char *bytes;
    size_t len, n;

    status = redis_command(redis, &reply, err, "SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_STEP, NULL);
    if (status != STATUS_OK)
        return status;
    if (redis_reply_type_of(reply) != REDIS_ARRAY || redis_reply_length(reply) != 2)
        return err_fail(err, STATUS_INTERNAL, "SCAN gave an answer of another shape");
    bytes = redis_reply_bytes(redis_reply_element(reply, 0), &len);
    (void)snprintf(cursor, 32, "%.*s", (int)len, bytes);
    keys = redis_reply_element(reply, 1);
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
    char cursor[32] = "0";

    cache_append_prefix(g->cache, &prefix);
    glob_append_escaped(&pattern, prefix.data);
    buf_append_string(&pattern, "epoch:{*");
    status = buf_status(&prefix) == STATUS_OK ? buf_status(&pattern) : STATUS_NO_MEMORY;
    while (status == STATUS_OK) {
        status = walk_step(redis, pattern.data, tags, cursor, err);
        if (strcmp(cursor, "0") == 0)
            break;
        if (generation_stops(g))
            status = err_fail(err, STATUS_UNAVAILABLE, "stopped during a walk over all users");
    }
    buf_release(&prefix);
    buf_release(&pattern);
    return status;
}
