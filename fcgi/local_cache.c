#include "fcgi/local_cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/store/session_store.h"

struct local_reader {
    /* A cache line of its own: the thread writes here with each request. */
    _Alignas(64) _Atomic uint64_t outcomes[LOCAL_OUTCOMES];
    struct local_cache *local;
    struct local_reader *next;
};

struct local_cache {
    struct cache *cache;
    struct l1 *l1;
    struct epoch_cache *epochs;
    bool enabled, has_redis;
    int64_t degraded_ms;
    _Atomic enum local_state state;
    pthread_mutex_t readers_lock;
    struct local_reader *readers;
    uint64_t logged_reads;
};

enum status local_cache_new(const struct settings *settings, struct cache *cache, struct local_cache **ret_local,
                            struct err *err)
{
    size_t entries = (size_t)settings->cache_max_memory_entries;
    struct local_cache *local = calloc(1, sizeof(*local));
    if (!local)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    local->cache = cache;
    local->enabled = entries > 0 && settings->cache_enabled;
    local->has_redis = settings->redis_enabled;
    local->degraded_ms = settings->cache_degraded_ttl_s * 1000;
    pthread_mutex_init(&local->readers_lock, NULL);
    enum status status = l1_new(entries, (size_t)settings->cache_max_memory_bytes, &local->l1, err);
    bool sessions = auth_modes_parse(settings->auth_mode) & AUTH_SESSION;
    if (status == STATUS_OK) /* as many users as values, perhaps as many sessions, and the shared tags */
        status = epoch_cache_new((sessions ? 2 * entries : entries) + 1, &local->epochs, err);
    if (status != STATUS_OK) {
        local_cache_free(&local);
        return status;
    }
    if (local->enabled && !local->has_redis)
        epoch_cache_begin_local(local->epochs);
    if (local->enabled)
        local->state = local->has_redis ? LOCAL_DOUBT : LOCAL_ON;
    *ret_local = local;
    return STATUS_OK;
}

void local_cache_free(struct local_cache **local)
{
    struct local_cache *l = *local;
    if (!l)
        return;
    while (l->readers) {
        struct local_reader *reader = l->readers;
        l->readers = reader->next;
        free(reader);
    }
    l1_free(&l->l1);
    epoch_cache_free(&l->epochs);
    pthread_mutex_destroy(&l->readers_lock);
    free(l);
    *local = NULL;
}

enum status local_reader_new(struct local_cache *local, struct local_reader **ret_reader, struct err *err)
{
    struct local_reader *reader = aligned_alloc(_Alignof(struct local_reader), sizeof(*reader));
    if (!reader)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    memset(reader, 0, sizeof(*reader));
    reader->local = local;
    pthread_mutex_lock(&local->readers_lock);
    reader->next = local->readers;
    local->readers = reader;
    pthread_mutex_unlock(&local->readers_lock);
    *ret_reader = reader;
    return STATUS_OK;
}

/* --- reading ----------------------------------------------------------------------------------- */

static enum local_outcome judge(struct local_cache *local, const struct l1_value *value,
                                const struct cache_lookup *lookup, enum local_use use, int64_t now_ms,
                                struct instant now)
{
    bool degraded = use == LOCAL_DEGRADED;
    struct cache_epochs present;

    switch (epoch_cache_get(local->epochs, lookup->user_id, lookup->tags, now_ms,
                            degraded ? local->degraded_ms : LOCAL_PROOF_MS, degraded, &present)) {
    case EPOCHS_KNOWN: break;
    case EPOCHS_UNKNOWN: return LOCAL_MISS_EPOCH;
    case EPOCHS_DOUBTFUL: return LOCAL_MISS_DOUBT;
    }
    switch (cache_judge(&value->header, lookup->tags, &present, present.instance, now)) {
    case CACHE_HIT: return degraded ? LOCAL_HIT_DEGRADED : LOCAL_HIT;
    case CACHE_MISS_EPOCH: return LOCAL_MISS_EPOCH;
    default: return LOCAL_MISS_OLD;
    }
}

struct l1_value *local_cache_find(struct local_reader *reader, const struct cache_lookup *lookup, enum local_use use,
                                  int64_t now_ms, struct instant now)
{
    struct local_cache *local = reader->local;
    struct l1_value *value = l1_get(local->l1, lookup->key);

    enum local_outcome outcome = value ? judge(local, value, lookup, use, now_ms, now) : LOCAL_MISS_ABSENT;
    if (outcome != LOCAL_HIT && outcome != LOCAL_HIT_DEGRADED)
        l1_put(&value);
    /* A read that was counted when it was not current is counted again only when that saved it. */
    if (use == LOCAL_CURRENT || value)
        local_reader_count(reader, outcome);
    return value;
}

struct epoch_ticket local_cache_begin(struct local_cache *local, const struct cache_lookup *lookup)
{
    return epoch_cache_begin(local->epochs, lookup->user_id, lookup->tags);
}

void local_cache_keep(struct local_cache *local, struct epoch_ticket ticket, const struct cache_lookup *lookup)
{
    if (lookup->verdict == CACHE_HIT && epoch_cache_keep(local->epochs, ticket, lookup->user_id, &lookup->header))
        (void)l1_store(local->l1, lookup->key, &lookup->header, lookup->body);
}

bool local_cache_open(struct local_cache *local, const char *user_id, const struct cache_tags *tags,
                      struct cache_epochs *ret_epochs)
{
    if (!local->enabled || local->has_redis || local->degraded_ms == 0)
        return false;
    epoch_cache_open_local(local->epochs, user_id, tags, ret_epochs);
    return true;
}

bool local_cache_store(struct local_cache *local, const struct cache_store *store)
{
    int64_t last_us = clock_now().us + local->degraded_ms * 1000;
    struct buf packed = BUF_INIT;
    struct cache_header header;

    cache_describe(local->cache, store, store->epochs->instance, &header);
    if (header.expires_at.us > last_us)
        header.expires_at.us = last_us;
    const char *body = store->body->bytes;
    if (cache_compress(body, store->body->len, &packed)) {
        header.encoding = CACHE_GZIP;
        header.body_size = packed.len;
        body = packed.data;
    }
    bool kept = l1_store(local->l1, store->key, &header, body);
    buf_release(&packed);
    return kept;
}

/* --- invalidating ------------------------------------------------------------------------------- */

void local_cache_forget(struct local_cache *local, const char *user_id, const struct cache_tags *tags)
{
    bool own = false, shared = false;

    for (size_t i = 0; i < tags->n; i++) {
        own = own || !tags->tags[i].shared;
        shared = shared || tags->tags[i].shared;
    }
    if (own && user_id)
        epoch_cache_forget(local->epochs, user_id);
    if (shared)
        epoch_cache_forget(local->epochs, NULL);
}

static void forget_list(struct local_cache *local, const struct cache_invalidation *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        local_cache_forget(local, list[i].user_id, list[i].tags);
        if (list[i].erased)
            epoch_cache_forget(local->epochs, list[i].user_id);
    }
}

enum status local_cache_invalidate_many(struct local_cache *local, struct redis *redis, struct cache_invalidation *list,
                                        size_t n, struct err *err)
{
    forget_list(local, list, n);
    enum status status = cache_invalidate_many(local->cache, redis, list, n, err);
    forget_list(local, list, n);
    return status;
}

/* --- sessions ----------------------------------------------------------------------------------- */

/* No user id begins with a control character. */
static void make_slot_name(const char *name, char slot_name[SESSION_NAME_SIZE + 1])
{
    slot_name[0] = '\1';
    memcpy(slot_name + 1, name, SESSION_NAME_SIZE);
}

uint64_t local_cache_begin_session(struct local_cache *local, const char *name)
{
    char slot_name[SESSION_NAME_SIZE + 1];

    make_slot_name(name, slot_name);
    return epoch_cache_begin_name(local->epochs, slot_name);
}

bool local_cache_session_stands(struct local_cache *local, const char *name, uint64_t number, int64_t now_ms)
{
    char slot_name[SESSION_NAME_SIZE + 1];

    make_slot_name(name, slot_name);
    return epoch_cache_stands(local->epochs, slot_name, number, now_ms, LOCAL_PROOF_MS);
}

void local_cache_forget_session(struct local_cache *local, const char *name)
{
    char slot_name[SESSION_NAME_SIZE + 1];

    make_slot_name(name, slot_name);
    epoch_cache_forget(local->epochs, slot_name);
}

/* --- reporting ----------------------------------------------------------------------------------- */

struct epoch_cache *local_cache_epochs(struct local_cache *local)
{
    return local->epochs;
}

bool local_cache_needs_tracking(const struct local_cache *local)
{
    return local->enabled && local->has_redis;
}

void local_cache_set_state(struct local_cache *local, enum local_state state)
{
    atomic_store_explicit(&local->state, state, memory_order_relaxed);
}

const char *local_cache_state_name(const struct local_cache *local)
{
    static const char *const names[] = {[LOCAL_OFF] = "off", [LOCAL_DOUBT] = "in doubt", [LOCAL_ON] = "on"};

    return names[atomic_load_explicit(&local->state, memory_order_relaxed)];
}

void local_reader_count(struct local_reader *reader, enum local_outcome outcome)
{
    _Atomic uint64_t *counter = &reader->outcomes[outcome];

    /* No other thread writes it. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

void local_cache_read_counters(struct local_cache *local, struct local_counters *ret_counters)
{
    memset(ret_counters, 0, sizeof(*ret_counters));
    l1_read_usage(local->l1, &ret_counters->usage);
    pthread_mutex_lock(&local->readers_lock);
    for (struct local_reader *reader = local->readers; reader; reader = reader->next)
        for (size_t i = 0; i < LOCAL_OUTCOMES; i++)
            ret_counters->outcomes[i] += atomic_load_explicit(&reader->outcomes[i], memory_order_relaxed);
    pthread_mutex_unlock(&local->readers_lock);
}

void local_cache_log(struct local_cache *local)
{
    struct local_counters c;
    uint64_t reads = 0;

    local_cache_read_counters(local, &c);
    for (size_t i = 0; i < LOCAL_OUTCOMES; i++)
        reads += c.outcomes[i];
    if (reads == local->logged_reads)
        return;
    local->logged_reads = reads;
    log_info("L1", LOG_STR("state", local_cache_state_name(local)), LOG_INT("hits", (int64_t)c.outcomes[LOCAL_HIT]),
             LOG_INT("hits_degraded", (int64_t)c.outcomes[LOCAL_HIT_DEGRADED]),
             LOG_INT("miss_absent", (int64_t)c.outcomes[LOCAL_MISS_ABSENT]),
             LOG_INT("miss_epoch", (int64_t)c.outcomes[LOCAL_MISS_EPOCH]),
             LOG_INT("miss_old", (int64_t)c.outcomes[LOCAL_MISS_OLD]),
             LOG_INT("miss_doubt", (int64_t)c.outcomes[LOCAL_MISS_DOUBT]),
             LOG_INT("bypass", (int64_t)c.outcomes[LOCAL_BYPASS]), LOG_INT("entries", (int64_t)c.usage.entries),
             LOG_INT("bytes", (int64_t)c.usage.bytes), LOG_INT("stored", (int64_t)c.usage.stored),
             LOG_INT("evicted", (int64_t)c.usage.evicted), LOG_INT("too_large", (int64_t)c.usage.too_large));
}
