#include "fcgi/pending.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024
#define MAX_PENDING 100000

struct entry {
    struct entry *next;
    uint64_t version; /* changes when tags are added: an HDEL sent before does not cover them */
    struct cache_tags tags;
    char user_id[USER_ID_MAX + 1];
};

struct pending {
    pthread_mutex_t lock;
    _Atomic size_t n;
    uint64_t next_version;
    struct entry *buckets[BUCKETS];
};

enum status pending_new(struct pending **ret_pending, struct err *err)
{
    struct pending *pending = calloc(1, sizeof(*pending));
    if (!pending)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    pthread_mutex_init(&pending->lock, NULL);
    *ret_pending = pending;
    return STATUS_OK;
}

void pending_free(struct pending **pending)
{
    if (!*pending)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while ((*pending)->buckets[i]) {
            struct entry *entry = (*pending)->buckets[i];
            (*pending)->buckets[i] = entry->next;
            free(entry);
        }
    pthread_mutex_destroy(&(*pending)->lock);
    free(*pending);
    *pending = NULL;
}

/* FNV-1a */
static size_t bucket_of(const char *user_id)
{
    uint32_t hash = 2166136261u;
    for (; *user_id; user_id++)
        hash = (hash ^ (unsigned char)*user_id) * 16777619u;
    return hash % BUCKETS;
}

static struct entry **find(struct pending *pending, const char *user_id)
{
    struct entry **p = &pending->buckets[bucket_of(user_id)];
    while (*p && strcmp((*p)->user_id, user_id) != 0)
        p = &(*p)->next;
    return p;
}

static bool holds(const struct cache_tags *tags, const struct cache_tag *tag)
{
    for (size_t i = 0; i < tags->n; i++)
        if (tags->tags[i].shared == tag->shared && strcmp(tags->tags[i].name, tag->name) == 0)
            return true;
    return false;
}

/* Adds what is new; false: there is no room for all of it. */
static bool add_tags(struct cache_tags *to, const struct cache_tags *from)
{
    struct cache_tags sum = *to;
    for (size_t i = 0; i < from->n; i++) {
        if (holds(&sum, &from->tags[i]))
            continue;
        if (sum.n == CACHE_MAX_TAGS)
            return false;
        sum.tags[sum.n++] = from->tags[i];
    }
    *to = sum;
    return true;
}

enum status pending_add(struct pending *pending, const char *user_id, const struct cache_tags *tags, struct err *err)
{
    enum status status = STATUS_OK;

    pthread_mutex_lock(&pending->lock);
    struct entry **place = find(pending, user_id), *entry = *place;
    if (!entry && atomic_load(&pending->n) < MAX_PENDING && (entry = calloc(1, sizeof(*entry)))) {
        snprintf(entry->user_id, sizeof(entry->user_id), "%s", user_id);
        *place = entry;
        atomic_fetch_add(&pending->n, 1);
    }
    if (!entry || !add_tags(&entry->tags, tags))
        status = err_fail(err, STATUS_LIMIT, "too many invalidations wait for Redis");
    else
        entry->version = ++pending->next_version;
    pthread_mutex_unlock(&pending->lock);
    return status;
}

bool pending_covers(struct pending *pending, const char *user_id)
{
    if (atomic_load(&pending->n) == 0)
        return false;
    pthread_mutex_lock(&pending->lock);
    bool covers = *find(pending, user_id) || *find(pending, "");
    pthread_mutex_unlock(&pending->lock);
    return covers;
}

/* A copy of a bucket's entry, counted from 0; false: there are not so many. */
static bool copy_entry(struct pending *pending, size_t bucket, size_t index, struct entry *ret_entry)
{
    pthread_mutex_lock(&pending->lock);
    const struct entry *entry = pending->buckets[bucket];
    for (; entry && index > 0; index--)
        entry = entry->next;
    if (entry)
        *ret_entry = *entry;
    pthread_mutex_unlock(&pending->lock);
    return entry != NULL;
}

/* False: tags were added meanwhile, so the entry stays. */
static bool settle(struct pending *pending, const struct entry *done)
{
    pthread_mutex_lock(&pending->lock);
    struct entry **place = find(pending, done->user_id), *entry = *place;
    bool settled = entry && entry->version == done->version;
    if (settled) {
        *place = entry->next;
        free(entry);
        atomic_fetch_sub(&pending->n, 1);
    }
    pthread_mutex_unlock(&pending->lock);
    return settled;
}

enum status pending_carry_out(struct pending *pending, struct cache *cache, struct redis *redis, struct err *err)
{
    if (atomic_load(&pending->n) == 0)
        return STATUS_OK;
    for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
        struct entry entry;
        size_t index = 0;
        while (copy_entry(pending, bucket, index, &entry)) {
            enum status status =
                cache_invalidate(cache, redis, entry.user_id[0] ? entry.user_id : NULL, &entry.tags, err);
            if (status != STATUS_OK)
                return status;
            if (!settle(pending, &entry))
                index++;
        }
    }
    return STATUS_OK;
}
