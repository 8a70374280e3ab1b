#include "jobs/document_writer.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/document_text.h"

/* A group is a few users' documents: large enough that round trips do not count, small enough that a
 * handful of groups in memory does not either. */
#define GROUP_BYTES (512 * 1024)
#define GROUP_DOCUMENTS 512
#define GROUP_ITEMS (GROUP_DOCUMENTS + DOCUMENT_WRITER_KEYS - 1) /* it is full only before a body begins */

struct item {
    size_t key, body; /* offsets, because the buffers move while they grow */
    struct cache_body about;
    struct cache_epochs epochs;
    const struct cache_tags *tags;
    int64_t ttl_s;
    const char *section;
};

struct group {
    struct buf keys, bodies;
    size_t n;
    struct item items[GROUP_ITEMS];
    struct cache_store stores[GROUP_ITEMS];
};

struct document_writer {
    const struct settings *settings;
    struct cache *cache;
    struct redis *redis;
    bool threaded;
    struct group *filling;
    struct buf key; /* of the document being added */
    struct document_writer_counts counts;

    /* The hand-off; everything below is guarded by the mutex. `busy` is the group the thread works on. */
    pthread_t thread;
    bool thread_runs;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct group *spare, *busy;
    bool ending;
    enum status status;
    struct err err;
};

static struct group *group_new(void)
{
    struct group *g = calloc(1, sizeof *g);

    if (g != NULL) {
        buf_init(&g->keys);
        buf_init(&g->bodies);
    }
    return g;
}

static void group_free(struct group *g)
{
    if (g == NULL)
        return;
    buf_release(&g->keys);
    buf_release(&g->bodies);
    free(g);
}

static void group_clear(struct group *g)
{
    buf_clear(&g->keys);
    buf_clear(&g->bodies);
    g->n = 0;
}

static void count(struct document_writer_counts *counts, const struct group *g)
{
    for (size_t i = 0; i < g->n; i++) {
        if (g->stores[i].status != STATUS_OK)
            counts->refused++;
        else if (g->stores[i].unchanged)
            counts->unchanged++;
        else
            counts->stored++;
    }
}

static enum status group_store(struct document_writer *w, struct group *g, struct err *err)
{
    enum status status;

    for (size_t i = 0; i < g->n; i++) {
        struct item *item = &g->items[i];

        item->about.bytes = g->bodies.data + item->body;
        g->stores[i] = (struct cache_store){
            .key = g->keys.data + item->key,
            .tags = item->tags,
            .epochs = &item->epochs,
            .body = &item->about,
            .ttl_s = item->ttl_s,
            .section = item->section,
        };
    }
    status = g->n == 0 ? STATUS_OK : cache_store_many(w->cache, w->redis, g->stores, g->n, err);
    if (status == STATUS_OK)
        count(&w->counts, g);
    return status;
}

static void *store_handed_over(void *argument)
{
    struct document_writer *w = argument;

    pthread_mutex_lock(&w->mutex);
    for (;;) {
        struct err err = {{0}};
        enum status status;

        while (w->busy == NULL && !w->ending)
            pthread_cond_wait(&w->changed, &w->mutex);
        if (w->busy == NULL)
            break;
        pthread_mutex_unlock(&w->mutex);
        status = group_store(w, w->busy, &err);
        group_clear(w->busy);
        pthread_mutex_lock(&w->mutex);
        if (w->status == STATUS_OK) {
            w->status = status;
            w->err = err;
        }
        w->spare = w->busy;
        w->busy = NULL;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

static enum status start_thread(struct document_writer *w, struct err *err)
{
    struct redis_options options = {
        .url = w->settings->redis_url,
        .tls_ca = w->settings->redis_tls_ca,
        .client_name = "pnlcache-writer",
        .timeout_ms = w->settings->redis_timeout_ms,
    };
    enum status status;

    w->spare = group_new();
    if (w->spare == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for documents to be written");
    status = redis_new(&options, &w->redis, err);
    if (status != STATUS_OK)
        return status;
    if (pthread_create(&w->thread, NULL, store_handed_over, w) != 0)
        return err_fail(err, STATUS_LIMIT, "cannot start the thread that writes documents");
    w->thread_runs = true;
    return STATUS_OK;
}

enum status document_writer_new(const struct settings *settings, struct cache *cache, struct redis *redis,
                                struct document_writer **ret_writer, struct err *err)
{
    struct document_writer *w = calloc(1, sizeof *w);
    enum status status = STATUS_OK;

    if (w == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for documents to be written");
    w->settings = settings;
    w->cache = cache;
    w->redis = redis;
    w->threaded = redis == NULL;
    buf_init(&w->key);
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->changed, NULL);
    w->filling = group_new();
    if (w->filling == NULL)
        status = err_fail(err, STATUS_NO_MEMORY, "no memory for documents to be written");
    else if (w->threaded)
        status = start_thread(w, err);
    if (status != STATUS_OK)
        document_writer_free(&w);
    else
        *ret_writer = w;
    return status;
}

void document_writer_free(struct document_writer **writer)
{
    struct document_writer *w = *writer;

    if (w == NULL)
        return;
    if (w->thread_runs) {
        pthread_mutex_lock(&w->mutex);
        w->ending = true;
        pthread_cond_broadcast(&w->changed);
        pthread_mutex_unlock(&w->mutex);
        pthread_join(w->thread, NULL);
    }
    group_free(w->filling);
    group_free(w->spare);
    group_free(w->busy);
    if (w->threaded)
        redis_free(&w->redis);
    buf_release(&w->key);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
    free(w);
    *writer = NULL;
}

/* Waits until the thread is idle; gives the first failure since the last call. Mutex held. */
static enum status wait_idle(struct document_writer *w, struct err *err)
{
    enum status status;

    while (w->busy != NULL)
        pthread_cond_wait(&w->changed, &w->mutex);
    status = w->status;
    if (status != STATUS_OK && err != NULL)
        *err = w->err;
    w->status = STATUS_OK;
    return status;
}

/* The group goes to the thread; the caller continues with the other one. */
static enum status hand_over(struct document_writer *w, struct err *err)
{
    enum status status;

    pthread_mutex_lock(&w->mutex);
    status = wait_idle(w, err);
    if (status == STATUS_OK) {
        w->busy = w->filling;
        w->filling = w->spare;
        w->spare = NULL;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->mutex);
    return status;
}

static enum status send_group(struct document_writer *w, struct err *err)
{
    enum status status;

    if (w->threaded) {
        status = hand_over(w, err);
    } else {
        status = group_store(w, w->filling, err);
        group_clear(w->filling);
    }
    if (status != STATUS_OK)
        group_clear(w->filling);
    return status;
}

enum status document_writer_begin(struct document_writer *w, struct buf **ret_body, struct err *err)
{
    bool full = w->filling->n >= GROUP_DOCUMENTS || w->filling->bodies.len >= GROUP_BYTES;
    enum status status = full ? send_group(w, err) : STATUS_OK;

    *ret_body = &w->filling->bodies;
    return status;
}

enum status document_writer_add_value(struct document_writer *w, const struct document_writer_place *place,
                                      const struct cache_epochs *epochs, const struct cache_body *body, struct err *err)
{
    struct group *g = w->filling;
    struct item *item = &g->items[g->n];

    assert(g->n < GROUP_ITEMS);
    *item = (struct item){
        .key = g->keys.len,
        .body = (size_t)(body->bytes - g->bodies.data),
        .about = *body,
        .epochs = *epochs,
        .tags = place->tags,
        .ttl_s = place->ttl_s,
        .section = place->section,
    };
    buf_append(&g->keys, place->key, strlen(place->key) + 1);
    if (buf_status(&g->keys) != STATUS_OK)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for documents to be written");
    g->n++;
    return STATUS_OK;
}

enum status document_writer_add(struct document_writer *w, const struct document_request *request, const char *user_id,
                                const struct cache_epochs *epochs, const struct cache_body *body, struct err *err)
{
    struct document_writer_place place = {
        .tags = document_tags(request),
        .ttl_s = document_ttl_s(w->settings, request, body->holds_positions),
        .section = document_section_name(request->section),
    };
    enum status status = STATUS_NO_MEMORY;

    buf_clear(&w->key);
    document_append_key(w->cache, request, user_id, &w->key);
    place.key = w->key.data;
    if (buf_status(&w->key) == STATUS_OK)
        status = document_writer_add_value(w, &place, epochs, body, err);
    return status == STATUS_NO_MEMORY ? err_fail(err, status, "no memory for documents to be written") : status;
}

enum status document_writer_flush(struct document_writer *w, struct err *err)
{
    enum status status = send_group(w, err);

    if (w->threaded && status == STATUS_OK) {
        pthread_mutex_lock(&w->mutex);
        status = wait_idle(w, err);
        pthread_mutex_unlock(&w->mutex);
    }
    return status;
}

struct document_writer_counts document_writer_counts(const struct document_writer *w)
{
    return w->counts;
}
