/* The present epochs as this process knows them: what a hit in the in-process cache is judged by.
 *
 * Somebody who watches Redis (fcgi/tracking.h) keeps them true: it reports each invalidation message and proves again and
 * again that messages arrive. An epoch is current only while the last proof is young; nobody has to notice that proofs
 * stop coming.
 *
 *   no session --epoch_cache_begin_session--> trusted --epoch_cache_doubt--> no session
 *
 * A reader asks for a ticket before it reads epochs from Redis, and offers what it read afterwards. A ticket is the number
 * of a placeholder: whatever invalidates the user meanwhile removes that, a later reader's placeholder has another number,
 * and what was read is then not kept. So an epoch never outlives its invalidation, in whatever order the answer and
 * the message come.
 *
 * In doubt nothing is current and no ticket is given out. What was known at the last proof stays, for the use without
 * Redis (CACHE_DEGRADED_TTL), less what is invalidated afterwards; epoch_cache_forget_all() removes that too.
 *
 * Without Redis at all (epoch_cache_begin_local()) the epochs are made here. */
#ifndef PNLCACHE_STORE_EPOCH_CACHE_H
#define PNLCACHE_STORE_EPOCH_CACHE_H

#include "lib/store/cache.h"

struct epoch_cache; /* thread-safe */

/* Up to max_users are remembered, the shared tags counting as one; the least recently used is forgotten. */
enum status epoch_cache_new(size_t max_users, struct epoch_cache **ret_epochs, struct err *err) MUST_CHECK;
void epoch_cache_free(struct epoch_cache **epochs);

/* --- for who watches Redis ------------------------------------------------------------------ */

/* Nothing of an earlier session is current. `proven_ms` (monotonic): every invalidation up to then has been reported. */
void epoch_cache_begin_session(struct epoch_cache *epochs, const char *instance, int64_t proven_ms);
void epoch_cache_prove(struct epoch_cache *epochs, int64_t proven_ms);
void epoch_cache_doubt(struct epoch_cache *epochs);
/* Redis was flushed, or is another instance. */
void epoch_cache_forget_all(struct epoch_cache *epochs);
/* One user's epochs, for all tags (or what goes by that name); NULL: the shared ones. From its return on none of them, nor one whose reading has begun
 * before, is ever current again. */
void epoch_cache_forget(struct epoch_cache *epochs, const char *user_id);
/* A session that needs no proofs, with epochs of this process. */
void epoch_cache_begin_local(struct epoch_cache *epochs);

/* --- for readers ---------------------------------------------------------------------------- */

enum epoch_knowledge {
    EPOCHS_KNOWN,
    EPOCHS_UNKNOWN,  /* of this user, or of one of the tags */
    EPOCHS_DOUBTFUL, /* no session, or its last proof is older than max_age_ms */
};
/* The epochs of the tags, with their instance, if the last proof was at most max_age_ms before now_ms (monotonic).
 * `degraded`: also when the session has ended since. */
enum epoch_knowledge epoch_cache_get(struct epoch_cache *epochs, const char *user_id, const struct cache_tags *tags,
                                     int64_t now_ms, int64_t max_age_ms, bool degraded,
                                     struct cache_epochs *ret_epochs) MUST_CHECK;

struct epoch_ticket {
    uint64_t own, shared; /* 0: nothing will be kept */
};
/* Before reading the epochs of the tags from Redis. */
struct epoch_ticket epoch_cache_begin(struct epoch_cache *epochs, const char *user_id, const struct cache_tags *tags);
/* Offers the epochs of a value that was found valid, which are the present ones. Whether all of them were kept. */
bool epoch_cache_keep(struct epoch_cache *epochs, struct epoch_ticket ticket, const char *user_id,
                      const struct cache_header *header);

/* For what is judged by nothing but whether it was invalidated (fcgi/auth.c: sessions): any name that is no user's. A number before
 * it is read from Redis, 0 when nothing may be kept; what was read is current for as long as the number stands. */
uint64_t epoch_cache_begin_name(struct epoch_cache *epochs, const char *name);
bool epoch_cache_stands(struct epoch_cache *epochs, const char *name, uint64_t number, int64_t now_ms,
                        int64_t max_age_ms) MUST_CHECK;

/* Local session only: the present epochs, absent ones made. To be called before the snapshot that is computed from. */
void epoch_cache_open_local(struct epoch_cache *epochs, const char *user_id, const struct cache_tags *tags,
                            struct cache_epochs *ret_epochs);

#endif
