#include "lib/base/lru.h"

#include <stdlib.h>

#define MAX_BUCKETS ((size_t)1 << 20)

enum status lru_init(struct lru *lru, size_t expected, struct err *err)
{
    size_t n = 16;

    while (n < expected && n < MAX_BUCKETS)
        n *= 2;
    lru->buckets = calloc(n, sizeof *lru->buckets);
    if (lru->buckets == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    lru->mask = n - 1;
    lru->n = 0;
    lru->ends.newer = lru->ends.older = &lru->ends;
    return STATUS_OK;
}

void lru_release(struct lru *lru)
{
    free(lru->buckets);
    lru->buckets = NULL;
    lru->n = 0;
}

static struct lru_node *with_hash(struct lru_node *node, uint64_t hash)
{
    while (node != NULL && node->hash != hash)
        node = node->chain;
    return node;
}

struct lru_node *lru_first(const struct lru *lru, uint64_t hash)
{
    return with_hash(lru->buckets[hash & lru->mask], hash);
}

struct lru_node *lru_next(const struct lru_node *node)
{
    return with_hash(node->chain, node->hash);
}

struct lru_node *lru_oldest(const struct lru *lru)
{
    return lru->n > 0 ? lru->ends.newer : NULL;
}

static void link_as_newest(struct lru *lru, struct lru_node *node)
{
    node->older = lru->ends.older;
    node->newer = &lru->ends;
    node->older->newer = node;
    lru->ends.older = node;
}

static void unlink_from_ring(struct lru_node *node)
{
    node->older->newer = node->newer;
    node->newer->older = node->older;
}

void lru_add(struct lru *lru, struct lru_node *node, uint64_t hash)
{
    struct lru_node **bucket = &lru->buckets[hash & lru->mask];

    node->hash = hash;
    node->chain = *bucket;
    *bucket = node;
    link_as_newest(lru, node);
    lru->n++;
}

void lru_touch(struct lru *lru, struct lru_node *node)
{
    if (lru->ends.older == node)
        return;
    unlink_from_ring(node);
    link_as_newest(lru, node);
}

void lru_remove(struct lru *lru, struct lru_node *node)
{
    struct lru_node **place = &lru->buckets[node->hash & lru->mask];

    while (*place != node)
        place = &(*place)->chain;
    *place = node->chain;
    unlink_from_ring(node);
    lru->n--;
}
