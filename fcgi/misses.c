#include "fcgi/misses.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/answer.h"
#include "fcgi/document_response.h"
#include "fcgi/miss_queue.h"
#include "fcgi/preload.h"
#include "fcgi/write_through.h"
#include "jobs/dataset_refresh.h"
#include "jobs/wanted.h"
#include "lib/base/log.h"
#include "lib/store/flight_lock.h"

#define HEARTBEAT_MS 1000
#define MAX_PARKED 2 /* times; then a flight computes, whoever else does */
#define LOOK_FIRST_MS 10
#define LOOK_LAST_MS 100
#define LOOKS 64 /* flights looked at in one round trip */

/* What one miss thread owns. */
struct miss_thread {
    struct misses *misses;
    pthread_t thread;
    _Atomic enum pool_state state; /* of the database's connection, for metrics */
    struct db *db;
    struct redis *redis; /* NULL: REDIS_ENABLED is false */
    struct local_reader *local;
    int64_t heartbeat_ms;    /* monotonic: when role and instance were last read */
    struct flight_lock lock; /* of the document being computed; the keeper renews it */
    struct buf out;
};

struct misses {
    struct responder *responder;
    void (*on_done)(struct exchange *x);
    struct miss_queue *queue;
    size_t n_threads;
    struct miss_thread *threads;
    bool has_keeper;
    pthread_t keeper;
};

enum status misses_submit(struct misses *m, struct exchange *x)
{
    return miss_queue_submit(m->queue, x);
}

void misses_read_queue(struct misses *m, struct queue_counters *ret_counters)
{
    miss_queue_read_counters(m->queue, ret_counters);
}

void misses_count_pool(struct misses *m, size_t ret_counts[POOL_STATES])
{
    memset(ret_counts, 0, POOL_STATES * sizeof(ret_counts[0]));
    for (size_t i = 0; i < m->n_threads; i++)
        ret_counts[atomic_load_explicit(&m->threads[i].state, memory_order_relaxed)]++;
}

/* --- the work ------------------------------------------------------------------------------- */

/* A server that is down was logged when it went; what else can come with every request is told once a second. */
static bool is_worth_a_line(enum status status)
{
    static _Atomic int64_t logged_s = -1;

    if (status == STATUS_UNAVAILABLE)
        return log_enabled(LOG_LEVEL_DEBUG);
    return !status_is_transient(status) || log_is_first_this_second(&logged_s);
}

static void fail(struct exchange *x, enum status status, const char *detail, const struct err *err)
{
    if (err && is_worth_a_line(status))
        log_error("request failed", LOG_STR("request", x->request.id), LOG_STR("user", x->user_id),
                  LOG_STR("error", err->text));
    response_problem(&x->response, &x->request, status_to_http(status), detail, NULL, NULL);
}

static void fail_all(struct flight *f, enum status status, const char *detail, const struct err *err)
{
    for (struct exchange *x = f->first; x; x = x->next)
        fail(x, status, detail, x == f->first ? err : NULL);
}

static bool is_expired(const struct misses *m, const struct flight *f)
{
    int64_t limit_us = m->responder->settings->request_timeout_ms * 1000;
    return clock_monotonic_us() - f->last->request.arrived_us > limit_us;
}

static void log_damaged(const char *key)
{
    static _Atomic int64_t logged_s = -1;

    if (log_is_first_this_second(&logged_s))
        log_warn("a damaged or foreign value is replaced", LOG_STR("key", key));
}

static bool respond_stored(struct miss_thread *t, struct flight *f, const struct cache_lookup *lookup,
                           enum cache_source source)
{
    struct responder *r = t->misses->responder;

    for (struct exchange *x = f->first; x; x = x->next) {
        enum status status =
            document_respond_stored(x, &lookup->header, lookup->body, true, source, answer_max_age_s(r->settings, x));
        if (status == STATUS_NO_MEMORY) {
            fail(x, status, NULL, NULL);
        } else if (status != STATUS_OK) {
            cache_report_damaged(r->cache, lookup->key);
            log_damaged(lookup->key);
            return false;
        }
    }
    return true;
}

/* True: Redis held a value that is valid now, after all of them asked; with `or_stale`, or one that may pass for it. */
static bool answer_from_redis(struct miss_thread *t, struct flight *f, bool or_stale)
{
    struct responder *r = t->misses->responder;
    const struct exchange *leader = f->first;
    struct cache_lookup lookup = {.key = leader->key.data, .user_id = leader->user_id, .tags = answer_tags(leader)};
    struct err err;

    if (cache_lookup_many(r->cache, t->redis, &lookup, 1, &err) != STATUS_OK)
        return false;
    if (lookup.verdict == CACHE_HIT)
        return respond_stored(t, f, &lookup, SOURCE_REDIS);
    if (lookup.verdict == CACHE_MISS_DAMAGED)
        log_damaged(lookup.key);
    return or_stale && cache_may_be_stale(r->cache, &lookup, clock_now()) &&
           respond_stored(t, f, &lookup, SOURCE_STALE);
}

/* The computation failed: an answer from before, where that is allowed and no invalidation is known, else why. */
static void give_up(struct miss_thread *t, struct flight *f, enum status status, const struct err *err, bool use_redis)
{
    if (use_redis && status_is_transient(status) && !pending_covers(t->misses->responder->pending, f->first->user_id) &&
        answer_from_redis(t, f, true))
        return;
    fail_all(f, status == STATUS_INVALID ? STATUS_INTERNAL : status,
             status_is_transient(status) ? "the database cannot answer at the moment" : NULL, err);
}

/* Without Redis, what another flight has computed meanwhile. */
static bool answer_from_l1(struct miss_thread *t, struct flight *f)
{
    struct responder *r = t->misses->responder;
    const struct exchange *leader = f->first;
    struct cache_lookup lookup = {.key = leader->key.data, .user_id = leader->user_id, .tags = answer_tags(leader)};
    struct l1_value *value = local_cache_find(t->local, &lookup, LOCAL_CURRENT, clock_monotonic_ms(), clock_now());
    bool found = value != NULL;

    for (struct exchange *x = f->first; x && found; x = x->next)
        if (document_respond_stored(x, &value->header, value->body, true, SOURCE_L1,
                                    answer_max_age_s(r->settings, x)) != STATUS_OK)
            fail(x, STATUS_INTERNAL, NULL, NULL);
    l1_put(&value);
    return found;
}

static bool store_in_redis(struct miss_thread *t, struct cache_store *one)
{
    struct responder *r = t->misses->responder;
    struct err err;

    if (cache_store_many(r->cache, t->redis, one, 1, &err) != STATUS_OK)
        return false;
    if (one->status == STATUS_OK || one->status == STATUS_UNAVAILABLE)
        health_note_store(r->health, one->status == STATUS_OK, err.text);
    return one->status == STATUS_OK;
}

/* Stores the body when epochs were opened for it; fills the header that describes it. */
static enum cache_source store(struct miss_thread *t, const struct exchange *leader, const struct cache_epochs *epochs,
                               const struct cache_body *body, struct cache_header *ret_header)
{
    struct responder *r = t->misses->responder;
    static const struct cache_epochs none;
    struct cache_store one = {
        .key = leader->key.data,
        .tags = answer_tags(leader),
        .epochs = epochs ? epochs : &none,
        .body = body,
        .ttl_s = answer_ttl_s(r->settings, leader, body),
        .section = body->nothing_there ? NULL : answer_section(leader), /* no news */
    };
    enum cache_source source = leader->bypass ? SOURCE_BYPASS : SOURCE_MISS;

    if (epochs && body->nothing_there && !responder_may_keep_absence(r, leader->user_id))
        epochs = NULL;
    if (epochs && (t->redis ? store_in_redis(t, &one) : local_cache_store(r->local, &one)))
        source = SOURCE_MISS_STORED;
    if (source == SOURCE_MISS_STORED && t->redis && !one.unchanged)
        *ret_header = one.header;
    else /* the stored body was kept or there is none: this answer's own description */
        cache_describe(r->cache, &one, t->redis ? redis_instance(t->redis) : "", ret_header);
    return source;
}

/* From now on jobs keep this document fresh while its user is active. */
static void note_wanted(struct miss_thread *t, const struct exchange *leader)
{
    struct responder *r = t->misses->responder;
    struct err err;

    enum status status;
    if (answer_is_collection(leader))
        status = wanted_note_collections(r->cache, t->redis, r->settings, leader->user_id, 1,
                                         &(const char *){leader->dataset.dataset->name}, &err);
    else if (leader->dataset.dataset)
        status = dataset_note_wanted(r->cache, t->redis, r->settings, &leader->dataset, &err);
    else
        status = wanted_note(r->cache, t->redis, r->settings, leader->user_id, &leader->document, &err);
    if (status != STATUS_OK)
        log_debug("wanted document not noted", LOG_STR("error", err.text));
}

static bool open_epochs(struct miss_thread *t, const struct cache_tags *tags, const char *user_id,
                        struct cache_epochs *ret_epochs, struct err *err)
{
    struct responder *r = t->misses->responder;

    if (!t->redis)
        return local_cache_open(r->local, user_id, tags, ret_epochs);
    char instance[REDIS_INSTANCE_SIZE];
    memcpy(instance, redis_instance(t->redis), sizeof(instance));
    enum status status = cache_open_epochs(r->cache, t->redis, tags, 1, &user_id, ret_epochs, err);
    if (status == STATUS_UNAVAILABLE && redis_is_connected(t->redis) && strcmp(redis_instance(t->redis), instance) == 0)
        health_note_store(r->health, false, err->text); /* it answers, and takes no epochs */
    return status == STATUS_OK;
}

static enum status compute_body(struct miss_thread *t, const struct exchange *leader, struct cache_body *ret_body,
                                struct err *err)
{
    buf_clear(&t->out);
    enum status status = answer_compute(t->db, leader, &t->out, ret_body, err);
    if (status != STATUS_UNAVAILABLE || !health_database_is_up(t->misses->responder->health))
        return status;
    /* The connection was lost under it (a restart, a failover, a terminated backend): once more on a new one. */
    buf_clear(&t->out);
    return answer_compute(t->db, leader, &t->out, ret_body, err);
}

static void refuse_size(struct flight *f, const struct cache_body *body)
{
    struct err why = {""};

    (void)snprintf(why.text, sizeof why.text, "%.*s", (int)body->len, body->bytes);
    for (struct exchange *x = f->first; x; x = x->next)
        response_problem(&x->response, &x->request, 422, why.text, NULL, NULL);
}

static void compute(struct miss_thread *t, struct flight *f, bool use_cache)
{
    struct responder *r = t->misses->responder;
    const struct exchange *leader = f->first;
    const char *user_id = leader->user_id;
    struct cache_epochs epochs;
    struct cache_header header;
    struct cache_body body;
    struct err err = {.text = ""};

    bool opened = use_cache && open_epochs(t, answer_tags(leader), user_id, &epochs, &err);
    int64_t begin_us = clock_monotonic_us();
    enum status status = compute_body(t, leader, &body, &err);
    if (status != STATUS_OK) {
        give_up(t, f, status, &err, use_cache && t->redis);
        return;
    }
    if (body.too_large) {
        refuse_size(f, &body);
        return;
    }
    body.cost_us = clock_monotonic_us() - begin_us;
    enum cache_source source = store(t, leader, opened ? &epochs : NULL, &body, &header);
    if (source == SOURCE_MISS_STORED && t->redis && !body.nothing_there)
        note_wanted(t, leader);
    for (struct exchange *x = f->first; x; x = x->next)
        if (document_respond_computed(x, &header, &body, source, answer_max_age_s(r->settings, x)) != STATUS_OK)
            fail(x, STATUS_NO_MEMORY, NULL, NULL);
}

/* A flight waits for another process for at most half of its oldest request's time: the rest is for computing. */
static bool has_waited(const struct responder *r, const struct flight *f)
{
    int64_t waited_us = clock_monotonic_us() - f->first->request.arrived_us;
    return f->n_parked >= MAX_PARKED || waited_us > r->settings->request_timeout_ms * 1000 / 2;
}

/* False: the change could not be made known, and the flight has its answer. */
static bool write_through(struct miss_thread *t, struct flight *f)
{
    bool bypass = false;
    struct err err;
    enum status status = write_through_invalidate(t->misses->responder, t->redis, t->db, f->first, &bypass, &err);

    if (status != STATUS_OK) {
        fail_all(f, status, "the change could not be stored; send it again", &err);
        return false;
    }
    for (struct exchange *x = f->first; x && bypass; x = x->next)
        x->bypass = true;
    return true;
}

/* False: another process is computing it; look again when that is done. */
static bool serve_document(struct miss_thread *t, struct flight *f)
{
    struct responder *r = t->misses->responder;
    const struct exchange *leader = f->first;
    struct err err;

    if (leader->writes_through && !write_through(t, f))
        return true;
    bool use_cache = r->settings->cache_enabled && !leader->bypass;
    if (use_cache && !leader->recompute) {
        if (t->redis ? answer_from_redis(t, f, false) : answer_from_l1(t, f))
            return true;
        if (t->redis && !has_waited(r, f) &&
            flight_lock_take(&t->lock, r->cache, t->redis, leader->key.data, &err) == STATUS_CONFLICT)
            return false;
    }
    compute(t, f, use_cache);
    flight_lock_give_back(&t->lock, t->redis);
    return true;
}

/* A failover may leave the connection alive and change the instance; the loops look every second, so do we. */
static void keep_heartbeat(struct miss_thread *t)
{
    int64_t now_ms = clock_monotonic_ms();
    struct err err;

    if (!t->redis || !redis_is_connected(t->redis) || now_ms - t->heartbeat_ms < HEARTBEAT_MS)
        return;
    t->heartbeat_ms = now_ms;
    if (redis_heartbeat(t->redis, &err) != STATUS_OK)
        log_debug("heartbeat failed", LOG_STR("error", err.text));
}

/* False: it is to be parked. */
static bool serve(struct miss_thread *t, struct flight *f)
{
    keep_heartbeat(t);
    if (!limits_confirm_reads(t->misses->responder->limits, t->redis, f->first))
        return true;
    if (is_expired(t->misses, f)) {
        fail_all(f, STATUS_TIMEOUT, "the request waited too long", NULL);
        return true;
    }
    if (f->first->work == WORK_PRELOAD)
        return preload_serve(&(struct preload_tools){t->misses->responder, t->db, t->redis, &t->lock,
                                                     !has_waited(t->misses->responder, f)},
                             f);
    return serve_document(t, f);
}

static void *run(void *arg)
{
    struct miss_thread *t = arg;
    struct misses *m = t->misses;
    struct flight *f;
    struct err err;

    enum status status = responder_new_db(m->responder, &t->db, &err);
    if (status == STATUS_OK)
        status = responder_new_redis(m->responder, "pnlcache.fcgi:miss", &t->redis, &err);
    if (status == STATUS_OK)
        status = local_reader_new(m->responder->local, &t->local, &err);
    if (status != STATUS_OK)
        log_error("a miss thread cannot start", LOG_STR("error", err.text));
    while ((f = miss_queue_take(m->queue))) {
        bool done = true;
        atomic_store_explicit(&t->state, POOL_BUSY, memory_order_relaxed);
        if (status == STATUS_OK)
            done = serve(t, f);
        else
            fail_all(f, status, NULL, NULL);
        atomic_store_explicit(&t->state, t->db && db_is_connected(t->db) ? POOL_IDLE : POOL_CLOSED,
                              memory_order_relaxed);
        if (done)
            miss_queue_land(m->queue, f, m->on_done);
        else
            miss_queue_park(m->queue, f, LOOK_FIRST_MS);
    }
    redis_free(&t->redis);
    db_free(&t->db);
    return NULL;
}

/* --- the keeper: whether other processes are done, and that they see what we are at --------------- */

static int64_t lock_ttl_ms(const struct settings *settings)
{
    /* Below a request's time, so that a dead holder's lock does not outlive those who wait for it. */
    int64_t half_ms = settings->request_timeout_ms / 2;
    return half_ms < FLIGHT_LOCK_TTL_MS ? half_ms : FLIGHT_LOCK_TTL_MS;
}

static void look_at_parked(struct misses *m, struct redis *redis, struct flight **flights, size_t n)
{
    const char *keys[LOOKS];
    bool held[LOOKS];
    struct err err;

    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++)
        keys[i] = flights[i]->first->key.data;
    bool known = redis && flight_lock_look(m->responder->cache, redis, n, keys, held, &err) == STATUS_OK;
    for (size_t i = 0; i < n; i++) {
        int64_t pause_ms = flights[i]->pause_ms * 2 < LOOK_LAST_MS ? flights[i]->pause_ms * 2 : LOOK_LAST_MS;
        if (known && held[i] && !has_waited(m->responder, flights[i]))
            miss_queue_look_again(m->queue, flights[i], breaker_jitter_ms(pause_ms));
        else
            miss_queue_unpark(m->queue, flights[i]);
    }
}

static void *keep(void *arg)
{
    struct misses *m = arg;
    struct flight *due[LOOKS];
    struct redis *redis = NULL;
    bool go_on = true;
    int64_t step_ms = lock_ttl_ms(m->responder->settings) / 6; /* a lock is renewed after two to three sixths */
    struct err err;

    if (responder_new_redis(m->responder, "pnlcache.fcgi:flights", &redis, &err) != STATUS_OK)
        log_error("no connection for flights", LOG_STR("error", err.text));
    while (go_on) {
        size_t n = miss_queue_await_due(m->queue, clock_monotonic_ms() + step_ms, due, LOOKS, &go_on);
        look_at_parked(m, redis, due, n);
        for (size_t i = 0; redis && i < m->n_threads; i++)
            flight_lock_renew(&m->threads[i].lock, redis, clock_monotonic_ms());
    }
    redis_free(&redis);
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------- */

static enum status start_thread(struct misses *m, struct err *err)
{
    struct miss_thread *t = &m->threads[m->n_threads];

    t->misses = m;
    buf_init(&t->out);
    flight_lock_init(&t->lock, lock_ttl_ms(m->responder->settings));
    if (pthread_create(&t->thread, NULL, run, t) != 0) {
        flight_lock_release(&t->lock);
        return err_fail(err, STATUS_UNAVAILABLE, "cannot start a miss thread");
    }
    m->n_threads++;
    return STATUS_OK;
}

static enum status start_keeper(struct misses *m, struct err *err)
{
    if (pthread_create(&m->keeper, NULL, keep, m) != 0)
        return err_fail(err, STATUS_UNAVAILABLE, "cannot start the thread that keeps flights");
    m->has_keeper = true;
    return STATUS_OK;
}

enum status misses_start(struct responder *responder, void (*on_done)(struct exchange *x), struct misses **ret_misses,
                         struct err *err)
{
    size_t n = (size_t)responder->settings->miss_threads;
    struct misses *m = calloc(1, sizeof(*m));

    if (!m || !(m->threads = calloc(n, sizeof(*m->threads)))) {
        free(m);
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    }
    m->responder = responder;
    m->on_done = on_done;
    enum status status = miss_queue_new((size_t)responder->settings->miss_queue, &m->queue, err);
    while (status == STATUS_OK && m->n_threads < n)
        status = start_thread(m, err);
    if (status == STATUS_OK)
        status = start_keeper(m, err);
    if (status == STATUS_OK)
        *ret_misses = m;
    else
        misses_stop(&m);
    return status;
}

/* The keeper first: it may hold flights that the threads are to end. */
static void stop_threads(struct misses *m)
{
    miss_queue_close_parking(m->queue);
    if (m->has_keeper)
        pthread_join(m->keeper, NULL);
    miss_queue_stop(m->queue);
    for (size_t i = 0; i < m->n_threads; i++) {
        pthread_join(m->threads[i].thread, NULL);
        flight_lock_release(&m->threads[i].lock);
        buf_release(&m->threads[i].out);
    }
}

void misses_stop(struct misses **misses)
{
    struct misses *m = *misses;
    if (!m)
        return;
    if (m->queue)
        stop_threads(m);
    miss_queue_free(&m->queue);
    free(m->threads);
    free(m);
    *misses = NULL;
}
