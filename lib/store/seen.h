/* Marks of webhooks that were carried out: `seen:webhook:ID`. A mark saves the work of a second job; it never
 * stands for the work itself (api.md 7). */
#ifndef PNLCACHE_STORE_SEEN_H
#define PNLCACHE_STORE_SEEN_H

#include "lib/store/cache.h"

struct seen_mark {
    /* in */
    const char *id; /* webhook-id; any bytes */
    /* out */
    bool is_repeat; /* the mark was there already; false also where Redis would not take it */
};
/* Marks n ids for ttl_s seconds in one pipelined round trip (SET NX). After a failure none counts as a repeat. */
enum status seen_mark_many(struct cache *cache, struct redis *redis, struct seen_mark *marks, size_t n, int64_t ttl_s,
                           struct err *err) MUST_CHECK;
/* Takes a mark back: what it stood for could not be done. */
enum status seen_unmark(struct cache *cache, struct redis *redis, const char *id, struct err *err) MUST_CHECK;

#endif
