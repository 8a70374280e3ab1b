#include <stdlib.h>
#include <string.h>

#include "fcgi/cache_operations.h"
#include "fcgi/envelope.h"
#include "fcgi/warmer.h"
#include "jobs/dataset_refresh.h"
#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/store/job_stream.h"

/* Canonical texts of what is to be computed. */
struct texts {
    size_t n;
    char *items[WARMER_QUEUE];
};

static void answer(struct exchange *x, size_t queued)
{
    struct json_writer w;

    envelope_begin(x, &w);
    json_key(&w, "queued");
    json_int(&w, (int64_t)queued);
    envelope_end(x, &w, 202, NULL);
}

void cache_warm_user(struct operation_context *o, struct exchange *x)
{
    struct err err = {"REDIS_ENABLED is false"};
    enum status status = STATUS_UNAVAILABLE;

    if (o->redis)
        status = job_stream_add(o->responder->cache, o->redis, "analytics", x->user_id, "warm", &err);
    if (status == STATUS_OK) {
        answer(x, 1);
        return;
    }
    log_warn("no job queued", LOG_STR("request", x->request.id), LOG_STR("reason", err.text));
    response_problem(&x->response, &x->request, 503, "Redis takes no job", NULL, NULL);
}

/* False: there is no room. */
static bool add(struct texts *texts, const struct dataset_request *r)
{
    struct buf text = BUF_INIT;
    size_t len;

    dataset_request_append_text(r, &text);
    char *item = texts->n < WARMER_QUEUE ? buf_take_data(&text, &len) : NULL;
    buf_release(&text);
    if (item)
        texts->items[texts->n++] = item;
    return item != NULL;
}

static void submit(struct operation_context *o, struct exchange *x, struct texts *texts, bool complete)
{
    enum status status = complete ? warmer_submit(o->responder->warmer, texts->items, texts->n) : STATUS_LIMIT;

    if (status == STATUS_OK) {
        answer(x, texts->n);
        return;
    }
    for (size_t i = 0; i < texts->n; i++)
        free(texts->items[i]);
    response_problem(&x->response, &x->request, 503,
                     status == STATUS_LIMIT ? "too much waits to be warmed" : "nothing is cached in Redis", NULL, NULL);
}

/* Only of what can be asked without naming anything (fcgi/handler_cache.c sees to it). */
void cache_warm_dataset(struct operation_context *o, struct exchange *x)
{
    struct dataset_set *set = responder_hold_datasets(o->responder);
    const struct dataset *d = set ? dataset_set_find(set, x->key.data) : NULL;
    struct dataset_request r = {.dataset = NULL};
    struct texts texts = {.n = 0};
    const char *missing;
    bool complete = true;

    if (d) {
        dataset_request_begin(&r, d);
        complete = dataset_request_complete(&r, &missing, NULL) == STATUS_OK && add(&texts, &r);
    }
    submit(o, x, &texts, complete);
    dataset_request_release(&r);
    dataset_set_release(&set);
}

/* One symbol in each shared dataset that is about one. False: there is no room. */
static bool add_symbol(const struct dataset_set *set, const char *symbol, struct texts *texts)
{
    struct dataset_request r = {.dataset = NULL};
    const char *missing;
    bool room = true;

    for (size_t i = 0; i < dataset_set_count(set) && room; i++) {
        const struct dataset *d = dataset_set_at(set, i);
        int param = d->shared ? dataset_symbol_param(d) : -1;
        if (param < 0)
            continue;
        dataset_request_begin(&r, d);
        if (dataset_request_put(&r, (size_t)param, symbol, NULL) == STATUS_OK &&
            dataset_request_complete(&r, &missing, NULL) == STATUS_OK)
            room = add(texts, &r);
    }
    dataset_request_release(&r);
    return room;
}

void cache_warm_symbols(struct operation_context *o, struct exchange *x)
{
    struct dataset_set *set = responder_hold_datasets(o->responder);
    struct texts texts = {.n = 0};
    char symbol[DATASET_SYMBOL_MAX + 1];
    bool complete = true;

    for (const char *at = x->key.data; set && complete && *at;) {
        size_t len = strcspn(at, ",");
        memcpy(symbol, at, len); /* the order was read: no symbol is longer */
        symbol[len] = '\0';
        complete = add_symbol(set, symbol, &texts);
        at += len + (at[len] == ',');
    }
    submit(o, x, &texts, complete);
    dataset_set_release(&set);
}
