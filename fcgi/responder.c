#include "fcgi/responder.h"

#include <stdlib.h>
#include <string.h>

#include "fcgi/cors.h"
#include "fcgi/meter.h"
#include "fcgi/router.h"
#include "fcgi/session_cookie.h"
#include "lib/base/log.h"
#include "lib/store/seeded_hash.h"

#define ABSENCES_MAX 64 /* of a user in one CACHE_TTL_NOT_FOUND; below 256 */

static enum status secrets_new(const struct settings *settings, unsigned auth_modes, struct secrets **ret_secrets,
                               struct err *err)
{
    struct secrets *s = calloc(1, sizeof(*s));
    if (!s)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    s->references = 1;
    s->webhook_tolerance_s = settings->webhook_tolerance_s;
    struct jwt_options options = {settings->jwt_secret, settings->jwt_keys, settings->jwt_audience,
                                  settings->jwt_issuer};
    s->key_file = strdup(settings->jwt_keys);
    s->key_mark = file_mark_take(settings->jwt_keys);
    enum status status = s->key_file ? STATUS_OK : STATUS_NO_MEMORY;
    if (status == STATUS_OK && (auth_modes & (AUTH_JWT | AUTH_SESSION)))
        status = jwt_verifier_new(&options, &s->jwt, err);
    if (status == STATUS_OK)
        status = webhook_keys_new(settings->webhook_secrets, &s->webhooks, err);
    if (status == STATUS_OK)
        *ret_secrets = s;
    else
        secrets_put(&s);
    return status;
}

struct secrets *secrets_get(struct responder *r)
{
    pthread_mutex_lock(&r->secrets_lock);
    struct secrets *s = r->secrets;
    atomic_fetch_add(&s->references, 1);
    pthread_mutex_unlock(&r->secrets_lock);
    return s;
}

void secrets_put(struct secrets **secrets)
{
    struct secrets *s = *secrets;
    *secrets = NULL;
    if (!s || atomic_fetch_sub(&s->references, 1) > 1)
        return;
    jwt_verifier_free(&s->jwt);
    free(s->key_file);
    webhook_keys_free(&s->webhooks);
    free(s);
}

enum status responder_new_secrets(const struct responder *r, const struct settings *settings,
                                  struct secrets **ret_secrets, struct err *err)
{
    return secrets_new(settings, auth_modes_parse(r->settings->auth_mode), ret_secrets, err);
}

void responder_take_secrets(struct responder *r, struct secrets **secrets)
{
    pthread_mutex_lock(&r->secrets_lock);
    struct secrets *old = r->secrets;
    (*secrets)->generation = old ? old->generation + 1 : 1;
    r->secrets = *secrets;
    pthread_mutex_unlock(&r->secrets_lock);
    *secrets = NULL;
    secrets_put(&old);
}

static enum status take_first_secrets(struct responder *r, const struct settings *settings, struct err *err)
{
    struct secrets *secrets = NULL;
    enum status status = responder_new_secrets(r, settings, &secrets, err);

    if (secrets)
        responder_take_secrets(r, &secrets);
    return status;
}

enum status responder_init(struct responder *r, const struct settings *settings, struct err *err)
{
    memset(r, 0, sizeof(*r));
    r->settings = settings;
    r->seed = hash_seed_draw();
    pthread_mutex_init(&r->secrets_lock, NULL);
    enum status status = cors_check(settings->cors_origins, err);
    if (status == STATUS_OK)
        status = session_settings_check(settings, err);
    if (status == STATUS_OK)
        status = take_first_secrets(r, settings, err);
    if (status == STATUS_OK)
        status = cache_new(settings, &r->cache, err);
    if (status == STATUS_OK)
        status = health_new(settings, &r->health, err);
    if (status == STATUS_OK)
        status = local_cache_new(settings, r->cache, &r->local, err);
    if (status == STATUS_OK)
        status = pending_new(&r->pending, err);
    if (status == STATUS_OK)
        status = meters_new(&r->meters, err);
    if (status == STATUS_OK)
        status = limits_new(settings, r->cache, &r->limits, err);
    return status;
}

void responder_release(struct responder *r)
{
    secrets_put(&r->secrets);
    dataset_set_release(&r->datasets);
    health_free(&r->health);
    local_cache_free(&r->local);
    limits_free(&r->limits);
    meters_free(&r->meters);
    cache_free(&r->cache);
    pending_free(&r->pending);
    pthread_mutex_destroy(&r->secrets_lock);
}

/* A route of the program would always win over it. */
static enum status check_routes(const struct dataset_set *set, struct err *err)
{
    for (size_t i = 0; i < dataset_set_count(set); i++) {
        const struct dataset *d = dataset_set_at(set, i);
        for (size_t k = 0; k < d->n_paths; k++)
            if (router_has(d->paths[k]))
                return err_fail(err, STATUS_INVALID, "%s:%d: path '%s' is one of the program's own", d->file,
                                d->path_line, d->paths[k]);
    }
    return STATUS_OK;
}

static enum status check_datasets(const struct dataset_set *set, struct db *db, struct err *err)
{
    enum status status = check_routes(set, err);

    if (status != STATUS_OK || !db)
        return status;
    status = dataset_set_check(set, db, err);
    if (status == STATUS_OK || status == STATUS_INVALID)
        return status;
    log_warn("datasets not tried in the database", LOG_STR("error", err->text));
    return STATUS_OK;
}

enum status responder_take_datasets(struct responder *r, const struct settings *settings, struct db *db,
                                    struct err *err)
{
    struct dataset_set *fresh = NULL;
    enum status status = dataset_set_load(settings, &fresh, err);

    if (status == STATUS_NOT_FOUND && !r->datasets) {
        if (!db)
            log_warn("there are no datasets", LOG_STR("reason", err->text));
        return STATUS_OK;
    }
    if (status == STATUS_OK)
        status = check_datasets(fresh, db, err);
    if (status != STATUS_OK) {
        dataset_set_release(&fresh);
        return status;
    }
    pthread_mutex_lock(&r->secrets_lock);
    struct dataset_set *old = r->datasets;
    r->datasets = fresh;
    pthread_mutex_unlock(&r->secrets_lock);
    dataset_set_release(&old);
    return STATUS_OK;
}

struct dataset_set *responder_hold_datasets(struct responder *r)
{
    pthread_mutex_lock(&r->secrets_lock);
    struct dataset_set *set = r->datasets;
    if (set)
        dataset_set_hold(set);
    pthread_mutex_unlock(&r->secrets_lock);
    return set;
}

static enum status new_redis(const struct responder *r, const char *name, bool probes, struct redis **ret_redis,
                             struct err *err)
{
    struct redis_options options = {.url = r->settings->redis_url,
                                    .tls_ca = r->settings->redis_tls_ca,
                                    .client_name = name,
                                    .timeout_ms = r->settings->redis_timeout_ms,
                                    .breaker = health_redis_breaker(r->health),
                                    .probes = probes};
    if (!r->settings->redis_enabled) {
        *ret_redis = NULL;
        return STATUS_OK;
    }
    return redis_new(&options, ret_redis, err);
}

static enum status new_db(const struct responder *r, bool probes, struct db **ret_db, struct err *err)
{
    struct db_options options = {
        .url = r->settings->database_url,
        .application_name = "pnlcache.fcgi",
        .connect_timeout_ms = r->settings->database_timeout_ms,
        .query_timeout_ms = r->settings->database_timeout_ms,
        .read_only = true,
        .breaker = health_database_breaker(r->health),
        .probes = probes,
    };
    return db_new(&options, ret_db, err);
}

enum status responder_new_redis(const struct responder *r, const char *name, struct redis **ret_redis, struct err *err)
{
    return new_redis(r, name, false, ret_redis, err);
}

enum status responder_new_db(const struct responder *r, struct db **ret_db, struct err *err)
{
    return new_db(r, false, ret_db, err);
}

enum status responder_new_prober(const struct responder *r, struct redis **ret_redis, struct db **ret_db,
                                 struct err *err)
{
    enum status status = new_redis(r, "pnlcache.fcgi:health", true, ret_redis, err);
    return status == STATUS_OK ? new_db(r, true, ret_db, err) : status;
}

static uint64_t hash_name(const struct responder *r, const char *name)
{
    return hash_seeded(name, strlen(name), r->seed);
}

#define MINUTE_BITS UINT64_C(0xffffff)

bool responder_should_touch(struct responder *r, const char *name, int64_t now_ms)
{
    uint64_t hash = hash_name(r, name), minute = (uint64_t)(now_ms / 60000 + 1) & MINUTE_BITS;
    uint64_t mark = (hash & ~MINUTE_BITS) | minute;
    _Atomic uint64_t *row = r->touched[hash % RESPONDER_TOUCH_ROWS];
    size_t place = hash / RESPONDER_TOUCH_ROWS % RESPONDER_TOUCH_PLACES;

    for (size_t i = 0; i < RESPONDER_TOUCH_PLACES; i++) {
        uint64_t other = atomic_load_explicit(&row[i], memory_order_relaxed);

        if (other == mark)
            return false;
        if ((other & MINUTE_BITS) != minute)
            place = i;
    }
    return atomic_exchange_explicit(&row[place], mark, memory_order_relaxed) != mark;
}

bool responder_may_keep_absence(struct responder *r, const char *user_id)
{
    _Atomic uint64_t *slot = &r->absences[hash_name(r, user_id) % RESPONDER_ABSENCE_SLOTS];
    uint64_t seen = atomic_load(slot), window, next;

    if (r->settings->cache_ttl_not_found_s == 0)
        return false;
    window = (uint64_t)(clock_monotonic_ms() / (r->settings->cache_ttl_not_found_s * 1000)) + 1;
    do {
        uint64_t n = seen >> 8 == window ? seen & 0xff : 0;
        if (n == ABSENCES_MAX)
            return false;
        next = window << 8 | (n + 1);
    } while (!atomic_compare_exchange_weak(slot, &seen, next));
    return true;
}
