/* Storing values. Nothing is locked; each race ends in a miss at worst:
 *
 * - Two writers SET: the last stays, and is judged by its own epochs.
 * - A body is replaced, or the key vanishes, between reading the header and SETRANGE: our header then names a size and
 *   sum that the bytes behind it do not have, so the value is damaged, hence a miss. If they do have them the body is
 *   the one we compared with, whoever wrote it, and the header is true of it.
 * - PEXPIRE after somebody else's SET: changes when Redis forgets, not when the header says it expires.
 * - An invalidation at any moment: the header carries the epochs from before the snapshot.
 * - The user is erased: the tombstone is looked for in the first round trip. One that is set between the two finds the
 *   value in its walk, which begins later than our deadline (docs/decisions/0005-erasure.md).
 * - Redis is replaced between opening the epochs and writing: the value is not written; if that happens during the
 *   second round trip it names the old instance. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "lib/base/text.h"
#include "lib/store/cache_internal.h"

/* --- describing ---------------------------------------------------------------------------- */

static void format_hash(XXH128_hash_t hash, char text[33])
{
    hex64_format(hash.high64, text);
    hex64_format(hash.low64, text + 16);
}

static XXH128_hash_t hash_content(const struct cache_body *body)
{
    XXH3_state_t state;

    if (body->volatile_start >= body->volatile_end)
        return XXH3_128bits(body->bytes, body->len);
    (void)XXH3_128bits_reset(&state);
    (void)XXH3_128bits_update(&state, body->bytes, body->volatile_start);
    (void)XXH3_128bits_update(&state, body->bytes + body->volatile_end, body->len - body->volatile_end);
    return XXH3_128bits_digest(&state);
}

/* Up to 10 % less, the same for the same key, so that what is stored together does not expire together. */
static struct instant expiry(const struct cache_store *store)
{
    int64_t ttl_us = store->ttl_s * US_PER_SECOND, now_us = clock_now().us;

    ttl_us -= ttl_us / 100000 * (int64_t)(cache_key_hash(store->key) % 10001);
    if (store->body->valid_until.us < now_us + ttl_us)
        return store->body->valid_until;
    return (struct instant){now_us + ttl_us};
}

static void copy_text(char *to, size_t size, const char *from)
{
    size_t len = strnlen(from, size - 1);

    memcpy(to, from, len);
    to[len] = '\0';
}

void cache_describe(const struct cache *cache, const struct cache_store *store, const char *instance,
                    struct cache_header *h)
{
    const struct cache_body *body = store->body;

    (void)cache;
    *h = (struct cache_header){.computed_at = body->computed_at,
                               .valid_until = body->valid_until,
                               .expires_at = expiry(store),
                               .cost_us = body->cost_us,
                               .encoding = body->not_found ? CACHE_NOT_FOUND : CACHE_IDENTITY,
                               .body_size = body->len,
                               .body_sum = XXH3_64bits(body->bytes, body->len),
                               .n_epochs = store->tags->n};
    format_hash(XXH3_128bits(body->bytes, body->len), h->etag);
    format_hash(hash_content(body), h->content);
    copy_text(h->instance, sizeof h->instance, instance);
    for (size_t i = 0; i < store->tags->n; i++) {
        copy_text(h->epochs[i].tag, sizeof h->epochs[i].tag, store->tags->tags[i].name);
        h->epochs[i].shared = store->tags->tags[i].shared;
        h->epochs[i].epoch = store->epochs->values[i];
    }
}

/* --- first round trip: what is there ------------------------------------------------------- */

size_t cache_header_width(const struct cache_tags *tags)
{
    static const char fixed[] =
        "PNLC1 etag= content= instance= computed= until= expires= cost= enc= size= sum= epochs=\n";
    size_t width = sizeof fixed - 1 + 32 + 32 + (REDIS_INSTANCE_SIZE - 1) + 3 * 17 + 8 + 1 + 9 + 16;

    for (size_t i = 0; i < tags->n; i++)
        width += (i > 0) + tags->tags[i].shared + strlen(tags->tags[i].name) + 1 + CACHE_EPOCH_DIGITS;
    return width;
}

/* A value nobody could be served is not written. */
static enum status storable(const struct cache_store *store)
{
    for (size_t i = 0; i < store->tags->n; i++)
        if (store->epochs->values[i] == 0)
            return STATUS_CONFLICT;
    if (store->body->len > CACHE_BODY_MAX)
        return STATUS_LIMIT;
    return expiry(store).us > clock_now().us ? STATUS_OK : STATUS_CONFLICT;
}

/* Once for each run of one user's values. */
static bool begins_user(const struct cache_store *store, const char **last_user)
{
    bool begins = store->epochs->user_id[0] != '\0' && strcmp(store->epochs->user_id, *last_user) != 0;

    *last_user = store->epochs->user_id;
    return begins;
}

static void append_look(struct redis *redis, const struct cache_store *store)
{
    char last[24];

    (void)snprintf(last, sizeof last, "%zu", cache_header_width(store->tags) - 1);
    redis_append_words(redis, "GETRANGE", store->key, "0", last, NULL);
    redis_append_words(redis, "STRLEN", store->key, NULL);
}

static bool was_seen_damaged(struct cache *cache, const char *key)
{
    uint64_t hash = cache_key_hash(key);

    return atomic_compare_exchange_strong(&cache->damaged[hash % CACHE_DAMAGED_SLOTS], &hash, 0);
}

/* Whether the stored value has this content and looks whole; then store->header takes on its body's description. */
static bool keep_body(struct cache *cache, struct redis *redis, size_t reply, struct cache_store *store)
{
    struct cache_header present;
    size_t len, width;
    const char *line;

    if (redis_reply_type_of(redis_reply_at(redis, reply)) != REDIS_STRING || was_seen_damaged(cache, store->key))
        return false;
    line = redis_reply_bytes(redis_reply_at(redis, reply), &len);
    if (!cache_header_take(line, len, &present, &width) || width != cache_header_width(store->tags) ||
        strcmp(present.content, store->header.content) != 0 ||
        redis_reply_integer(redis_reply_at(redis, reply + 1)) != (int64_t)(width + present.body_size))
        return false;
    memcpy(store->header.etag, present.etag, sizeof present.etag);
    store->header.encoding = present.encoding;
    store->header.body_size = present.body_size;
    store->header.body_sum = present.body_sum;
    return true;
}

/* --- second round trip: writing ------------------------------------------------------------ */

static void append_set(struct redis *redis, const struct cache_store *store, const struct buf *value,
                       const char *ttl_ms)
{
    const char *set[] = {"SET", store->key, value->data, "PX", ttl_ms};
    const size_t lengths[] = {3, strlen(store->key), value->len, 2, strlen(ttl_ms)};

    redis_append(redis, 5, set, lengths);
}

static enum status build_value(const struct cache *cache, struct packed_bodies *packed, struct cache_store *store,
                               struct buf *value)
{
    const struct cache_body *body = store->body;
    const char *bytes = body->bytes, *gzip;
    size_t gzip_len;
    enum status status;

    if (!body->not_found && packed_bodies_find(packed, body, store->header.body_sum, &gzip, &gzip_len)) {
        bytes = gzip;
        store->header.encoding = CACHE_GZIP;
        store->header.body_size = gzip_len;
        store->header.body_sum = XXH3_64bits(gzip, gzip_len);
    }
    (void)buf_reserve(value, cache_header_width(store->tags) + store->header.body_size);
    cache_header_append(value, &store->header);
    buf_append(value, bytes, store->header.body_size);
    status = buf_status(value);
    return status == STATUS_OK && value->len > cache->max_value ? STATUS_LIMIT : status;
}

bool cache_takes_size(const struct cache *cache, const struct cache_tags *tags, const struct cache_body *body)
{
    size_t width = cache_header_width(tags);
    struct buf packed = BUF_INIT;
    bool takes = body->len <= CACHE_BODY_MAX;

    if (takes && width + body->len > cache->max_value)
        takes = !body->not_found && cache_compress(body->bytes, body->len, &packed) &&
                width + packed.len <= cache->max_value;
    buf_release(&packed);
    return takes;
}

static enum status append_write(struct cache *cache, struct redis *redis, struct packed_bodies *packed, size_t look,
                                struct cache_store *store)
{
    struct buf value = BUF_INIT;
    char ttl_ms[24];
    int64_t left_ms;
    enum status status;

    cache_describe(cache, store, redis_instance(redis), &store->header);
    left_ms = (store->header.expires_at.us - clock_now().us) / 1000;
    (void)snprintf(ttl_ms, sizeof ttl_ms, "%lld", (long long)(left_ms > 0 ? left_ms : 1) + cache->stale_s * 1000);
    store->unchanged = keep_body(cache, redis, look, store);
    if (store->unchanged) {
        cache_header_append(&value, &store->header);
        status = buf_status(&value);
        if (status == STATUS_OK) {
            redis_append_words(redis, "SETRANGE", store->key, "0", value.data, NULL);
            redis_append_words(redis, "PEXPIRE", store->key, ttl_ms, NULL);
        }
    } else {
        status = build_value(cache, packed, store, &value);
        if (status == STATUS_OK)
            append_set(redis, store, &value, ttl_ms);
    }
    buf_release(&value);
    return status;
}

static void count_store(struct cache *cache, const struct cache_store *store)
{
    _Atomic uint64_t *counter = &cache->refused;

    if (store->status == STATUS_OK)
        counter = store->unchanged ? &cache->unchanged : &cache->stored;
    else if (store->status == STATUS_LIMIT)
        counter = &cache->too_large;
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    if (store->status == STATUS_OK && store->body->not_found)
        atomic_fetch_add_explicit(&cache->not_found_stored, 1, memory_order_relaxed);
}

static enum status look(const struct cache *cache, struct redis *redis, struct cache_store *stores, size_t n,
                        struct err *err)
{
    const char *user = "";
    enum status status = STATUS_OK, flushed;

    for (size_t i = 0; i < n; i++) {
        stores[i].unchanged = false;
        stores[i].status = storable(&stores[i]);
        if (stores[i].status != STATUS_OK || status != STATUS_OK)
            continue;
        if (begins_user(&stores[i], &user))
            status = cache_append_tombstone_look(cache, redis, user);
        append_look(redis, &stores[i]);
    }
    flushed = redis_flush_repeatable(redis, err);
    return status == STATUS_OK ? flushed : err_fail(err, status, "out of memory");
}

/* The answer to the look at a tombstone; in doubt there is one. */
static bool is_erased(const struct redis_reply *reply)
{
    return redis_reply_type_of(reply) != REDIS_INTEGER || redis_reply_integer(reply) != 0;
}

static enum status write_all(struct cache *cache, struct redis *redis, struct packed_bodies *packed,
                             struct cache_store *stores, size_t n, struct err *err)
{
    char instance[REDIS_INSTANCE_SIZE];
    const char *user = "";
    bool erased = false;
    size_t reply = 0;
    enum status status;

    memcpy(instance, redis_instance(redis), sizeof instance);
    for (size_t i = 0; i < n; i++) {
        if (stores[i].status != STATUS_OK) {
            cache_describe(cache, &stores[i], instance, &stores[i].header);
            continue;
        }
        if (begins_user(&stores[i], &user))
            erased = is_erased(redis_reply_at(redis, reply++));
        if (!(erased && user[0] != '\0') && strcmp(stores[i].epochs->instance, instance) == 0) {
            stores[i].status = append_write(cache, redis, packed, reply, &stores[i]);
        } else {
            stores[i].status = STATUS_CONFLICT;
            cache_describe(cache, &stores[i], instance, &stores[i].header);
        }
        reply += 2;
    }
    cache_append_announcements(cache, redis, stores, n);
    status = redis_flush(redis, err);
    reply = 0;
    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        if (stores[i].status != STATUS_OK)
            continue;
        stores[i].status = redis_reply_status(redis_reply_at(redis, reply), err);
        reply += stores[i].unchanged ? 2 : 1;
    }
    return status;
}

enum status cache_store_many(struct cache *cache, struct redis *redis, struct cache_store *stores, size_t n,
                             struct err *err)
{
    struct packed_bodies packed;
    enum status status = packed_bodies_init(&packed, n);

    if (status != STATUS_OK)
        status = err_fail(err, status, "no memory for values to be stored");
    else
        status = look(cache, redis, stores, n, err);
    if (status == STATUS_OK)
        status = write_all(cache, redis, &packed, stores, n, err);
    else
        for (size_t i = 0; i < n; i++)
            cache_describe(cache, &stores[i], "", &stores[i].header);
    for (size_t i = 0; i < n; i++) {
        if (status != STATUS_OK && stores[i].status == STATUS_OK)
            stores[i].status = status;
        count_store(cache, &stores[i]);
    }
    packed_bodies_release(&packed);
    return status;
}

/* --- trying it ----------------------------------------------------------------------------- */

enum status cache_try_store(struct cache *cache, struct redis *redis, struct err *err)
{
    struct buf epoch = BUF_INIT, value = BUF_INIT;
    enum status status;

    buf_append_string(&epoch, cache->prefix);
    buf_append_string(&epoch, "probe:epoch");
    buf_append_string(&value, cache->prefix);
    buf_append_string(&value, "probe:value");
    status = buf_status(&epoch) == STATUS_OK ? buf_status(&value) : buf_status(&epoch);
    if (status == STATUS_OK) {
        redis_append_words(redis, "HSETNX", epoch.data, "probe", "1", NULL);
        redis_append_words(redis, "HDEL", epoch.data, "probe", NULL);
        redis_append_words(redis, "SET", value.data, "1", "PX", "1000", NULL);
        status = redis_flush_repeatable(redis, err);
        for (size_t i = 0; i < 3 && status == STATUS_OK; i++)
            status = redis_reply_status(redis_reply_at(redis, i), err);
    }
    buf_release(&epoch);
    buf_release(&value);
    return status;
}
