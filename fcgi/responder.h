/* What all threads of the responder share. */
#ifndef PNLCACHE_FCGI_RESPONDER_H
#define PNLCACHE_FCGI_RESPONDER_H

#include <pthread.h>
#include <stdatomic.h>

#include "fcgi/health.h"
#include "fcgi/jwt.h"
#include "fcgi/limits.h"
#include "fcgi/local_cache.h"
#include "fcgi/pending.h"
#include "fcgi/webhook_signature.h"
#include "jobs/dataset.h"
#include "lib/base/file.h"
#include "lib/base/settings.h"
#include "lib/store/cache.h"
#include "lib/store/db.h"
#include "lib/store/redis.h"

/* The keys in force. Replaced as a whole on SIGHUP; a thread holds a reference for the length of one turn. */
struct secrets {
    _Atomic int references;
    uint64_t generation;
    struct jwt_verifier *jwt;  /* NULL: AUTH_MODE has neither jwt nor session */
    char *key_file;            /* JWT_KEYS; "": none */
    struct file_mark key_mark; /* of the version that was read, or of one before it */
    struct webhook_keys *webhooks;
    int64_t webhook_tolerance_s;
};

struct meters;
struct misses;
struct operations;
struct warmer;
struct webhook_lane;
struct refresher;
struct session_lane;

/* A user's mark may be in any place of its row, so that those of some 4,000 users a minute stay. */
#define RESPONDER_TOUCH_ROWS 1024
#define RESPONDER_TOUCH_PLACES 8
#define RESPONDER_ABSENCE_SLOTS 1024

struct responder {
    const struct settings *settings; /* as of the start */
    _Atomic int64_t n_connections;   /* of web servers, over all loops */
    struct cache *cache;
    struct health *health;
    struct local_cache *local;
    struct pending *pending;
    struct limits *limits;
    struct meters *meters;
    struct operations *operations;
    struct misses *misses;
    struct webhook_lane *webhook_lane;
    struct warmer *warmer;             /* NULL: nothing is cached in Redis */
    struct refresher *refresher;       /* NULL: nothing is cached in Redis */
    struct session_lane *session_lane; /* NULL: AUTH_MODE has no sessions, or not started */
    pthread_mutex_t secrets_lock;
    struct secrets *secrets;
    struct dataset_set *datasets; /* under secrets_lock; hold it */
    uint64_t seed;                /* of the hashes of users below */
    /* A user's hash and the minute of the last touch. */
    _Atomic uint64_t touched[RESPONDER_TOUCH_ROWS][RESPONDER_TOUCH_PLACES];
    _Atomic uint64_t
        absences[RESPONDER_ABSENCE_SLOTS]; /* which CACHE_TTL_NOT_FOUND it is, and how many were kept in it */
};

enum status responder_init(struct responder *r, const struct settings *settings, struct err *err) MUST_CHECK;
void responder_release(struct responder *r);
/* The secrets of these settings, for the AUTH_MODE of the start. */
enum status responder_new_secrets(const struct responder *r, const struct settings *settings,
                                  struct secrets **ret_secrets, struct err *err) MUST_CHECK;
/* Takes them into use, and from the caller. */
void responder_take_secrets(struct responder *r, struct secrets **secrets);

/* True at most once a minute of the monotonic clock per user, or session's name (oftener when more share a row than have a place in it): note the
 * activity. */
bool responder_should_touch(struct responder *r, const char *name, int64_t now_ms);

/* Whether one more answer about something unknown of this user may be kept in Redis: a flood of made-up ids must not fill it.
 * At most 64 in CACHE_TTL_NOT_FOUND (fewer when users share a slot), so at most 65,536 by one responder. False when the TTL
 * is 0. Counts this one. */
bool responder_may_keep_absence(struct responder *r, const char *user_id);

/* Takes the datasets of these settings into use; on failure the old ones stay. `db`: NULL, or it plans every statement first; when it
 * does not answer, that is left to the requests. A directory that is not there is an empty one, at the start. */
enum status responder_take_datasets(struct responder *r, const struct settings *settings, struct db *db,
                                    struct err *err) MUST_CHECK;
/* To be released with dataset_set_release(). */
struct dataset_set *responder_hold_datasets(struct responder *r);

struct secrets *secrets_get(struct responder *r);
void secrets_put(struct secrets **secrets);

/* Connection objects with the responder's settings and breakers; NULL Redis when REDIS_ENABLED is false. */
enum status responder_new_redis(const struct responder *r, const char *name, struct redis **ret_redis,
                                struct err *err) MUST_CHECK;
enum status responder_new_db(const struct responder *r, struct db **ret_db, struct err *err) MUST_CHECK;
/* Those that try a server whose breaker is open; the caller frees both whatever the status. */
enum status responder_new_prober(const struct responder *r, struct redis **ret_redis, struct db **ret_db,
                                 struct err *err) MUST_CHECK;

#endif
