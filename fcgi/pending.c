#include "fcgi/pending.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/event.h"
#include "lib/base/text.h"

#define BUCKETS 1024
#define MAX_PENDING 100000
#define CHUNK 256 /* carried out in one round trip */

struct entry {
    struct entry *next;
    uint64_t version; /* no other entry's; changes when tags are added: an HDEL sent before does not cover them */
    struct cache_tags tags;
    bool erased; /* the user was deleted */
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

static struct entry **bucket_of(struct pending *pending, const char *user_id)
{
    return &pending->buckets[text_hash(user_id, strlen(user_id)) % BUCKETS];
}

static bool has(struct pending *pending, const char *user_id)
{
    struct entry *entry = *bucket_of(pending, user_id);

    while (entry && strcmp(entry->user_id, user_id) != 0)
        entry = entry->next;
    return entry != NULL;
}

/* To one of the user's entries that has room for the tags, else to a new one. NULL: no more of them. */
static struct entry *add(struct pending *pending, const char *user_id, const struct cache_tags *tags)
{
    struct entry **bucket = bucket_of(pending, user_id), *entry;

    for (entry = *bucket; entry; entry = entry->next)
        if (strcmp(entry->user_id, user_id) == 0 && event_tags_add(&entry->tags, tags))
            return entry;
    if (atomic_load(&pending->n) >= MAX_PENDING || !(entry = calloc(1, sizeof(*entry))))
        return NULL;
    snprintf(entry->user_id, sizeof(entry->user_id), "%s", user_id);
    entry->tags = *tags;
    entry->next = *bucket;
    *bucket = entry;
    atomic_fetch_add(&pending->n, 1);
    return entry;
}

enum status pending_add(struct pending *pending, const struct cache_invalidation *one, struct err *err)
{
    enum status status = STATUS_OK;

    pthread_mutex_lock(&pending->lock);
    struct entry *entry = add(pending, one->user_id ? one->user_id : "", one->tags);
    if (entry) {
        entry->erased = entry->erased || one->erased;
        entry->version = ++pending->next_version;
    } else {
        status = err_fail(err, STATUS_LIMIT, "too many invalidations wait for Redis");
    }
    pthread_mutex_unlock(&pending->lock);
    return status;
}

bool pending_covers(struct pending *pending, const char *user_id)
{
    if (atomic_load(&pending->n) == 0)
        return false;
    pthread_mutex_lock(&pending->lock);
    bool covers = has(pending, user_id) || has(pending, "");
    pthread_mutex_unlock(&pending->lock);
    return covers;
}

size_t pending_count(const struct pending *pending)
{
    return atomic_load(&pending->n);
}

/* Copies of entries, from *bucket on, whole buckets until there are about CHUNK; moves *bucket on. */
static size_t copy_entries(struct pending *pending, size_t *bucket, struct entry **ret_entries)
{
    struct entry *copies = NULL;
    size_t n = 0, cap = 0;

    pthread_mutex_lock(&pending->lock);
    for (; *bucket < BUCKETS && n < CHUNK; ++*bucket)
        for (const struct entry *entry = pending->buckets[*bucket]; entry; entry = entry->next) {
            if (n == cap) {
                struct entry *more = realloc(copies, (cap * 2 + CHUNK) * sizeof *copies);
                if (!more)
                    break; /* the rest stays pending until the next time */
                copies = more;
                cap = cap * 2 + CHUNK;
            }
            copies[n++] = *entry;
        }
    pthread_mutex_unlock(&pending->lock);
    *ret_entries = copies;
    return n;
}

/* Nothing happens to an entry that was given tags meanwhile: it stays. */
static void settle(struct pending *pending, const struct entry *done)
{
    pthread_mutex_lock(&pending->lock);
    struct entry **place = bucket_of(pending, done->user_id), *entry;
    while (*place && (*place)->version != done->version)
        place = &(*place)->next;
    if ((entry = *place)) {
        *place = entry->next;
        free(entry);
        atomic_fetch_sub(&pending->n, 1);
    }
    pthread_mutex_unlock(&pending->lock);
}

/* A full Redis takes no tombstone, which must not keep the others waiting: that is told in *refused, and is no failure. */
static enum status carry_out(struct pending *pending, struct local_cache *local, struct redis *redis,
                             const struct entry *entries, size_t n, enum status *refused, struct err *err)
{
    struct cache_invalidation *list = calloc(n, sizeof *list);

    if (!list)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++)
        list[i] = (struct cache_invalidation){.user_id = entries[i].user_id[0] ? entries[i].user_id : NULL,
                                              .tags = &entries[i].tags,
                                              .erased = entries[i].erased};
    enum status status = local_cache_invalidate_many(local, redis, list, n, err);
    for (size_t i = 0; i < n; i++) {
        if (list[i].status == STATUS_OK)
            settle(pending, &entries[i]);
        else if (entries[i].erased)
            *refused = list[i].status;
        else if (status == STATUS_OK)
            status = list[i].status;
    }
    free(list);
    return status;
}

enum status pending_carry_out(struct pending *pending, struct local_cache *local, struct redis *redis, struct err *err)
{
    enum status status = STATUS_OK, refused = STATUS_OK;

    for (size_t bucket = 0; bucket < BUCKETS && atomic_load(&pending->n) > 0 && status == STATUS_OK;) {
        struct entry *entries;
        size_t n = copy_entries(pending, &bucket, &entries);

        if (n > 0)
            status = carry_out(pending, local, redis, entries, n, &refused, err);
        free(entries);
    }
    return status == STATUS_OK ? refused : status;
}
