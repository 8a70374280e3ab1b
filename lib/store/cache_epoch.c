/* Epochs: opening, reading, invalidating.
 *
 * An epoch is 16 hexadecimal digits in a field of a hash. Opening reads what is there and creates the rest with
 * HSETNX, so that two computations that open at once agree on one number: whoever is second reads the first's. An
 * epoch deleted between our HSETNX and our reading again stays 0, which no value can match; so does one that a flush
 * removed. What is in the way (another type, a field that is no epoch) is deleted: that only invalidates. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/text.h"
#include "lib/store/cache_internal.h"

void cache_append_tag_command(struct redis *redis, const char *command, const char *key, const struct cache_tags *tags,
                              bool shared)
{
    const char *argv[2 + CACHE_MAX_TAGS] = {command, key};
    size_t argc = 2;

    for (size_t i = 0; i < tags->n; i++)
        if (tags->tags[i].shared == shared)
            argv[argc++] = tags->tags[i].name;
    if (argc > 2)
        redis_append(redis, argc, argv, NULL);
}

enum status cache_take_epochs(const struct redis_reply *reply, const struct cache_tags *tags, bool shared,
                              struct cache_epochs *epochs, struct err *err)
{
    enum redis_error_class error_class = redis_reply_error_class(reply);
    size_t field = 0, n = redis_reply_length(reply);

    if (error_class != REDIS_ERROR_NONE && error_class != REDIS_ERROR_TYPE)
        return redis_reply_status(reply, err);
    for (size_t i = 0; i < tags->n; i++) {
        const struct redis_reply *value;
        const char *text;
        size_t len;

        if (tags->tags[i].shared != shared)
            continue;
        epochs->values[i] = 0;
        if (field >= n)
            continue;
        value = redis_reply_element(reply, field++);
        text = redis_reply_bytes(value, &len);
        if (redis_reply_type_of(value) != REDIS_STRING || !cache_parse_epoch(text, len, &epochs->values[i]))
            epochs->values[i] = 0;
    }
    return STATUS_OK;
}

/* One hash of epochs that is being opened: a user's, or the shared one. */
struct opening {
    const struct cache_tags *tags;
    bool shared;
    struct buf key;
    struct cache_epochs epochs; /* only those of this hash count */
    bool wrong_type;
    bool erased;
    const char *user_id; /* NULL: the shared one */
    size_t reply;        /* of its HMGET */
};

static bool is_open(const struct opening *o)
{
    if (o->erased)
        return true; /* as open as it will get */
    for (size_t i = 0; i < o->tags->n; i++)
        if (o->tags->tags[i].shared == o->shared && o->epochs.values[i] == 0)
            return false;
    return true;
}

void cache_append_tombstone_key(const struct cache *cache, struct buf *key, const char *user_id)
{
    cache_append_prefix(cache, key);
    buf_append_string(key, "erased:{");
    cache_append_user(key, user_id);
    buf_append_char(key, '}');
}

enum status cache_append_tombstone_look(const struct cache *cache, struct redis *redis, const char *user_id)
{
    struct buf key = BUF_INIT;
    enum status status;

    cache_append_tombstone_key(cache, &key, user_id);
    status = buf_status(&key);
    if (status == STATUS_OK)
        redis_append_words(redis, "EXISTS", key.data, NULL);
    buf_release(&key);
    return status;
}

static enum status append_read(const struct cache *cache, struct redis *redis, struct opening *o)
{
    char ttl[24];

    o->reply = redis_appended(redis);
    cache_append_tag_command(redis, "HMGET", o->key.data, o->tags, o->shared);
    (void)snprintf(ttl, sizeof ttl, "%lld", (long long)cache->epoch_ttl_s);
    redis_append_words(redis, "EXPIRE", o->key.data, ttl, NULL);
    return o->user_id == NULL ? STATUS_OK : cache_append_tombstone_look(cache, redis, o->user_id);
}

static enum status take_read(struct redis *redis, struct opening *o, struct err *err)
{
    const struct redis_reply *reply = redis_reply_at(redis, o->reply);

    o->wrong_type = redis_reply_error_class(reply) == REDIS_ERROR_TYPE;
    o->erased = o->user_id != NULL && redis_reply_integer(redis_reply_at(redis, o->reply + 2)) != 0;
    if (o->erased) {
        o->epochs = (struct cache_epochs){0};
        return STATUS_OK;
    }
    return cache_take_epochs(reply, o->tags, o->shared, &o->epochs, err);
}

static enum status random_epoch(char text[CACHE_EPOCH_DIGITS + 1], struct err *err)
{
    uint64_t epoch = 0;

    while (epoch == 0) {
        ssize_t n = getrandom(&epoch, sizeof epoch, 0);

        if (n < 0 && errno != EINTR)
            return err_fail(err, STATUS_INTERNAL, "getrandom: %s", strerror(errno));
        if (n != sizeof epoch)
            epoch = 0;
    }
    hex64_format(epoch, text);
    return STATUS_OK;
}

/* A field that is absent and one that holds garbage look alike here; deleting an absent one is harmless only while
 * nobody else has just created it, so HDEL is left to where garbage was seen twice (append_create's `again`). */
static enum status append_create(struct redis *redis, const struct opening *o, bool again, struct err *err)
{
    char epoch[CACHE_EPOCH_DIGITS + 1];

    if (o->wrong_type)
        redis_append_words(redis, "DEL", o->key.data, NULL);
    for (size_t i = 0; i < o->tags->n; i++) {
        enum status status;

        if (o->tags->tags[i].shared != o->shared || o->epochs.values[i] != 0)
            continue;
        if (again)
            redis_append_words(redis, "HDEL", o->key.data, o->tags->tags[i].name, NULL);
        status = random_epoch(epoch, err);
        if (status != STATUS_OK)
            return status;
        redis_append_words(redis, "HSETNX", o->key.data, o->tags->tags[i].name, epoch, NULL);
    }
    return STATUS_OK;
}

/* One round trip for those not yet open. *ret_missing: some are still not. */
static enum status open_round(struct cache *cache, struct redis *redis, struct opening *openings, size_t n, int round,
                              bool *ret_missing, struct err *err)
{
    enum status status = STATUS_OK, result = STATUS_OK;
    size_t created = 0;

    for (size_t i = 0; i < n && result == STATUS_OK; i++) {
        if (round > 0 && is_open(&openings[i]))
            continue;
        if (round > 0)
            result = append_create(redis, &openings[i], round > 1, err);
        if (result == STATUS_OK)
            result = append_read(cache, redis, &openings[i]);
    }
    created = redis_appended(redis);
    status = redis_flush_repeatable(redis, result == STATUS_OK ? err : NULL);
    if (status != STATUS_OK || result != STATUS_OK)
        return status != STATUS_OK ? status : result;
    for (size_t i = 0; i < created && result == STATUS_OK; i++)
        if (redis_reply_error_class(redis_reply_at(redis, i)) != REDIS_ERROR_TYPE)
            result = redis_reply_status(redis_reply_at(redis, i), err);
    *ret_missing = false;
    for (size_t i = 0; i < n && result == STATUS_OK; i++) {
        if (round > 0 && is_open(&openings[i]))
            continue;
        result = take_read(redis, &openings[i], err);
        *ret_missing = *ret_missing || !is_open(&openings[i]);
    }
    return result;
}

/* Round 0 reads; 1 creates what is missing; 2 removes what is in the way and creates once more. */
static enum status open_all(struct cache *cache, struct redis *redis, struct opening *openings, size_t n,
                            char instance[REDIS_INSTANCE_SIZE], struct err *err)
{
    bool missing = n > 0;
    enum status status = STATUS_OK;

    for (int round = 0; round < 3 && missing && status == STATUS_OK; round++) {
        status = open_round(cache, redis, openings, n, round, &missing, err);
        if (round == 0)
            memcpy(instance, redis_instance(redis), REDIS_INSTANCE_SIZE);
    }
    if (status == STATUS_OK && strcmp(instance, redis_instance(redis)) != 0)
        status = err_fail(err, STATUS_UNAVAILABLE, "Redis was replaced by another instance");
    return status;
}

static void init_opening(const struct cache *cache, struct opening *o, const struct cache_tags *tags,
                         const char *user_id)
{
    *o = (struct opening){.tags = tags, .shared = user_id == NULL, .user_id = user_id, .key = BUF_INIT};
    cache_append_epoch_key(cache, &o->key, user_id);
}

static void copy_epochs(const struct opening *o, struct cache_epochs *epochs)
{
    for (size_t i = 0; i < o->tags->n; i++)
        if (o->tags->tags[i].shared == o->shared)
            epochs->values[i] = o->epochs.values[i];
}

enum status cache_open_epochs(struct cache *cache, struct redis *redis, const struct cache_tags *tags, size_t n_users,
                              const char *const *user_ids, struct cache_epochs *ret_epochs, struct err *err)
{
    size_t n_own = cache_count_tags(tags, false) > 0 ? n_users : 0, n = n_own;
    bool any_shared = cache_count_tags(tags, true) > 0 && n_users > 0;
    struct opening *openings = calloc(n_own + 1, sizeof *openings);
    char instance[REDIS_INSTANCE_SIZE] = "";
    enum status status = STATUS_OK;

    if (openings == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n_own; i++)
        init_opening(cache, &openings[i], tags, user_ids[i]);
    if (any_shared)
        init_opening(cache, &openings[n++], tags, NULL);
    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        status = buf_status(&openings[i].key);
    if (status == STATUS_OK)
        status = open_all(cache, redis, openings, n, instance, err);
    for (size_t i = 0; i < n_users && status == STATUS_OK; i++) {
        ret_epochs[i] = (struct cache_epochs){0};
        memcpy(ret_epochs[i].instance, instance, sizeof instance);
        if (n_own > 0) {
            copy_epochs(&openings[i], &ret_epochs[i]);
            (void)snprintf(ret_epochs[i].user_id, sizeof ret_epochs[i].user_id, "%s", user_ids[i]);
        }
        if (any_shared)
            copy_epochs(&openings[n - 1], &ret_epochs[i]);
    }
    for (size_t i = 0; i < n; i++)
        buf_release(&openings[i].key);
    free(openings);
    return status;
}

/* --- invalidating -------------------------------------------------------------------------- */

/* The tombstone comes first: whoever opens epochs after our HDEL sees it. */
static enum status append_tombstone(const struct cache *cache, struct redis *redis, const char *user_id,
                                    struct buf *key)
{
    char ttl[24];

    buf_clear(key);
    cache_append_tombstone_key(cache, key, user_id);
    (void)snprintf(ttl, sizeof ttl, "%d", CACHE_TOMBSTONE_S);
    if (buf_status(key) == STATUS_OK)
        redis_append_words(redis, "SET", key->data, "1", "EX", ttl, NULL);
    return buf_status(key);
}

static enum status append_deletes(const struct cache *cache, struct redis *redis, const struct cache_invalidation *i,
                                  struct buf *key, struct err *err)
{
    enum status status = STATUS_OK;

    if (i->user_id == NULL && (i->erased || cache_count_tags(i->tags, false) > 0))
        return err_fail(err, STATUS_INVALID, "a user's tags cannot be invalidated without the user");
    if (i->erased)
        status = append_tombstone(cache, redis, i->user_id, key);
    for (int shared = 0; shared < 2 && status == STATUS_OK; shared++) {
        if (cache_count_tags(i->tags, shared) == 0)
            continue;
        buf_clear(key);
        cache_append_epoch_key(cache, key, shared ? NULL : i->user_id);
        status = buf_status(key);
        if (status != STATUS_OK)
            break;
        if (i->erased && !shared) /* whatever other tags datasets have given the user */
            redis_append_words(redis, "DEL", key->data, NULL);
        else
            cache_append_tag_command(redis, "HDEL", key->data, i->tags, shared);
    }
    return status == STATUS_OK ? STATUS_OK : err_fail(err, status, "out of memory");
}

/* Takes the replies from *next on, as many as append_deletes() made commands. */
static enum status take_deletes(const struct redis *redis, const struct cache_invalidation *i, size_t *next,
                                struct err *err)
{
    size_t n = (size_t)i->erased + (cache_count_tags(i->tags, false) > 0) + (cache_count_tags(i->tags, true) > 0);
    enum status status = STATUS_OK;

    for (size_t k = 0; k < n; k++, ++*next)
        /* Another type under the key holds no epoch, so nothing is valid under it. */
        if (status == STATUS_OK && redis_reply_error_class(redis_reply_at(redis, *next)) != REDIS_ERROR_TYPE)
            status = redis_reply_status(redis_reply_at(redis, *next), err);
    return status;
}

enum status cache_wait_for_replicas(struct redis *redis, const struct redis_reply *role, struct err *err)
{
    int64_t half_ms = redis_timeout_ms(redis) / 2 + 1;
    char wait_ms[24];
    const struct redis_reply *reply;
    enum status status = redis_read_role(redis, role, err);

    if (status != STATUS_OK || !redis_has_replicas(redis))
        return status;
    (void)snprintf(wait_ms, sizeof wait_ms, "%lld", (long long)half_ms);
    status = redis_command(redis, &reply, err, "WAIT", "1", wait_ms, NULL);
    if (status == STATUS_OK && redis_reply_integer(reply) < 1)
        status = err_fail(err, STATUS_TIMEOUT, "no replica has confirmed the invalidation");
    return status;
}

static enum status append_all(const struct cache *cache, struct redis *redis, const struct cache_invalidation *list,
                              size_t n, struct err *err)
{
    enum status status = STATUS_OK;
    struct buf key = BUF_INIT;

    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        status = append_deletes(cache, redis, &list[i], &key, err);
    buf_release(&key);
    if (status != STATUS_OK && redis_appended(redis) > 0)
        (void)!redis_flush(redis, NULL); /* invalidating too much is harmless; leaving it in the queue is not */
    return status;
}

/* Sends what was appended for the list and judges it, each one in its status. */
static enum status carry_out(struct redis *redis, struct cache_invalidation *list, size_t n, struct err *err)
{
    size_t next = 0;
    enum status status;

    /* Replicas come and go: ask in the same round trip whether there are any now. */
    redis_append_words(redis, "INFO", "replication", NULL);
    status = redis_flush_repeatable(redis, err);
    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        list[i].status = take_deletes(redis, &list[i], &next, err);
    if (status == STATUS_OK)
        status = cache_wait_for_replicas(redis, redis_reply_at(redis, next), err);
    return status;
}

enum status cache_invalidate_many(struct cache *cache, struct redis *redis, struct cache_invalidation *list, size_t n,
                                  struct err *err)
{
    enum status status = append_all(cache, redis, list, n, err);
    size_t done = 0;

    for (size_t i = 0; i < n; i++)
        list[i].status = status;
    if (status != STATUS_OK || redis_appended(redis) == 0)
        return status;
    status = carry_out(redis, list, n, err);
    for (size_t i = 0; i < n; i++) {
        if (status != STATUS_OK)
            list[i].status = status;
        done += list[i].status == STATUS_OK;
    }
    atomic_fetch_add_explicit(&cache->invalidations, done, memory_order_relaxed);
    return status;
}

enum status cache_invalidate(struct cache *cache, struct redis *redis, const char *user_id,
                             const struct cache_tags *tags, struct err *err)
{
    struct cache_invalidation one = {.user_id = user_id, .tags = tags};
    enum status status = cache_invalidate_many(cache, redis, &one, 1, err);

    return status == STATUS_OK ? one.status : status;
}
