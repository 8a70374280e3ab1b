#include "fcgi/refresher.h"

#include <stdlib.h>
#include <string.h>

#include "fcgi/answer.h"
#include "fcgi/lane.h"
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
    struct lane *lane; /* of items */
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

/* False: the queue is full. */
static bool enqueue(struct refresher *f, const struct exchange *x, bool ask)
{
    const char *collection = x->dataset.dataset ? x->dataset.dataset->name : "";
    struct item item = {.request = x->document, .ask = ask};

    memcpy(item.user_id, x->user_id, sizeof item.user_id);
    memcpy(item.collection, collection, strlen(collection) + 1);
    if (!*collection && x->document.section == SECTION_SYMBOL) /* borrowed from the HTTP request, which ends before */
        memcpy(item.symbol, x->document.symbol, strlen(x->document.symbol) + 1);
    return lane_put(f->lane, &item, 1, 0) == STATUS_OK;
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

static void *run(void *arg)
{
    struct refresher *f = arg;
    struct item item;

    while (lane_take(f->lane, &item, 1, 0) > 0)
        carry_out(f, &item);
    return NULL;
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
    enum status status = responder_new_redis(responder, "pnlcache.fcgi refresh", &f->redis, err);
    if (status == STATUS_OK)
        status = lane_new(sizeof(struct item), QUEUE, 0, &f->lane, err);
    if (status == STATUS_OK)
        status = lane_start(f->lane, 1, run, f, err);
    if (status == STATUS_OK)
        *ret_refresher = f;
    else
        refresher_stop(&f);
    return status;
}

void refresher_stop(struct refresher **refresher)
{
    struct refresher *f = *refresher;

    if (!f)
        return;
    lane_free(&f->lane);
    redis_free(&f->redis);
    free(f);
    *refresher = NULL;
}
