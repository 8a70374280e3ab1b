#include "lib/store/l1.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/seeded_hash.h"

#define LARGEST_SHARE 8

struct l1 {
    pthread_mutex_t lock;
    struct lru lru;
    size_t max_entries, max_bytes;
    uint64_t seed; /* keys hold what clients ask for */
    struct l1_usage usage;
};

enum status l1_new(size_t max_entries, size_t max_bytes, struct l1 **ret_l1, struct err *err)
{
    struct l1 *l1 = calloc(1, sizeof *l1);
    enum status status;

    if (l1 == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    status = lru_init(&l1->lru, max_entries, err);
    if (status != STATUS_OK) {
        free(l1);
        return status;
    }
    pthread_mutex_init(&l1->lock, NULL);
    l1->max_entries = max_entries;
    l1->max_bytes = max_bytes;
    l1->seed = hash_seed_draw();
    *ret_l1 = l1;
    return STATUS_OK;
}

static size_t size_of(const struct l1_value *value)
{
    return sizeof *value + value->key_len + 1 + value->header.body_size;
}

void l1_put(struct l1_value **value)
{
    struct l1_value *v = *value;

    *value = NULL;
    /* Release: our reads of the value come before its end; acquire: the end comes after everybody's. */
    if (v != NULL && atomic_fetch_sub_explicit(&v->references, 1, memory_order_acq_rel) == 1)
        free(v);
}

/* The cache's own reference is left to the caller. */
static void take_out(struct l1 *l1, struct l1_value *value)
{
    lru_remove(&l1->lru, &value->node);
    l1->usage.bytes -= size_of(value);
}

void l1_free(struct l1 **l1)
{
    struct l1_value *value;

    if (*l1 == NULL)
        return;
    while ((value = (struct l1_value *)lru_oldest(&(*l1)->lru)) != NULL) {
        take_out(*l1, value);
        l1_put(&value);
    }
    lru_release(&(*l1)->lru);
    pthread_mutex_destroy(&(*l1)->lock);
    free(*l1);
    *l1 = NULL;
}

static struct l1_value *find(const struct l1 *l1, const char *key, size_t len, uint64_t hash)
{
    for (struct lru_node *n = lru_first(&l1->lru, hash); n != NULL; n = lru_next(n)) {
        struct l1_value *value = (struct l1_value *)n;

        if (value->key_len == len && memcmp(value->key, key, len) == 0)
            return value;
    }
    return NULL;
}

struct l1_value *l1_get(struct l1 *l1, const char *key)
{
    size_t len = strlen(key);
    uint64_t hash = hash_seeded(key, len, l1->seed);
    struct l1_value *value;

    pthread_mutex_lock(&l1->lock);
    value = find(l1, key, len, hash);
    if (value != NULL) {
        lru_touch(&l1->lru, &value->node);
        /* Relaxed: the lock orders it against the removal from the table, which is the only other way to the value. */
        atomic_fetch_add_explicit(&value->references, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&l1->lock);
    return value;
}

static struct l1_value *value_new(const char *key, size_t key_len, const struct cache_header *header, const char *body)
{
    struct l1_value *value = malloc(sizeof *value + key_len + 1 + header->body_size);
    char *bytes;

    if (value == NULL)
        return NULL;
    bytes = (char *)(value + 1);
    memset(&value->node, 0, sizeof value->node);
    atomic_init(&value->references, 1);
    value->header = *header;
    value->key_len = key_len;
    value->key = memcpy(bytes, key, key_len + 1);
    value->body = memcpy(bytes + key_len + 1, body, header->body_size);
    return value;
}

/* What must go for the limits to hold, as a list through node.chain. */
static struct lru_node *take_excess(struct l1 *l1)
{
    struct lru_node *list = NULL;

    while (l1->lru.n > l1->max_entries || l1->usage.bytes > l1->max_bytes) {
        struct l1_value *value = (struct l1_value *)lru_oldest(&l1->lru);

        take_out(l1, value);
        l1->usage.evicted++;
        value->node.chain = list;
        list = &value->node;
    }
    return list;
}

static void put_list(struct lru_node *list)
{
    while (list != NULL) {
        struct l1_value *value = (struct l1_value *)list;

        list = list->chain;
        l1_put(&value);
    }
}

bool l1_store(struct l1 *l1, const char *key, const struct cache_header *header, const char *body)
{
    size_t len = strlen(key);
    uint64_t hash = hash_seeded(key, len, l1->seed);
    bool fits = sizeof(struct l1_value) + len + 1 + header->body_size <= l1->max_bytes / LARGEST_SHARE;
    struct l1_value *fresh = fits ? value_new(key, len, header, body) : NULL, *old;
    struct lru_node *excess = NULL;

    pthread_mutex_lock(&l1->lock);
    old = find(l1, key, len, hash);
    if (old != NULL)
        take_out(l1, old);
    l1->usage.too_large += !fits;
    if (fresh != NULL) {
        lru_add(&l1->lru, &fresh->node, hash);
        l1->usage.bytes += size_of(fresh);
        l1->usage.stored++;
        excess = take_excess(l1);
    }
    pthread_mutex_unlock(&l1->lock);
    l1_put(&old);
    put_list(excess);
    return fresh != NULL;
}

void l1_read_usage(struct l1 *l1, struct l1_usage *ret_usage)
{
    pthread_mutex_lock(&l1->lock);
    *ret_usage = l1->usage;
    ret_usage->entries = l1->lru.n;
    pthread_mutex_unlock(&l1->lock);
}
