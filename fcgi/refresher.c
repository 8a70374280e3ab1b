#include "fcgi/refresher.h"

#include <stdlib.h>
#include <string.h>

#include "fcgi/answer.h"
#include "jobs/collection.h"
#include "jobs/document_text.h"
#include "jobs/wanted.h"
#include "lib/base/log.h"
#include "lib/store/job_stream.h"
#include "lib/store/seeded_hash.h"

#define QUEUE 256
#define SLOTS 4096
#define NOTE_EVERY_US (INT64_C(3600) * US_PER_SECOND)

struct item {
    char user_id[USER_ID_MAX + 1];
    char symbol[DOCUMENT_SYMBOL_MAX + 1]; /* of the request */
    struct document_request request;
    char collection[DATASET_NAME_MAX + 1]; /* the dataset's name; "": a document is meant */
    bool ask;
};

struct refresher {
    struct responder *responder;
    struct redis *redis;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool stopping;
    size_t first, n;
    struct item queue[QUEUE];
    /* What was queued already: a mark by the key's hash. A collision forgets one, which is then queued twice. */
    _Atomic uint64_t asked[SLOTS], noted[SLOTS];
};

/* --- the hit's side ------------------------------------------------------------------------------ */

static uint64_t hash_key(const struct buf *key)
{
    return hash_seeded(key->data, key->len, 0);
}

/* The mark of a key in one period; never 0. */
static uint64_t mark_of(uint64_t hash, int64_t period)
{
    return (hash ^ (uint64_t)period * UINT64_C(0x9e3779b97f4a7c15)) | 1;
}

static bool is_marked(const _Atomic uint64_t *slots, uint64_t hash, int64_t period)
{
    return atomic_load_explicit(&slots[hash >> 32 & (SLOTS - 1)], memory_order_relaxed) == mark_of(hash, period);
}

static void mark(_Atomic uint64_t *slots, uint64_t hash, int64_t period)
{
    atomic_store_explicit(&slots[hash >> 32 & (SLOTS - 1)], mark_of(hash, period), memory_order_relaxed);
}

static void fill_item(struct item *item, const struct exchange *x, bool ask)
{
    const char *collection = x->dataset.dataset ? x->dataset.dataset->name : "";

    memcpy(item->user_id, x->user_id, sizeof item->user_id);
    memcpy(item->collection, collection, strlen(collection) + 1);
    item->request = x->document;
    item->ask = ask;
    if (!*collection && x->document.section == SECTION_SYMBOL) /* borrowed from the HTTP request, which ends before */
        memcpy(item->symbol, x->document.symbol, strlen(x->document.symbol) + 1);
}

/* False: the queue is full. */
static bool enqueue(struct refresher *f, const struct exchange *x, bool ask)
{
    bool room;

    pthread_mutex_lock(&f->lock);
    room = f->n < QUEUE;
    if (room) {
        fill_item(&f->queue[(f->first + f->n++) % QUEUE], x, ask);
        pthread_cond_signal(&f->work);
    }
    pthread_mutex_unlock(&f->lock);
    return room;
}

static bool asks_for_refresh(const struct exchange *x, const struct cache_header *header)
{
    return x->dataset.dataset ? collection_asks_for_refresh(x->dataset.dataset, header, x->request.arrived_at)
                              : document_asks_for_refresh(header, x->request.arrived_at);
}

void refresher_notice_hit(struct refresher *f, const struct exchange *x, const struct cache_header *header)
{
    int64_t expiry = header->expires_at.us, hour = x->request.arrived_at.us / NOTE_EVERY_US;
    bool ask, note = x->dataset.dataset || !document_is_precomputed(&x->document);
    uint64_t hash;

    if (!f || (x->dataset.dataset && !answer_is_collection(x)) || header->encoding == CACHE_NOT_FOUND ||
        (note && f->responder->settings->wanted_documents == 0))
        return;
    ask = asks_for_refresh(x, header);
    if (!ask && !note)
        return;
    hash = hash_key(&x->key);
    ask = ask && !is_marked(f->asked, hash, expiry);
    note = note && !is_marked(f->noted, hash, hour);
    if ((!ask && !note) || !enqueue(f, x, ask))
        return;
    if (ask)
        mark(f->asked, hash, expiry);
    if (note)
        mark(f->noted, hash, hour);
}

/* --- the thread ---------------------------------------------------------------------------------- */

/* The note first, so that the job finds it. */
static void carry_out(struct refresher *f, struct item *item)
{
    const struct responder *r = f->responder;
    struct err err = {""};
    enum status status;

    item->request.symbol = item->symbol;
    status = item->collection[0] ? wanted_note_collections(r->cache, f->redis, r->settings, item->user_id, 1,
                                                           &(const char *){item->collection}, &err)
                                 : wanted_note(r->cache, f->redis, r->settings, item->user_id, &item->request, &err);
    if (status == STATUS_OK && item->ask)
        status = job_stream_add(r->cache, f->redis, "analytics", item->user_id, "expiring", &err);
    if (status != STATUS_OK)
        log_debug("no refresh asked for", LOG_STR("user", item->user_id), LOG_STR("error", err.text));
}

/* False: stopped, and nothing is left. */
static bool take(struct refresher *f, struct item *ret_item)
{
    bool taken;

    pthread_mutex_lock(&f->lock);
    while (f->n == 0 && !f->stopping)
        pthread_cond_wait(&f->work, &f->lock);
    taken = f->n > 0;
    if (taken) {
        *ret_item = f->queue[f->first];
        f->first = (f->first + 1) % QUEUE;
        f->n--;
    }
    pthread_mutex_unlock(&f->lock);
    return taken;
}

static void *run(void *arg)
{
    struct refresher *f = arg;
    struct item item;

    while (take(f, &item))
        carry_out(f, &item);
    return NULL;
}

static void refresher_free(struct refresher *f)
{
    redis_free(&f->redis);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->work);
    free(f);
}

enum status refresher_start(struct responder *responder, struct refresher **ret_refresher, struct err *err)
{
    struct refresher *f;

    *ret_refresher = NULL;
    if (!responder->settings->redis_enabled || !responder->settings->cache_enabled)
        return STATUS_OK;
    f = calloc(1, sizeof(*f));
    if (!f)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    f->responder = responder;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->work, NULL);
    enum status status = responder_new_redis(responder, "pnlcache.fcgi refresh", &f->redis, err);
    if (status == STATUS_OK && pthread_create(&f->thread, NULL, run, f) != 0)
        status = err_fail(err, STATUS_UNAVAILABLE, "cannot start the thread that asks for refreshes");
    if (status == STATUS_OK)
        *ret_refresher = f;
    else
        refresher_free(f);
    return status;
}

void refresher_stop(struct refresher **refresher)
{
    struct refresher *f = *refresher;

    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    f->stopping = true;
    pthread_cond_signal(&f->work);
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->thread, NULL);
    refresher_free(f);
    *refresher = NULL;
}
