/* Sessions in Redis. Whoever comes with a session's id is its user, so the id itself is nowhere in Redis: a session is named by
 * a digest of it, and a copy of all that Redis holds lets nobody in.
 *
 *   session:NAME     one line, "1 CREATED ROLE USER"; it lives for the idle time, never past its lifetime
 *   sessions:{U}     the user's names in a sorted set, by the second they end
 *
 * Sliding is EXPIRE, which brings no session back that was ended meanwhile. */
#ifndef PNLCACHE_STORE_SESSION_STORE_H
#define PNLCACHE_STORE_SESSION_STORE_H

#include "lib/store/cache.h"

#define SESSION_NAME_LEN 64 /* lower-case hexadecimal digits */
#define SESSION_NAME_SIZE (SESSION_NAME_LEN + 1)
#define SESSIONS_PER_USER 100 /* one more ends the one that would end first */

struct session {
    char user_id[USER_ID_MAX + 1];
    unsigned role;                /* 0 to 9; what it means is the caller's business */
    int64_t created_s, expires_s; /* Unix time */
};

struct session_terms {
    int64_t idle_s, lifetime_s;
};

/* Appends what the key of every session begins with: what client-side caching is to watch. */
void session_append_prefix(const struct cache *cache, struct buf *key);
/* Which session's key it is; false: none of ours. */
bool session_parse_key(const struct cache *cache, const char *key, size_t len,
                       char ret_name[SESSION_NAME_SIZE]) MUST_CHECK;

/* Stores a new session: user, role and created_s are the caller's, which is now; expires_s is set. STATUS_CONFLICT: the
 * user was erased, nothing is stored. Any other failure: nobody knows, but the name is not to be given out. */
enum status session_create(const struct cache *cache, struct redis *redis, const char *name,
                           const struct session_terms *terms, struct session *session, struct err *err) MUST_CHECK;

struct session_lookup {
    /* in */
    const char *name;
    /* out */
    enum status status; /* STATUS_NOT_FOUND: there is none; STATUS_UNAVAILABLE and the like: Redis does not say */
    struct session session;
};
/* n lookups in one pipelined round trip. A failure of the transport is in every status. */
void session_read_many(const struct cache *cache, struct redis *redis, const struct session_terms *terms,
                       struct instant now, struct session_lookup *lookups, size_t n);

/* It was used: it lives for the idle time from now on. STATUS_NOT_FOUND: it has ended. */
enum status session_slide(const struct cache *cache, struct redis *redis, const char *name,
                          const struct session_terms *terms, const struct session *session, struct instant now,
                          struct err *err) MUST_CHECK;

/* Ends one session, or all of a user. STATUS_OK only when Redis has acknowledged it (with replicas: one of them too); else it
 * may not have happened, and asking again is harmless. *ret_n: how many there were. `forget` (may be NULL) is told each name of the
 * user's afterwards, whatever came of it. */
enum status session_end(const struct cache *cache, struct redis *redis, const char *name, const char *user_id,
                        size_t *ret_n, struct err *err) MUST_CHECK;
enum status session_end_all(const struct cache *cache, struct redis *redis, const char *user_id,
                            void (*forget)(void *context, const char *name), void *context, size_t *ret_n,
                            struct err *err) MUST_CHECK;

#endif
