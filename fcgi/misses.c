#include "fcgi/misses.h"

#include <stdlib.h>
#include <string.h>

#include "fcgi/document_response.h"
#include "fcgi/miss_queue.h"
#include "jobs/document_body.h"
#include "jobs/document_text.h"
#include "jobs/wanted.h"
#include "lib/base/log.h"

#define HEARTBEAT_MS 1000

struct misses {
    struct responder *responder;
    void (*on_done)(struct exchange *x);
    struct miss_queue *queue;
    size_t n_threads;
    pthread_t *threads;
};

/* What one miss thread owns. */
struct miss_thread {
    struct misses *misses;
    struct db *db;
    struct redis *redis; /* NULL: REDIS_ENABLED is false */
    struct local_reader *local;
    int64_t heartbeat_ms; /* monotonic: when role and instance were last read */
    struct buf out;
};

enum status misses_submit(struct misses *m, struct exchange *x)
{
    return miss_queue_submit(m->queue, x);
}

/* --- the work ------------------------------------------------------------------------------- */

static void fail(struct exchange *x, enum status status, const char *detail, const struct err *err)
{
    if (err)
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

/* True: Redis held a value that is valid now, after all of them asked. */
static bool answer_from_redis(struct miss_thread *t, struct flight *f)
{
    struct responder *r = t->misses->responder;
    const struct exchange *leader = f->first;
    struct cache_lookup lookup = {
        .key = leader->key.data, .user_id = leader->user_id, .tags = document_tags(&leader->document)};
    struct err err;

    if (cache_lookup_many(r->cache, t->redis, &lookup, 1, &err) != STATUS_OK || lookup.verdict != CACHE_HIT)
        return false;
    for (struct exchange *x = f->first; x; x = x->next) {
        enum status status = document_respond_stored(x, &lookup.header, lookup.body, true, SOURCE_REDIS,
                                                     r->settings->http_max_age_private_s);
        if (status != STATUS_OK)
            fail(x, STATUS_INTERNAL, NULL, NULL);
    }
    return true;
}

/* Without Redis, what another flight has computed meanwhile. */
static bool answer_from_l1(struct miss_thread *t, struct flight *f)
{
    struct responder *r = t->misses->responder;
    const struct exchange *leader = f->first;
    struct cache_lookup lookup = {
        .key = leader->key.data, .user_id = leader->user_id, .tags = document_tags(&leader->document)};
    struct l1_value *value = local_cache_find(t->local, &lookup, LOCAL_CURRENT);
    bool found = value != NULL;

    for (struct exchange *x = f->first; x && found; x = x->next)
        if (document_respond_stored(x, &value->header, value->body, true, SOURCE_L1,
                                    r->settings->http_max_age_private_s) != STATUS_OK)
            fail(x, STATUS_INTERNAL, NULL, NULL);
    l1_put(&value);
    return found;
}

/* Stores the body when epochs were opened for it; fills the header that describes it. */
static enum cache_source store(struct miss_thread *t, const struct exchange *leader, const struct cache_epochs *epochs,
                               const struct cache_body *body, struct cache_header *ret_header)
{
    struct responder *r = t->misses->responder;
    static const struct cache_epochs none;
    struct cache_store one = {
        .key = leader->key.data,
        .tags = document_tags(&leader->document),
        .epochs = epochs ? epochs : &none,
        .body = body,
        .ttl_s =
            body->nothing_there ? r->settings->cache_ttl_not_found_s : document_ttl_s(r->settings, &leader->document),
        .user_id = leader->user_id,
        .section = body->nothing_there ? NULL : document_section_name(leader->document.section), /* no news */
    };
    enum cache_source source = leader->bypass ? SOURCE_BYPASS : SOURCE_MISS;
    struct err err;

    if (epochs && body->nothing_there && !responder_may_keep_absence(r, leader->user_id))
        epochs = NULL;
    if (epochs && t->redis) {
        if (cache_store_many(r->cache, t->redis, &one, 1, &err) == STATUS_OK && one.status == STATUS_OK)
            source = SOURCE_MISS_STORED;
    } else if (epochs && local_cache_store(r->local, &one)) {
        source = SOURCE_MISS_STORED;
    }
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

    if (wanted_note(r->cache, t->redis, r->settings, leader->user_id, &leader->document, &err) != STATUS_OK)
        log_debug("wanted document not noted", LOG_STR("error", err.text));
}

static bool open_epochs(struct miss_thread *t, const struct cache_tags *tags, const char *user_id,
                        struct cache_epochs *ret_epochs, struct err *err)
{
    struct responder *r = t->misses->responder;

    if (!t->redis)
        return local_cache_open(r->local, user_id, tags, ret_epochs);
    return cache_open_epochs(r->cache, t->redis, tags, 1, &user_id, ret_epochs, err) == STATUS_OK;
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

    bool opened = use_cache && open_epochs(t, document_tags(&leader->document), user_id, &epochs, &err);
    buf_clear(&t->out);
    int64_t begin_us = clock_monotonic_us();
    enum status status = document_compute(t->db, &leader->document, user_id, &t->out, &body, &err);
    if (status != STATUS_OK) {
        fail_all(f, status == STATUS_INVALID ? STATUS_INTERNAL : status,
                 status_is_transient(status) ? "the database cannot answer at the moment" : NULL, &err);
        return;
    }
    body.cost_us = clock_monotonic_us() - begin_us;
    enum cache_source source = store(t, leader, opened ? &epochs : NULL, &body, &header);
    if (source == SOURCE_MISS_STORED && t->redis && !body.nothing_there)
        note_wanted(t, leader);
    for (struct exchange *x = f->first; x; x = x->next)
        if (document_respond_computed(x, &header, &body, source, r->settings->http_max_age_private_s) != STATUS_OK)
            fail(x, STATUS_NO_MEMORY, NULL, NULL);
}

static void serve_document(struct miss_thread *t, struct flight *f)
{
    const struct exchange *leader = f->first;
    bool use_cache = t->misses->responder->settings->cache_enabled && !leader->bypass;

    if (use_cache && !leader->recompute && (t->redis ? answer_from_redis(t, f) : answer_from_l1(t, f)))
        return;
    compute(t, f, use_cache);
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

static void serve(struct miss_thread *t, struct flight *f)
{
    keep_heartbeat(t);
    if (is_expired(t->misses, f)) {
        fail_all(f, STATUS_TIMEOUT, "the request waited too long", NULL);
        return;
    }
    serve_document(t, f);
}

static void *run(void *arg)
{
    struct miss_thread t = {.misses = arg};
    struct flight *f;
    struct err err;

    buf_init(&t.out);
    enum status status = responder_new_db(t.misses->responder, &t.db, &err);
    if (status == STATUS_OK)
        status = responder_new_redis(t.misses->responder, "pnlcache.fcgi:miss", &t.redis, &err);
    if (status == STATUS_OK)
        status = local_reader_new(t.misses->responder->local, &t.local, &err);
    if (status != STATUS_OK)
        log_error("a miss thread cannot start", LOG_STR("error", err.text));
    while ((f = miss_queue_take(t.misses->queue))) {
        if (status == STATUS_OK)
            serve(&t, f);
        else
            fail_all(f, status, NULL, NULL);
        miss_queue_land(t.misses->queue, f, t.misses->on_done);
    }
    buf_release(&t.out);
    redis_free(&t.redis);
    db_free(&t.db);
    return NULL;
}

enum status misses_start(struct responder *responder, void (*on_done)(struct exchange *x), struct misses **ret_misses,
                         struct err *err)
{
    size_t n = (size_t)responder->settings->miss_threads;
    struct misses *m = calloc(1, sizeof(*m));
    enum status status = STATUS_OK;

    if (!m || !(m->threads = calloc(n, sizeof(*m->threads)))) {
        free(m);
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    }
    m->responder = responder;
    m->on_done = on_done;
    status = miss_queue_new((size_t)responder->settings->miss_queue, &m->queue, err);
    for (; status == STATUS_OK && m->n_threads < n; m->n_threads++)
        if (pthread_create(&m->threads[m->n_threads], NULL, run, m) != 0) {
            status = err_fail(err, STATUS_UNAVAILABLE, "cannot start %zu miss threads", n);
            break;
        }
    if (status == STATUS_OK)
        *ret_misses = m;
    else
        misses_stop(&m);
    return status;
}

void misses_stop(struct misses **misses)
{
    struct misses *m = *misses;
    if (!m)
        return;
    if (m->queue)
        miss_queue_stop(m->queue);
    for (size_t i = 0; i < m->n_threads; i++)
        pthread_join(m->threads[i], NULL);
    miss_queue_free(&m->queue);
    free(m->threads);
    free(m);
    *misses = NULL;
}
