/* The in-process cache of stored values: least recently used out first, under a limit of entries and one of bytes.
 *
 * It says nothing about whether a value may be served: the read rule (cache_judge) does, with epochs from the epoch cache.
 * So a value needs no message when it becomes old, and putting an old one in does no harm.
 *
 * Values never change and are counted: who got one may write it out without a copy or a lock, while another thread
 * replaces it. A hit allocates nothing. One lock, held for a look into a hash table: measured in docs/decisions/0007-l1.md. */
#ifndef PNLCACHE_STORE_L1_H
#define PNLCACHE_STORE_L1_H

#include "lib/base/lru.h"
#include "lib/store/cache.h"

struct l1; /* thread-safe */

struct l1_value {
    struct lru_node node; /* the cache's */
    _Atomic size_t references;
    struct cache_header header;
    size_t key_len;
    const char *key;  /* NUL-terminated */
    const char *body; /* header.body_size bytes, as stored */
};

/* A value that takes more than an eighth of max_bytes is not kept. */
enum status l1_new(size_t max_entries, size_t max_bytes, struct l1 **ret_l1, struct err *err) MUST_CHECK;
void l1_free(struct l1 **l1); /* nobody may hold a value */

/* NULL: there is none. Give it back with l1_put(). */
struct l1_value *l1_get(struct l1 *l1, const char *key);
void l1_put(struct l1_value **value);
/* Copies key and body; replaces what is there. Whether it was kept: out of memory and too large are no failures. */
bool l1_store(struct l1 *l1, const char *key, const struct cache_header *header, const char *body);

struct l1_usage {
    size_t entries, bytes;
    uint64_t stored, evicted, too_large;
};
void l1_read_usage(struct l1 *l1, struct l1_usage *ret_usage);

#endif
