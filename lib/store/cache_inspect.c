#include "lib/store/cache_inspect.h"

#include <stdio.h>
#include <string.h>

#include "lib/store/cache_internal.h"

/* Of another type than the command wants, or gone meanwhile: 0. */
static int64_t integer_at(const struct redis *redis, size_t i)
{
    const struct redis_reply *reply = redis_reply_at(redis, i);

    return redis_reply_type_of(reply) == REDIS_INTEGER ? redis_reply_integer(reply) : 0;
}

/* Takes what GET said; false: there is no value that could be judged, and the verdict says why. */
static bool take_value(const struct redis_reply *reply, struct cache_entry *e)
{
    const char *value, *body;

    e->verdict = strcmp(e->type, "none") == 0 ? CACHE_MISS_ABSENT : CACHE_MISS_DAMAGED;
    if (redis_reply_type_of(reply) != REDIS_STRING)
        return false;
    value = redis_reply_bytes(reply, &e->size);
    return cache_value_parse(value, e->size, &e->header, &body, NULL) == STATUS_OK;
}

static enum status read_value(struct redis *redis, const char *key, struct cache_entry *e, bool *ret_judge,
                              struct err *err)
{
    size_t len;

    redis_append_words(redis, "TYPE", key, NULL);
    redis_append_words(redis, "PTTL", key, NULL);
    redis_append_words(redis, "MEMORY", "USAGE", key, NULL);
    redis_append_words(redis, "GET", key, NULL);
    enum status status = redis_flush(redis, err);
    if (status == STATUS_OK)
        status = redis_reply_status(redis_reply_at(redis, 0), err);
    if (status != STATUS_OK)
        return status;
    const char *type = redis_reply_bytes(redis_reply_at(redis, 0), &len);
    (void)snprintf(e->type, sizeof e->type, "%.*s", (int)len, type);
    e->ttl_ms = integer_at(redis, 1);
    e->memory = integer_at(redis, 2);
    *ret_judge = take_value(redis_reply_at(redis, 3), e);
    return STATUS_OK;
}

/* The hash tag of a user's key is that of the user's epochs, whatever the id. */
static void append_epoch_key(const struct cache *cache, struct buf *out, const char *key, bool shared)
{
    const char *user = strchr(key, '{'), *end = user ? strchr(user, '}') : NULL;

    if (shared || !end) {
        cache_append_epoch_key(cache, out, NULL);
        return;
    }
    cache_append_epoch_prefix(cache, out);
    buf_append(out, user, (size_t)(end - user) + 1);
}

static void tags_of(const struct cache_header *header, struct cache_tags *ret_tags)
{
    ret_tags->n = header->n_epochs;
    for (size_t i = 0; i < header->n_epochs; i++)
        ret_tags->tags[i] = (struct cache_tag){header->epochs[i].tag, header->epochs[i].shared};
}

static enum status read_epochs(const struct cache *cache, struct redis *redis, const char *key,
                               const struct cache_tags *tags, struct cache_epochs *present, struct err *err)
{
    enum status status = STATUS_OK;
    struct buf epoch_key = BUF_INIT;
    size_t next = 0;

    for (int shared = 0; shared < 2; shared++) {
        buf_clear(&epoch_key);
        append_epoch_key(cache, &epoch_key, key, shared);
        if (cache_count_tags(tags, shared) > 0 && buf_status(&epoch_key) == STATUS_OK)
            cache_append_tag_command(redis, "HMGET", epoch_key.data, tags, shared);
    }
    status = buf_status(&epoch_key) == STATUS_OK ? redis_flush(redis, err)
                                                 : err_fail(err, STATUS_NO_MEMORY, "out of memory");
    for (int shared = 0; shared < 2 && status == STATUS_OK; shared++)
        if (cache_count_tags(tags, shared) > 0)
            status = cache_take_epochs(redis_reply_at(redis, next++), tags, shared, present, err);
    buf_release(&epoch_key);
    return status;
}

enum status cache_inspect(const struct cache *cache, struct redis *redis, const char *key,
                          struct cache_entry *ret_entry, struct err *err)
{
    struct cache_entry entry = {.ttl_ms = -2};
    struct cache_epochs present = {0};
    struct cache_tags tags;
    bool judge;

    enum status status = read_value(redis, key, &entry, &judge, err);
    if (status == STATUS_OK && judge) {
        tags_of(&entry.header, &tags);
        status = read_epochs(cache, redis, key, &tags, &present, err);
        entry.verdict = cache_judge(&entry.header, &tags, &present, redis_instance(redis), clock_now());
        memcpy(entry.present, present.values, sizeof entry.present);
    }
    if (status == STATUS_OK)
        *ret_entry = entry;
    return status;
}
