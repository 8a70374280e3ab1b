/* The cache protocol of design sections 3 and 4: keys, epochs, the value header and the read rule.
 *
 * A value is one ASCII line and a body. The line says which epochs the body was computed under; a
 * value is served only if each of them equals the present one, the Redis instance is the present one,
 * and expiry and valid_until lie ahead. Everything else is a miss. Invalidating a tag is HDEL of its
 * epoch. Nothing here scans keys or needs a script. */
#ifndef PNLCACHE_STORE_CACHE_H
#define PNLCACHE_STORE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/store/redis.h"

#define USER_ID_MAX 128
#define CACHE_TAG_MAX 32
#define CACHE_MAX_TAGS 9

/* A kind of source rows a value depends on. Static data: names are string literals. */
struct cache_tag {
    const char *name; /* a-z 0-9 _ - .; at most CACHE_TAG_MAX - 1 bytes */
    bool shared;      /* epoch:shared instead of the user's */
};
struct cache_tags {
    size_t n;
    struct cache_tag tags[CACHE_MAX_TAGS];
};

/* Not empty, at most USER_ID_MAX bytes, valid UTF-8, no control characters. */
bool user_id_is_valid(const char *user_id);
/* Appends the id with every byte outside [A-Za-z0-9_.@|-] percent-encoded. */
void cache_append_user(struct buf *key, const char *user_id);
/* The XXH3-128 of the bytes in hexadecimal digits: the H of keys of canonical requests. */
#define CACHE_HASH_LEN 32
void cache_hash(const void *bytes, size_t len, char text[CACHE_HASH_LEN + 1]);
void cache_append_hash(struct buf *key, const void *bytes, size_t len);

/* --- values ------------------------------------------------------------------------------- */

/* CACHE_NOT_FOUND: there is no such document; the body is the plain text that says so. */
enum cache_encoding { CACHE_IDENTITY, CACHE_GZIP, CACHE_NOT_FOUND };

/* The parsed header line. Layout (fixed order, fixed width for a given set of tags):
 *
 * PNLC1 etag=<32 hex> content=<32 hex> instance=<40 hex> computed=<17 digits, us> until=<17 digits, us>
 *   expires=<17 digits, us> cost=<8 digits, us> enc=<i|g|n> size=<9 digits> sum=<16 hex>
 *   epochs=<tag>:<16 hex>[,<tag>:<16 hex>...]\n
 *
 * etag: XXH3-128 of the identity body. content: XXH3-128 of the body without what every computation
 * changes (struct cache_body). size, sum: bytes and XXH3-64 of the stored (perhaps gzip) body, so
 * that a cut or foreign value is recognised. Shared tags are written with '@' in front. */
struct cache_header {
    char etag[33];
    char content[33];
    char instance[REDIS_INSTANCE_SIZE];
    struct instant computed_at, valid_until, expires_at;
    int64_t cost_us;
    enum cache_encoding encoding;
    size_t body_size;
    uint64_t body_sum;
    size_t n_epochs;
    struct {
        char tag[CACHE_TAG_MAX];
        bool shared;
        uint64_t epoch;
    } epochs[CACHE_MAX_TAGS];
};

void cache_header_append(struct buf *out, const struct cache_header *header);
/* STATUS_INVALID: not one of our values, another format version, or the body does not match size
 * and sum. *ret_body points into `value`. */
enum status cache_value_parse(const char *value, size_t len, struct cache_header *ret_header, const char **ret_body,
                              struct err *err) MUST_CHECK;
/* Appends the identity body: copies it, or unpacks gzip (at most `max` bytes). STATUS_INVALID:
 * damaged; STATUS_LIMIT. */
enum status cache_body_unpack(const struct cache_header *header, const char *body, size_t max,
                              struct buf *out) MUST_CHECK;

/* --- epochs ------------------------------------------------------------------------------- */

/* The epochs of one user's (and the shared) tags, in the order of struct cache_tags. 0 = absent. */
struct cache_epochs {
    uint64_t values[CACHE_MAX_TAGS];
    /* Set by cache_open_epochs(): where they were read. A value goes nowhere else: a Redis that came back from an older
     * copy may show these epochs again after it forgot their invalidation. */
    char instance[REDIS_INSTANCE_SIZE];
    char user_id[USER_ID_MAX + 1]; /* whose; "" when all tags are shared */
};

struct cache; /* what all threads share: prefix, TTL rules, counters. Thread-safe. */
struct settings;

enum status cache_new(const struct settings *settings, struct cache **ret_cache, struct err *err) MUST_CHECK;
void cache_free(struct cache **cache);
/* Appends KEY_PREFIX. Every key begins with it. */
void cache_append_prefix(const struct cache *cache, struct buf *key);

/* Appends what every key of epochs begins with: what client-side caching is to watch. */
void cache_append_epoch_prefix(const struct cache *cache, struct buf *key);
/* Whose epochs a key holds: "" for the shared ones. False: none of ours. */
bool cache_parse_epoch_key(const struct cache *cache, const char *key, size_t len,
                           char user_id[USER_ID_MAX + 1]) MUST_CHECK;

/* Before computing: the present epochs of the tags for n users, absent ones created at random
 * (HSETNX, renewed TTL), in one or two pipelined round trips. Read them BEFORE the database snapshot. An erased user's stay
 * absent, so that nothing can be stored under them. */
enum status cache_open_epochs(struct cache *cache, struct redis *redis, const struct cache_tags *tags, size_t n_users,
                              const char *const *user_ids, struct cache_epochs *ret_epochs, struct err *err) MUST_CHECK;

/* Invalidates: HDEL of each tag's epoch. STATUS_OK only when Redis acknowledged it (with replicas:
 * WAIT 1). Any other status: it has not happened (or nobody knows) and the event belongs in the outbox. */
enum status cache_invalidate(struct cache *cache, struct redis *redis, const char *user_id,
                             const struct cache_tags *tags, struct err *err) MUST_CHECK;

/* How long after an erasure nothing of the user is stored. */
#define CACHE_TOMBSTONE_S 86400

struct cache_invalidation {
    /* in */
    const char *user_id; /* NULL when all tags are shared */
    const struct cache_tags *tags;
    bool erased; /* the user was deleted: all of the user's tags, and a tombstone (docs/decisions/0005-erasure.md) */
    /* out */
    enum status status; /* as the result of cache_invalidate() for this one */
};
/* n invalidations in one pipelined round trip, and one WAIT when there are replicas. The result is that of the transport
 * and of the replicas; it is in every `status` then. */
enum status cache_invalidate_many(struct cache *cache, struct redis *redis, struct cache_invalidation *list, size_t n,
                                  struct err *err) MUST_CHECK;
/* Appends the key of a user's tombstone. */
void cache_append_tombstone_key(const struct cache *cache, struct buf *key, const char *user_id);

/* --- reading ------------------------------------------------------------------------------ */

enum cache_verdict {
    CACHE_HIT,
    CACHE_MISS_ABSENT,
    CACHE_MISS_DAMAGED,  /* not ours, unknown version, cut, wrong type */
    CACHE_MISS_EPOCH,    /* invalidated since */
    CACHE_MISS_INSTANCE, /* written to another Redis: an invalidation may have been lost */
    CACHE_MISS_EXPIRED,  /* past expiry or valid_until */
    CACHE_VERDICTS
};
const char *cache_verdict_name(enum cache_verdict verdict);

/* The read rule, pure. */
enum cache_verdict cache_judge(const struct cache_header *header, const struct cache_tags *tags,
                               const struct cache_epochs *present, const char *instance, struct instant now);

struct cache_lookup {
    /* in */
    const char *key;     /* whole key, prefix included */
    const char *user_id; /* NULL when all tags are shared */
    const struct cache_tags *tags;
    /* out */
    enum cache_verdict verdict;
    int64_t ttl_s;              /* for how long the value was stored, valid or not; 0: there is none */
    struct cache_header header; /* on a hit, and when it has expired */
    const char *body;           /* its stored bytes; borrowed from `redis` until its next flush */
};

/* n lookups in one pipelined round trip, each judged by the read rule; those of one user beside one another share one reading of
 * their epochs when their `tags` are the same ones. A failure (Redis down) leaves
 * every verdict at CACHE_MISS_ABSENT. */
enum status cache_lookup_many(struct cache *cache, struct redis *redis, struct cache_lookup *lookups, size_t n,
                              struct err *err) MUST_CHECK;

/* Nothing but its age speaks against a value (CACHE_MISS_EXPIRED), and CACHE_STALE_IF_ERROR allows it when the database
 * cannot answer. */
bool cache_may_be_stale(const struct cache *cache, const struct cache_lookup *lookup, struct instant now);
/* The body of a hit turned out to be of no use: the next store replaces it, however whole it looks. */
void cache_report_damaged(struct cache *cache, const char *key);

/* Would a value be served? Judged by its header alone, without fetching the body: what a job asks before it
 * recomputes. A value of the wrong length counts as damaged. */
struct cache_check {
    /* in */
    const char *key;
    const struct cache_tags *tags;
    const struct cache_epochs *epochs; /* as just opened */
    int64_t
        ahead_s; /* judged as of this much later; but a value that ends with what it says, not with its TTL, as of now:
                      * computed again it would last no longer */
    /* out */
    enum cache_verdict verdict;
    int64_t ttl_s; /* for how long the value was stored, valid or not; 0: there is none */
};
/* n checks in one pipelined round trip. */
enum status cache_check_many(struct cache *cache, struct redis *redis, struct cache_check *checks, size_t n,
                             struct err *err) MUST_CHECK;

/* --- writing ------------------------------------------------------------------------------ */

/* A computed answer. Bytes [volatile_start, volatile_end) (computed_at, as_of) are left out of the
 * content hash, so that a refresh without news keeps the stored body and its ETag. */
struct cache_body {
    const char *bytes;
    size_t len;
    size_t volatile_start, volatile_end;
    struct instant computed_at, valid_until;
    int64_t cost_us;
    bool not_found; /* the bytes say what is not there: stored as CACHE_NOT_FOUND */
    bool
        nothing_there; /* it speaks of something unknown, as every not_found does: worth keeping for a short time only */
    bool holds_positions; /* open ones, valued at latest prices: it ages sooner */
    bool too_large;       /* the bytes say that there is more than an answer may hold; such a body is never stored */
};

struct cache_store {
    /* in */
    const char *key;
    const struct cache_tags *tags;
    const struct cache_epochs *epochs; /* as opened before the snapshot */
    const struct cache_body *body;
    int64_t ttl_s;       /* jittered by up to -10 %, cut at valid_until */
    const char *section; /* a store that changes a user's body is announced under it (docs/events.md); NULL: none is */
    /* out */
    bool unchanged; /* the stored body was kept, only its header was renewed */
    enum status status;
    struct cache_header header; /* as stored (etag for the answer at hand) */
};

/* Stores n values in at most two pipelined round trips: first the present headers (GETRANGE), then
 * SET, or, where the content is the same, the new header only (SETRANGE). Values over CACHE_MAX_VALUE
 * are not stored (STATUS_LIMIT in their `status`), nor are those nobody could be served: an epoch is absent, Redis is
 * another instance than the epochs', valid_until has passed, the user was erased (STATUS_CONFLICT). The result is the
 * first failure of the transport; *err may also tell why Redis refused a value (full, read-only: STATUS_UNAVAILABLE in its
 * `status`). Stores of one user that are adjacent are announced in one message. */
enum status cache_store_many(struct cache *cache, struct redis *redis, struct cache_store *stores, size_t n,
                             struct err *err) MUST_CHECK;
/* Whether this body would be within CACHE_MAX_VALUE. Costs compressing it, but only where it is not as it is. */
bool cache_takes_size(const struct cache *cache, const struct cache_tags *tags, const struct cache_body *body);
/* Whether Redis takes what storing needs, an epoch and a value, tried with keys of its own that are gone in a second. */
enum status cache_try_store(struct cache *cache, struct redis *redis, struct err *err) MUST_CHECK;
/* The header such a body would be stored with; for answers that are not stored. */
void cache_describe(const struct cache *cache, const struct cache_store *store, const char *instance,
                    struct cache_header *ret_header);

/* Gzip of `bytes` when that is worth it (over 1 KiB and smaller); false: keep identity. */
bool cache_compress(const char *bytes, size_t len, struct buf *out);

struct cache_counters {
    uint64_t verdicts[CACHE_VERDICTS];
    uint64_t stored, unchanged, refused, too_large, invalidations;
    uint64_t not_found_stored, not_found_served; /* of those stored, of the hits */
};
void cache_read_counters(const struct cache *cache, struct cache_counters *ret_counters);

#endif
