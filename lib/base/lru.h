/* A hash table whose members are also in the order of their last use. Intrusive: a member is a struct that has a
 * struct lru_node as its first field, so that neither finding, nor adding, nor removing one allocates. The caller hashes
 * the keys (with a seed, when strangers choose them) and compares them:
 *
 *   for (struct lru_node *n = lru_first(&lru, hash); n; n = lru_next(n))
 *       if (is_it((struct thing *)n, key)) ...
 *
 * Not thread-safe. */
#ifndef PNLCACHE_BASE_LRU_H
#define PNLCACHE_BASE_LRU_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

struct lru_node {
    struct lru_node *newer, *older; /* in a ring with struct lru.ends */
    struct lru_node *chain;         /* the same bucket */
    uint64_t hash;
};

struct lru {
    struct lru_node ends; /* ends.newer is the oldest member, ends.older the newest */
    struct lru_node **buckets;
    size_t mask, n;
};

/* Room for `expected` members without long chains; more are taken. The struct must not move afterwards. */
enum status lru_init(struct lru *lru, size_t expected, struct err *err) MUST_CHECK;
/* Frees the table, not the members. */
void lru_release(struct lru *lru);

/* The first member with that hash, and the next one with the same; NULL: there is none. */
struct lru_node *lru_first(const struct lru *lru, uint64_t hash);
struct lru_node *lru_next(const struct lru_node *node);
/* The member used longest ago; NULL: there is none. */
struct lru_node *lru_oldest(const struct lru *lru);

/* As the newest. It must not be a member. */
void lru_add(struct lru *lru, struct lru_node *node, uint64_t hash);
/* Was used just now. */
void lru_touch(struct lru *lru, struct lru_node *node);
void lru_remove(struct lru *lru, struct lru_node *node);

#endif
