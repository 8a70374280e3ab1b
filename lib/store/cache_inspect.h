/* One key of the cache for people: what is under it, and whether it would be served. */
#ifndef PNLCACHE_STORE_CACHE_INSPECT_H
#define PNLCACHE_STORE_CACHE_INSPECT_H

#include "lib/store/cache.h"

struct cache_entry {
    char type[16];  /* as Redis names it; "none": there is no such key */
    int64_t ttl_ms; /* -1: it has none; -2: there is no such key */
    int64_t memory; /* bytes that Redis uses for it */
    size_t size;    /* bytes of the value; 0 when it is no string */
    enum cache_verdict verdict;
    struct cache_header header;       /* unless absent or damaged */
    uint64_t present[CACHE_MAX_TAGS]; /* the present epoch of each of the header's; 0: none */
};

/* Judges by the read rule and the tags that the value itself names, and counts nowhere. `key`: whole, prefix included. The body is read
 * and its sum checked. */
enum status cache_inspect(const struct cache *cache, struct redis *redis, const char *key,
                          struct cache_entry *ret_entry, struct err *err) MUST_CHECK;

#endif
