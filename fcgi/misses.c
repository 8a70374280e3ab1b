#include "fcgi/misses.h"

#include <stdlib.h>
#include <string.h>

#include "fcgi/document_response.h"
#include "lib/base/log.h"
#include "lib/store/outbox.h"

#define BUCKETS 1024
#define HEARTBEAT_MS 1000

struct flight {
    struct buf key; /* the document's key after a letter for the kind of answer; empty: not shared */
    struct exchange *first, *last;
    size_t n;
    bool begun; /* nobody may join any more */
    struct flight *successor;
    struct flight *next_queued, *next_in_bucket;
};

struct misses {
    struct responder *responder;
    void (*on_done)(struct exchange *x);
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool stopping;
    size_t n_waiting, max_waiting;
    struct flight *queue_head, *queue_tail;
    struct flight *buckets[BUCKETS];
    size_t n_threads;
    pthread_t *threads;
};

/* What one miss thread owns. */
struct miss_thread {
    struct misses *misses;
    struct db *db;
    struct redis *redis;  /* NULL: REDIS_ENABLED is false */
    int64_t heartbeat_ms; /* monotonic: when role and instance were last read */
    struct buf out;
};

/* --- the queue ------------------------------------------------------------------------------ */

static size_t bucket_of(const struct buf *key)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < key->len; i++)
        hash = (hash ^ (unsigned char)key->data[i]) * 16777619u;
    return hash % BUCKETS;
}

static struct flight **find(struct misses *m, const struct buf *key)
{
    struct flight **p = &m->buckets[bucket_of(key)];
    while (*p && ((*p)->key.len != key->len || memcmp((*p)->key.data, key->data, key->len) != 0))
        p = &(*p)->next_in_bucket;
    return p;
}

static void enqueue(struct misses *m, struct flight *f)
{
    f->next_queued = NULL;
    if (m->queue_tail)
        m->queue_tail->next_queued = f;
    else
        m->queue_head = f;
    m->queue_tail = f;
    pthread_cond_signal(&m->work);
}

static struct flight *dequeue(struct misses *m)
{
    struct flight *f = m->queue_head;
    m->queue_head = f->next_queued;
    if (!m->queue_head)
        m->queue_tail = NULL;
    return f;
}

/* Takes the key from the caller. NULL: out of memory. */
static struct flight *flight_new(struct buf *key)
{
    struct flight *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->key = *key;
    buf_init(key);
    return f;
}

static void flight_free(struct flight *f)
{
    buf_release(&f->key);
    free(f);
}

static void flight_add(struct flight *f, struct exchange *x)
{
    x->next = NULL;
    if (f->last)
        f->last->next = x;
    else
        f->first = x;
    f->last = x;
    f->n++;
}

/* The flight that a request with this key may join, made if there is none. */
static struct flight *joinable(struct misses *m, struct buf *key)
{
    struct flight **place = find(m, key), *f = *place;
    if (f && !f->begun)
        return f;
    if (f) {
        if (!f->successor)
            f->successor = flight_new(key);
        return f->successor;
    }
    f = flight_new(key);
    if (f) {
        *place = f;
        enqueue(m, f);
    }
    return f;
}

static enum status submit_locked(struct misses *m, struct exchange *x, struct buf *key)
{
    struct flight *f;

    if (m->n_waiting >= m->max_waiting)
        return STATUS_LIMIT;
    if (key->len > 0) {
        f = joinable(m, key);
    } else {
        f = flight_new(key);
        if (f)
            enqueue(m, f);
    }
    if (!f)
        return STATUS_NO_MEMORY;
    flight_add(f, x);
    m->n_waiting++;
    return STATUS_OK;
}

enum status misses_submit(struct misses *m, struct exchange *x)
{
    struct buf key = BUF_INIT;

    if (x->work == WORK_DOCUMENT) {
        buf_append_char(&key, x->bypass ? 'b' : x->recompute ? 'r' : 'n');
        buf_append(&key, x->key.data, x->key.len);
        if (buf_status(&key) != STATUS_OK)
            return STATUS_NO_MEMORY;
    }
    pthread_mutex_lock(&m->lock);
    enum status status = submit_locked(m, x, &key);
    pthread_mutex_unlock(&m->lock);
    buf_release(&key);
    return status;
}

/* The next flight, begun; NULL: the threads are to end. */
static struct flight *take(struct misses *m)
{
    pthread_mutex_lock(&m->lock);
    while (!m->queue_head && !m->stopping)
        pthread_cond_wait(&m->work, &m->lock);
    struct flight *f = m->queue_head ? dequeue(m) : NULL;
    if (f)
        f->begun = true;
    pthread_mutex_unlock(&m->lock);
    return f;
}

/* Out of the table; its successor takes its place there and in the queue. */
static void land(struct misses *m, struct flight *f)
{
    pthread_mutex_lock(&m->lock);
    m->n_waiting -= f->n;
    if (f->key.len > 0) {
        struct flight **place = find(m, &f->key);
        *place = f->next_in_bucket;
        if (f->successor) {
            f->successor->next_in_bucket = *place;
            *place = f->successor;
            enqueue(m, f->successor);
        }
    }
    pthread_mutex_unlock(&m->lock);
    for (struct exchange *x = f->first, *next; x; x = next) {
        next = x->next;
        m->on_done(x);
    }
    flight_free(f);
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
        .ttl_s = document_ttl_s(r->settings, &leader->document),
    };
    enum cache_source source = leader->bypass ? SOURCE_BYPASS : SOURCE_MISS;
    struct err err;

    if (epochs && cache_store_many(r->cache, t->redis, &one, 1, &err) == STATUS_OK && one.status == STATUS_OK)
        source = SOURCE_MISS_STORED;
    if (source == SOURCE_MISS_STORED && !one.unchanged)
        *ret_header = one.header;
    else /* the stored body was kept or there is none: this answer's own description */
        cache_describe(r->cache, &one, t->redis ? redis_instance(t->redis) : "", ret_header);
    return source;
}

static void compute(struct miss_thread *t, struct flight *f, bool use_redis)
{
    struct responder *r = t->misses->responder;
    const struct exchange *leader = f->first;
    const char *user_id = leader->user_id;
    struct cache_epochs epochs;
    struct cache_header header;
    struct cache_body body;
    struct err err = {.text = ""};

    bool opened = use_redis && cache_open_epochs(r->cache, t->redis, document_tags(&leader->document), 1, &user_id,
                                                 &epochs, &err) == STATUS_OK;
    buf_clear(&t->out);
    int64_t begin_us = clock_monotonic_us();
    enum status status = document_compute(t->db, &leader->document, user_id, &t->out, &body, &err);
    if (status == STATUS_NOT_FOUND) {
        fail_all(f, status, err.text, NULL);
        return;
    }
    if (status != STATUS_OK) {
        fail_all(f, status == STATUS_INVALID ? STATUS_INTERNAL : status,
                 status_is_transient(status) ? "the database cannot answer at the moment" : NULL, &err);
        return;
    }
    body.cost_us = clock_monotonic_us() - begin_us;
    enum cache_source source = store(t, leader, opened ? &epochs : NULL, &body, &header);
    for (struct exchange *x = f->first; x; x = x->next)
        if (document_respond_computed(x, &header, &body, source, r->settings->http_max_age_private_s) != STATUS_OK)
            fail(x, STATUS_NO_MEMORY, NULL, NULL);
}

static void serve_document(struct miss_thread *t, struct flight *f)
{
    const struct exchange *leader = f->first;
    bool use_redis = t->redis && t->misses->responder->settings->cache_enabled && !leader->bypass;

    if (use_redis && !leader->recompute && answer_from_redis(t, f))
        return;
    compute(t, f, use_redis);
}

/* A webhook whose invalidation Redis did not acknowledge: durable in the outbox, and the cache is not trusted for
 * its user until the invalidation is carried out. In that order nothing is promised that may be lost. */
static void serve_outbox(struct miss_thread *t, struct flight *f)
{
    struct exchange *x = f->first;
    const char *names[CACHE_MAX_TAGS];
    struct err err;

    for (size_t i = 0; i < x->tags.n; i++)
        names[i] = x->tags.tags[i].name;
    enum status status = outbox_add(t->db, x->user_id[0] ? x->user_id : NULL, x->tags.n, names, &err);
    if (status == STATUS_OK && t->redis) /* without Redis there is no cache to distrust */
        status = pending_add(t->misses->responder->pending, x->user_id, &x->tags, &err);
    if (status != STATUS_OK) {
        fail(x, STATUS_UNAVAILABLE, "the event could not be stored; send it again", &err);
        return;
    }
    exchange_accept_event(x, x->tags.n, 0); /* the worker that drains the outbox makes the job */
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
    switch (f->first->work) {
    case WORK_DOCUMENT: serve_document(t, f); break;
    case WORK_OUTBOX: serve_outbox(t, f); break;
    }
}

static void *run(void *arg)
{
    struct miss_thread t = {.misses = arg};
    struct flight *f;
    struct err err;

    buf_init(&t.out);
    enum status status = responder_new_db(t.misses->responder, &t.db, &err);
    if (status == STATUS_OK)
        status = responder_new_redis(t.misses->responder, "pnlcache.fcgi miss", &t.redis, &err);
    if (status != STATUS_OK)
        log_error("a miss thread cannot start", LOG_STR("error", err.text));
    while ((f = take(t.misses))) {
        if (status == STATUS_OK)
            serve(&t, f);
        else
            fail_all(f, status, NULL, NULL);
        land(t.misses, f);
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
    if (!m || !(m->threads = calloc(n, sizeof(*m->threads)))) {
        free(m);
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    }
    m->responder = responder;
    m->on_done = on_done;
    m->max_waiting = (size_t)responder->settings->miss_queue;
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->work, NULL);
    for (; m->n_threads < n; m->n_threads++)
        if (pthread_create(&m->threads[m->n_threads], NULL, run, m) != 0) {
            misses_stop(&m);
            return err_fail(err, STATUS_UNAVAILABLE, "cannot start %zu miss threads", n);
        }
    *ret_misses = m;
    return STATUS_OK;
}

void misses_stop(struct misses **misses)
{
    struct misses *m = *misses;
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    m->stopping = true;
    pthread_cond_broadcast(&m->work);
    pthread_mutex_unlock(&m->lock);
    for (size_t i = 0; i < m->n_threads; i++)
        pthread_join(m->threads[i], NULL);
    pthread_mutex_destroy(&m->lock);
    pthread_cond_destroy(&m->work);
    free(m->threads);
    free(m);
    *misses = NULL;
}
