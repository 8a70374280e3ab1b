/* What the files of the cache share. */
#ifndef PNLCACHE_STORE_CACHE_INTERNAL_H
#define PNLCACHE_STORE_CACHE_INTERNAL_H

#include <stdatomic.h>

#include "lib/store/cache.h"

#define CACHE_BODY_MAX 999999999 /* nine digits */
#define CACHE_EPOCH_DIGITS 16
#define CACHE_DAMAGED_SLOTS 256

struct cache {
    char *prefix;
    int64_t epoch_ttl_s, stale_s;
    size_t max_value;
    _Atomic uint64_t verdicts[CACHE_VERDICTS];
    _Atomic uint64_t stored, unchanged, refused, too_large, invalidations, not_found_stored, not_found_served;
    /* Hashes of keys seen damaged, so that the next store replaces the body even where the header looks right. A
     * collision forgets one until it is seen again. */
    _Atomic uint64_t damaged[CACHE_DAMAGED_SLOTS];
};

/* Parses a header line without looking at the body; *ret_width: its bytes, line feed included. */
bool cache_header_take(const char *value, size_t len, struct cache_header *ret_header, size_t *ret_width) MUST_CHECK;
/* Bytes of the header line for these tags; the same for every value. */
size_t cache_header_width(const struct cache_tags *tags);
/* 16 lower-case hexadecimal digits. */
bool cache_parse_epoch(const char *text, size_t len, uint64_t *ret_epoch) MUST_CHECK;
/* Appends the key of the user's epochs; of the shared ones when user_id is NULL. */
void cache_append_epoch_key(const struct cache *cache, struct buf *key, const char *user_id);
uint64_t cache_key_hash(const char *key);

static inline size_t cache_count_tags(const struct cache_tags *tags, bool shared)
{
    size_t n = 0;

    for (size_t i = 0; i < tags->n; i++)
        n += tags->tags[i].shared == shared;
    return n;
}
/* The gzip of the bodies stored by one call, so that equal ones are compressed once: users without options have the same
 * option documents as one another, a third of a batch. */
struct packed_bodies {
    struct buf bytes;
    size_t n_slots;
    struct packed_body *slots;
};

/* For n bodies, which stay where they are until the release. */
enum status packed_bodies_init(struct packed_bodies *packed, size_t n) MUST_CHECK;
void packed_bodies_release(struct packed_bodies *packed);
/* The gzip of `body`, whose bytes have this sum, until the next call; false: keep identity. */
bool packed_bodies_find(struct packed_bodies *packed, const struct cache_body *body, uint64_t sum,
                        const char **ret_bytes, size_t *ret_len);

/* Appends a PUBLISH on pnlcache:updated for each user whose documents change with these stores; stores of one user are
 * adjacent. */
void cache_append_announcements(const struct cache *cache, struct redis *redis, const struct cache_store *stores,
                                size_t n);
/* Appends COMMAND key tag... for the user's or the shared tags; nothing when there is none. */
void cache_append_tag_command(struct redis *redis, const char *command, const char *key, const struct cache_tags *tags,
                              bool shared);
/* Appends the question whether the user has a tombstone: EXISTS, answered by an integer. */
enum status cache_append_tombstone_look(const struct cache *cache, struct redis *redis, const char *user_id) MUST_CHECK;
/* After a deletion that must not come back: `role` is the reply to INFO replication, sent in the same round trip, for replicas come
 * and go. Where there are any, waits until one of them has it: it may be the master a second from now. */
enum status cache_wait_for_replicas(struct redis *redis, const struct redis_reply *role, struct err *err) MUST_CHECK;
/* Takes the answer of an HMGET appended that way; what is no epoch becomes 0. */
enum status cache_take_epochs(const struct redis_reply *reply, const struct cache_tags *tags, bool shared,
                              struct cache_epochs *epochs, struct err *err) MUST_CHECK;

#endif
