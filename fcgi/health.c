#include "fcgi/health.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/responder.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/store/redis_info.h"

enum {
    LOOK_MS = 1000,
    PAUSE_FIRST_MS = 50,
    PAUSE_LAST_MS = 500, /* with a look's own time-out this keeps recovery within two seconds */
};

struct watch {
    const char *server; /* for the log */
    struct health *health;
    struct breaker *breaker;
    enum status (*look)(struct watch *w, struct err *err);
    struct redis *redis;
    struct db *db;
    char version[24];                   /* of the server when last seen, guarded by the health's lock; "": unknown */
    char instance[REDIS_INSTANCE_SIZE]; /* whose version it is */
    pthread_t thread;
    bool started;
};

struct health {
    struct watch redis, database;
    bool redis_enabled;
    struct cache *cache;
    _Atomic bool stores_refused;
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool stopping;
};

/* --- life ------------------------------------------------------------------------------------- */

static void log_change(void *context, bool closed, const char *why)
{
    const struct watch *w = context;

    if (closed)
        log_info("server is back", LOG_STR("server", w->server), LOG_STR("outage", why));
    else
        log_warn("server is down", LOG_STR("server", w->server), LOG_STR("error", why));
}

static enum status watch_init(struct watch *w, const char *server, struct health *health, struct err *err)
{
    struct breaker_options options = {
        .first_pause_ms = PAUSE_FIRST_MS, .last_pause_ms = PAUSE_LAST_MS, .on_change = log_change, .context = w};

    w->server = server;
    w->health = health;
    return breaker_new(&options, &w->breaker, err);
}

enum status health_new(const struct settings *settings, struct health **ret_health, struct err *err)
{
    struct health *h = calloc(1, sizeof(*h));
    pthread_condattr_t monotonic;

    if (!h)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    h->redis_enabled = settings->redis_enabled;
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&h->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
    enum status status = watch_init(&h->redis, "redis", h, err);
    if (status == STATUS_OK)
        status = watch_init(&h->database, "database", h, err);
    if (status == STATUS_OK)
        *ret_health = h;
    else
        health_free(&h);
    return status;
}

void health_free(struct health **health)
{
    struct health *h = *health;
    if (!h)
        return;
    health_stop(h);
    breaker_free(&h->redis.breaker);
    breaker_free(&h->database.breaker);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->stop);
    free(h);
    *health = NULL;
}

struct breaker *health_redis_breaker(const struct health *h)
{
    return h->redis.breaker;
}

struct breaker *health_database_breaker(const struct health *h)
{
    return h->database.breaker;
}

/* --- versions --------------------------------------------------------------------------------- */

static void note_version(struct watch *w, const char *version)
{
    pthread_mutex_lock(&w->health->lock);
    (void)snprintf(w->version, sizeof(w->version), "%s", version);
    pthread_mutex_unlock(&w->health->lock);
}

/* Once for each instance: another one may be another release. One that does not tell is not asked again. */
static void note_redis_version(struct watch *w)
{
    const struct redis_reply *reply;
    char version[sizeof(w->version)] = "";
    size_t len;

    if (strcmp(w->instance, redis_instance(w->redis)) == 0)
        return;
    enum status status = redis_command(w->redis, &reply, NULL, "INFO", "server", NULL);
    if (status_is_transient(status))
        return;
    if (status == STATUS_OK)
        (void)redis_info_value(redis_reply_bytes(reply, &len), "redis_version", version, sizeof(version));
    memcpy(w->instance, redis_instance(w->redis), sizeof(w->instance));
    note_version(w, version);
}

static void note_database_version(struct watch *w)
{
    char version[sizeof(w->version)];
    int number = db_server_version(w->db);

    (void)snprintf(version, sizeof(version), "%d.%d", number / 10000, number % 10000);
    note_version(w, version);
}

/* --- looking ---------------------------------------------------------------------------------- */

/* A refusal is over when Redis takes something, and perhaps nobody has anything to store. */
static enum status look_at_redis(struct watch *w, struct err *err)
{
    struct health *h = w->health;
    struct err refused;
    enum status status = redis_heartbeat(w->redis, err);

    if (status == STATUS_OK)
        note_redis_version(w);
    if (status == STATUS_OK && atomic_load(&h->stores_refused) &&
        cache_try_store(h->cache, w->redis, &refused) == STATUS_OK)
        health_note_store(h, true, "");
    return status;
}

static enum status look_at_database(struct watch *w, struct err *err)
{
    enum status status = db_connect(w->db, err);

    if (status == STATUS_OK)
        status = db_execute(w->db, "SELECT 1", err);
    if (status == STATUS_OK)
        note_database_version(w);
    return status;
}

/* Until the next look; false: stop. */
static bool wait_for_next(struct watch *w)
{
    struct health *h = w->health;
    int64_t at_ms = breaker_retry_at_ms(w->breaker), now_ms = clock_monotonic_ms();
    if (at_ms < now_ms)
        at_ms = now_ms + (at_ms == 0 ? LOOK_MS : 1);
    struct timespec at = {at_ms / 1000, at_ms % 1000 * 1000000};

    pthread_mutex_lock(&h->lock);
    while (!h->stopping && clock_monotonic_ms() < at_ms)
        pthread_cond_timedwait(&h->stop, &h->lock, &at);
    bool stopping = h->stopping;
    pthread_mutex_unlock(&h->lock);
    return !stopping;
}

/* A failed look tells of a connection; only the second, on a new one, tells of the server. */
static void *run(void *arg)
{
    struct watch *w = arg;
    struct err err;

    do
        if (w->look(w, &err) != STATUS_OK && breaker_state(w->breaker) == BREAKER_CLOSED &&
            w->look(w, &err) != STATUS_OK)
            log_debug("a look failed", LOG_STR("server", w->server), LOG_STR("error", err.text));
    while (wait_for_next(w));
    redis_free(&w->redis);
    db_free(&w->db);
    return NULL;
}

static enum status watch_start(struct watch *w, struct err *err)
{
    if (pthread_create(&w->thread, NULL, run, w) != 0)
        return err_fail(err, STATUS_UNAVAILABLE, "cannot start a thread that watches the servers");
    w->started = true;
    return STATUS_OK;
}

enum status health_start(struct health *h, const struct responder *responder, struct err *err)
{
    h->cache = responder->cache;
    h->redis.look = look_at_redis;
    h->database.look = look_at_database;
    enum status status = responder_new_prober(responder, &h->redis.redis, &h->database.db, err);
    if (status == STATUS_OK)
        status = watch_start(&h->database, err);
    if (status == STATUS_OK && h->redis_enabled)
        status = watch_start(&h->redis, err);
    return status;
}

static void watch_stop(struct watch *w)
{
    if (w->started)
        pthread_join(w->thread, NULL);
    w->started = false;
    redis_free(&w->redis);
    db_free(&w->db);
}

void health_stop(struct health *h)
{
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    pthread_cond_broadcast(&h->stop);
    pthread_mutex_unlock(&h->lock);
    watch_stop(&h->redis);
    watch_stop(&h->database);
}

/* --- telling ---------------------------------------------------------------------------------- */

/* False also when REDIS_ENABLED is. */
static bool redis_is_up(const struct health *h)
{
    return h->redis_enabled && breaker_state(h->redis.breaker) == BREAKER_CLOSED;
}

bool health_database_is_up(const struct health *h)
{
    return breaker_state(h->database.breaker) == BREAKER_CLOSED;
}

void health_note_store(struct health *h, bool accepted, const char *why)
{
    if (atomic_load_explicit(&h->stores_refused, memory_order_relaxed) == !accepted ||
        atomic_exchange(&h->stores_refused, !accepted) == !accepted)
        return;
    if (accepted)
        log_info("Redis stores again");
    else
        log_warn("Redis refuses to store", LOG_STR("error", why));
}

static void write_breakers(const struct health *h, struct json_writer *w)
{
    json_key(w, "breakers");
    json_object_begin(w);
    json_key(w, "database");
    json_string(w, breaker_state_name(breaker_state(h->database.breaker)));
    json_key(w, "redis");
    json_string(w, breaker_state_name(breaker_state(h->redis.breaker)));
    json_object_end(w);
}

static void write_version(struct json_writer *w, const char *name, const char *version)
{
    json_key(w, name);
    if (version[0])
        json_string(w, version);
    else
        json_null(w);
}

static void write_versions(struct health *h, struct json_writer *w)
{
    json_key(w, "versions");
    json_object_begin(w);
    write_version(w, "pnlcache", PNLCACHE_VERSION);
    pthread_mutex_lock(&h->lock);
    write_version(w, "postgresql", h->database.version);
    write_version(w, "redis", h->redis.version);
    pthread_mutex_unlock(&h->lock);
    json_object_end(w);
}

bool health_write(struct health *h, const char *l1, size_t n_pending, struct json_writer *w)
{
    bool redis = redis_is_up(h), database = health_database_is_up(h);
    bool stores_refused = redis && atomic_load(&h->stores_refused);

    json_object_begin(w);
    json_key(w, "ready");
    json_bool(w, redis || database);
    json_key(w, "database");
    json_string(w, database ? "ok" : "down");
    json_key(w, "redis");
    json_string(w, redis ? "ok" : h->redis_enabled ? "down" : "off");
    json_key(w, "l1");
    json_string(w, l1);
    json_key(w, "degraded");
    json_bool(w, !database || (h->redis_enabled && !redis) || stores_refused);
    json_key(w, "stores_refused");
    json_bool(w, stores_refused);
    json_key(w, "pending_invalidations");
    json_int(w, (int64_t)n_pending);
    write_breakers(h, w);
    json_key(w, "version");
    json_string(w, PNLCACHE_VERSION);
    write_versions(h, w);
    json_object_end(w);
    return redis || database;
}
