/* Reading values, and what all threads share. Storing is in cache_store.c, epochs in cache_epoch.c. */
#include "lib/store/cache.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/settings.h"
#include "lib/store/cache_internal.h"

enum status cache_new(const struct settings *settings, struct cache **ret_cache, struct err *err)
{
    struct cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL || (cache->prefix = strdup(settings->key_prefix)) == NULL) {
        free(cache);
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    }
    cache->epoch_ttl_s = settings->cache_ttl_epoch_s;
    cache->stale_s = settings->cache_stale_if_error_s;
    cache->max_value = (size_t)settings->cache_max_value;
    *ret_cache = cache;
    return STATUS_OK;
}

void cache_free(struct cache **cache)
{
    if (*cache == NULL)
        return;
    free((*cache)->prefix);
    free(*cache);
    *cache = NULL;
}

void cache_read_counters(const struct cache *cache, struct cache_counters *ret_counters)
{
    for (size_t i = 0; i < CACHE_VERDICTS; i++)
        ret_counters->verdicts[i] = cache->verdicts[i];
    ret_counters->stored = cache->stored;
    ret_counters->unchanged = cache->unchanged;
    ret_counters->refused = cache->refused;
    ret_counters->too_large = cache->too_large;
    ret_counters->invalidations = cache->invalidations;
    ret_counters->not_found_stored = cache->not_found_stored;
    ret_counters->not_found_served = cache->not_found_served;
}

const char *cache_verdict_name(enum cache_verdict verdict)
{
    static const char *const names[CACHE_VERDICTS] = {"hit", "absent", "damaged", "epoch", "instance", "expired"};

    return names[verdict];
}

/* --- the read rule ------------------------------------------------------------------------- */

enum cache_verdict cache_judge(const struct cache_header *header, const struct cache_tags *tags,
                               const struct cache_epochs *present, const char *instance, struct instant now)
{
    /* Other dependencies than today's: written by another release. */
    if (header->n_epochs != tags->n)
        return CACHE_MISS_DAMAGED;
    for (size_t i = 0; i < tags->n; i++)
        if (header->epochs[i].shared != tags->tags[i].shared || strcmp(header->epochs[i].tag, tags->tags[i].name) != 0)
            return CACHE_MISS_DAMAGED;
    if (strcmp(header->instance, instance) != 0)
        return CACHE_MISS_INSTANCE;
    for (size_t i = 0; i < tags->n; i++)
        if (present->values[i] == 0 || header->epochs[i].epoch != present->values[i])
            return CACHE_MISS_EPOCH;
    if (now.us >= header->expires_at.us || now.us >= header->valid_until.us)
        return CACHE_MISS_EXPIRED;
    return CACHE_HIT;
}

bool cache_may_be_stale(const struct cache *cache, const struct cache_lookup *lookup, struct instant now)
{
    const struct cache_header *h = &lookup->header;
    int64_t end_us = h->expires_at.us < h->valid_until.us ? h->expires_at.us : h->valid_until.us;

    /* A difference: the end may be "never". */
    return lookup->verdict == CACHE_MISS_EXPIRED && h->encoding != CACHE_NOT_FOUND &&
           now.us - end_us < cache->stale_s * US_PER_SECOND;
}

/* --- lookups ------------------------------------------------------------------------------- */

/* Where the group ends that begins at `first`: lookups beside one another of one user, which depend on the same tags, as those
 * of a page that loads its documents. Their epochs are read once. */
static size_t end_of_group(const struct cache_lookup *lookups, size_t n, size_t first)
{
    const struct cache_lookup *one = &lookups[first];
    size_t end = first + 1;

    while (end < n && lookups[end].tags == one->tags &&
           (lookups[end].user_id == one->user_id ||
            (lookups[end].user_id != NULL && one->user_id != NULL && strcmp(lookups[end].user_id, one->user_id) == 0)))
        end++;
    return end;
}

/* All values of a group are read before its epochs: an invalidation between the two makes a miss, never an old hit. */
static enum status append_group(const struct cache *cache, struct redis *redis, const struct cache_lookup *group,
                                size_t n, struct buf *key)
{
    for (size_t i = 0; i < n; i++)
        redis_append_words(redis, "GET", group[i].key, NULL);
    for (int shared = 0; shared < 2; shared++) {
        if (cache_count_tags(group->tags, shared) == 0)
            continue;
        buf_clear(key);
        cache_append_epoch_key(cache, key, shared ? NULL : group->user_id);
        if (buf_status(key) != STATUS_OK)
            return STATUS_NO_MEMORY;
        cache_append_tag_command(redis, "HMGET", key->data, group->tags, shared);
    }
    return STATUS_OK;
}

static enum status judge_value(const struct redis_reply *reply, const struct cache_epochs *present,
                               const char *instance, struct instant now, struct cache_lookup *lookup, struct err *err)
{
    enum redis_error_class error_class = redis_reply_error_class(reply);
    const char *value;
    size_t len;

    if (error_class == REDIS_ERROR_TYPE) {
        lookup->verdict = CACHE_MISS_DAMAGED;
        return STATUS_OK;
    }
    if (error_class != REDIS_ERROR_NONE)
        return redis_reply_status(reply, err);
    if (redis_reply_type_of(reply) != REDIS_STRING)
        return STATUS_OK;
    value = redis_reply_bytes(reply, &len);
    if (cache_value_parse(value, len, &lookup->header, &lookup->body, NULL) != STATUS_OK)
        lookup->verdict = CACHE_MISS_DAMAGED;
    else
        lookup->verdict = cache_judge(&lookup->header, lookup->tags, present, instance, now);
    return STATUS_OK;
}

/* *next: the index of the group's first reply, moved past its last. */
static enum status take_group(struct redis *redis, struct cache_lookup *group, size_t n, struct instant now,
                              size_t *next, struct err *err)
{
    size_t first_value = *next;
    struct cache_epochs present = {0};
    enum status status = STATUS_OK;

    *next += n;
    for (int shared = 0; shared < 2 && status == STATUS_OK; shared++)
        if (cache_count_tags(group->tags, shared) > 0)
            status = cache_take_epochs(redis_reply_at(redis, (*next)++), group->tags, shared, &present, err);
    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        status =
            judge_value(redis_reply_at(redis, first_value + i), &present, redis_instance(redis), now, &group[i], err);
    return status;
}

static void note_damaged(struct cache *cache, const char *key)
{
    uint64_t hash = cache_key_hash(key);

    atomic_store_explicit(&cache->damaged[hash % CACHE_DAMAGED_SLOTS], hash, memory_order_relaxed);
}

void cache_report_damaged(struct cache *cache, const char *key)
{
    atomic_fetch_add_explicit(&cache->verdicts[CACHE_MISS_DAMAGED], 1, memory_order_relaxed);
    note_damaged(cache, key);
}

static void count_verdicts(struct cache *cache, const struct cache_lookup *lookups, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        atomic_fetch_add_explicit(&cache->verdicts[lookups[i].verdict], 1, memory_order_relaxed);
        if (lookups[i].verdict == CACHE_HIT && lookups[i].header.encoding == CACHE_NOT_FOUND)
            atomic_fetch_add_explicit(&cache->not_found_served, 1, memory_order_relaxed);
        if (lookups[i].verdict == CACHE_MISS_DAMAGED)
            note_damaged(cache, lookups[i].key);
    }
}

enum status cache_lookup_many(struct cache *cache, struct redis *redis, struct cache_lookup *lookups, size_t n,
                              struct err *err)
{
    struct buf key = BUF_INIT;
    enum status status = STATUS_OK;
    struct instant now = clock_now();
    size_t next = 0;

    for (size_t i = 0; i < n; i++) {
        lookups[i].verdict = CACHE_MISS_ABSENT;
        lookups[i].body = NULL;
    }
    for (size_t i = 0, end; i < n && status == STATUS_OK; i = end) {
        end = end_of_group(lookups, n, i);
        status = append_group(cache, redis, &lookups[i], end - i, &key);
    }
    buf_release(&key);
    if (status != STATUS_OK)
        (void)!redis_flush(redis, NULL); /* reads only: they must not stay in the queue */
    else
        status = redis_flush_repeatable(redis, err);
    for (size_t i = 0, end; i < n && status == STATUS_OK; i = end) {
        end = end_of_group(lookups, n, i);
        status = take_group(redis, &lookups[i], end - i, now, &next, err);
    }
    for (size_t i = 0; i < n && status != STATUS_OK; i++)
        lookups[i].verdict = CACHE_MISS_ABSENT;
    count_verdicts(cache, lookups, n);
    return status;
}
