/* The order is what the promises hang on: the invalidations are acknowledged before anything else is done; the mark that
 * saves a repeat's job comes after them; what Redis did not acknowledge is durable in the outbox, and its users are pending,
 * before it is answered. A mark never answers for a webhook: a repeat invalidates again. */
#include "fcgi/webhook_batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/invalidation.h"
#include "fcgi/webhook_events.h"
#include "jobs/erase.h"
#include "jobs/wanted.h"
#include "lib/base/log.h"
#include "lib/json/json_writer.h"
#include "lib/store/job_stream.h"
#include "lib/store/seen.h"

#define SKEW_WARN_MS 60000
#define OUTBOX_WARN_MS 1000
#define MARK_MARGIN_S 60 /* how much longer than twice the tolerance a mark is kept */

struct call {
    struct exchange *x;
    struct webhook_events events;
    enum status status; /* OK: in effect */
    bool is_repeat;
    int jobs;
};

struct job_order {
    struct call *call;
    bool erases;
    char reason[64];
};

struct webhook_batch {
    struct responder *responder;
    void (*on_done)(struct exchange *x);
    struct redis *redis; /* NULL: REDIS_ENABLED is false */
    struct db *db;
    size_t n, n_changes; /* of all calls */
    struct call calls[WEBHOOK_BATCH_MAX];
    struct err err; /* why Redis, or the outbox, did not do it */
};

static void finish(struct webhook_batch *b, struct call *call)
{
    webhook_events_release(&call->events);
    b->on_done(call->x);
}

/* True for one caller in `every_ms`, over all threads. */
static bool is_due(_Atomic int64_t *next_ms, int64_t every_ms)
{
    int64_t now_ms = clock_monotonic_ms(), next = atomic_load(next_ms);

    return now_ms >= next && atomic_compare_exchange_strong(next_ms, &next, now_ms + every_ms);
}

/* --- judging -------------------------------------------------------------------------------------- */

/* Only what was signed with a secret of ours gets here, so strangers cannot fill the log. */
static void warn_of_skew(const struct request *request, int64_t ahead_s, int64_t tolerance_s)
{
    static _Atomic int64_t next_ms;

    if (llabs(ahead_s) > tolerance_s / 2 && is_due(&next_ms, SKEW_WARN_MS))
        log_warn("a webhook sender's clock is off", LOG_INT("ahead_s", ahead_s), LOG_INT("tolerance_s", tolerance_s),
                 LOG_STR("webhook", request_param(request, PARAM_WEBHOOK_ID)), LOG_STR("request", request->id));
}

/* 0, or the HTTP status of the refusal and, for whoever writes a sender, what is wrong. */
static int refuse(enum webhook_verdict verdict, int64_t ahead_s, int64_t tolerance_s, struct err *ret_why)
{
    char *why = ret_why->text;
    size_t size = sizeof ret_why->text;

    switch (verdict) {
    case WEBHOOK_GOOD: return 0;
    case WEBHOOK_UNSIGNED: (void)snprintf(why, size, "webhook-signature is missing"); return 401;
    case WEBHOOK_BAD_ID:
        (void)snprintf(why, size, "webhook-id is missing or not 1 to %d visible characters without a dot",
                       WEBHOOK_MAX_ID);
        return 400;
    case WEBHOOK_BAD_TIME: (void)snprintf(why, size, "webhook-timestamp is missing or not in Unix seconds"); return 400;
    case WEBHOOK_FORGED:
        (void)snprintf(why, size, "no v1 signature fits a secret and this id, timestamp and body");
        return 401;
    case WEBHOOK_STALE:
        (void)snprintf(why, size, "webhook-timestamp is %lld s %s this server's clock; up to %lld s are accepted",
                       llabs(ahead_s), ahead_s > 0 ? "ahead of" : "behind", (long long)tolerance_s);
        return 403;
    }
    return 500;
}

/* 0, or the HTTP status of the refusal. */
static int check_signature(const struct secrets *secrets, const struct request *request, struct err *err)
{
    int64_t ahead_s;
    enum webhook_verdict verdict =
        webhook_verify(secrets->webhooks, request_param(request, PARAM_WEBHOOK_ID),
                       request_param(request, PARAM_WEBHOOK_TIMESTAMP), request_param(request, PARAM_WEBHOOK_SIGNATURE),
                       request->body.data, request->body.len, clock_now(), secrets->webhook_tolerance_s, &ahead_s);

    warn_of_skew(request, ahead_s, secrets->webhook_tolerance_s);
    return refuse(verdict, ahead_s, secrets->webhook_tolerance_s, err);
}

static bool waited_too_long(const struct webhook_batch *b, const struct exchange *x)
{
    return clock_monotonic_us() - x->request.arrived_us > b->responder->settings->request_timeout_ms * 1000;
}

/* A 401 has one (RFC 9110, 15.5.2). No scheme is registered for these signatures, and "Bearer" would be untrue. */
#define CHALLENGE "WWW-Authenticate: StandardWebhooks version=\"v1\"\r\n"

/* False: it is refused, and the response says why. */
static bool judge(const struct webhook_batch *b, const struct secrets *secrets, struct exchange *x,
                  struct webhook_events *ret_events)
{
    struct webhook_problems problems;
    struct err err = {.text = "the webhook waited too long; send it again"};

    *ret_events = (struct webhook_events){0};
    int http_status = waited_too_long(b, x) ? 503 : check_signature(secrets, &x->request, &err);
    if (http_status != 0) {
        response_problem(&x->response, &x->request, http_status, err.text, NULL, http_status == 401 ? CHALLENGE : NULL);
        return false;
    }
    err.text[0] = '\0';
    http_status = webhook_events_parse(x->request.body.data, x->request.body.len, ret_events, &problems, &err);
    if (http_status != 202) {
        const char *detail = problems.n > 0 ? "the body names events that are not valid"
                             : err.text[0]  ? err.text
                                            : NULL;

        response_problem_list(&x->response, &x->request, http_status, detail, problems.list, problems.n);
    }
    webhook_problems_release(&problems);
    return http_status == 202;
}

static void judge_all(struct webhook_batch *b, struct exchange *const *calls, size_t n)
{
    struct secrets *secrets = secrets_get(b->responder);
    bool refused[WEBHOOK_BATCH_MAX] = {false};

    limits_confirm_webhooks(b->responder->limits, b->redis, calls, n, refused);
    b->n = b->n_changes = 0;
    for (size_t i = 0; i < n; i++) {
        struct call *call = &b->calls[b->n];

        *call = (struct call){.x = calls[i]};
        if (!refused[i] && judge(b, secrets, call->x, &call->events)) {
            b->n_changes += call->events.n;
            b->n++;
        } else {
            finish(b, call);
        }
    }
    secrets_put(&secrets);
}

/* --- invalidating --------------------------------------------------------------------------------- */

/* The changes of these calls, one after the other; the caller frees. NULL: out of memory, and so they fail. */
static struct cache_invalidation *list_changes(struct webhook_batch *b, struct call *const *calls, size_t n,
                                               size_t *ret_n_changes)
{
    struct cache_invalidation *list = calloc(b->n_changes, sizeof *list);

    *ret_n_changes = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; list && k < calls[i]->events.n; k++) {
            const struct webhook_change *change = &calls[i]->events.changes[k];

            list[(*ret_n_changes)++] =
                (struct cache_invalidation){.user_id = change->user_id[0] ? change->user_id : NULL,
                                            .tags = &change->tags,
                                            .erased = change->erased};
        }
    for (size_t i = 0; !list && i < n; i++)
        calls[i]->status = err_fail(&b->err, STATUS_NO_MEMORY, "out of memory");
    return list;
}

/* A webhook's status is OK when that of all of its changes is. */
static void take_statuses(struct call *const *calls, size_t n, const struct cache_invalidation *list)
{
    for (size_t i = 0; i < n; i++) {
        calls[i]->status = STATUS_OK;
        for (size_t k = 0; k < calls[i]->events.n; k++, list++)
            if (list->status != STATUS_OK)
                calls[i]->status = list->status;
    }
}

static void invalidate(struct webhook_batch *b)
{
    struct call *calls[WEBHOOK_BATCH_MAX];
    const size_t n_calls = b->n;
    size_t n;

    for (size_t i = 0; i < n_calls; i++)
        calls[i] = &b->calls[i];
    struct cache_invalidation *list = list_changes(b, calls, n_calls, &n);
    if (!list)
        return;
    if (invalidation_carry_out(b->responder, b->redis, list, n, &b->err) != STATUS_OK)
        log_debug("invalidation failed", LOG_STR("error", b->err.text));
    take_statuses(calls, n_calls, list);
    free(list);
}

/* --- marks and jobs ------------------------------------------------------------------------------- */

/* Where a mark cannot be written the work is repeated, that is all. */
static void mark(struct webhook_batch *b)
{
    struct seen_mark marks[WEBHOOK_BATCH_MAX];
    struct call *marked[WEBHOOK_BATCH_MAX];
    size_t n = 0;
    struct err err;

    for (size_t i = 0; i < b->n; i++)
        if (b->calls[i].status == STATUS_OK) {
            marks[n].id = request_param(&b->calls[i].x->request, PARAM_WEBHOOK_ID);
            marked[n++] = &b->calls[i];
        }
    if (seen_mark_many(b->responder->cache, b->redis, marks, n,
                       b->responder->settings->webhook_tolerance_s * 2 + MARK_MARGIN_S, &err) != STATUS_OK)
        log_debug("webhooks not marked", LOG_STR("error", err.text));
    for (size_t i = 0; i < n; i++)
        marked[i]->is_repeat = marks[i].is_repeat;
}

/* When Redis does not say, there is a job: it finds nothing to do. */
static bool wants_job(struct webhook_batch *b, const struct dataset_set *datasets, const struct webhook_change *change)
{
    const struct responder *r = b->responder;
    bool needed = true;

    if (wanted_call_for_job(r->cache, b->redis, r->settings, datasets, change->user_id, &change->tags, &needed,
                            &b->err) != STATUS_OK)
        log_debug("a job may be in vain", LOG_STR("user", change->user_id), LOG_STR("error", b->err.text));
    return needed;
}

static size_t order_jobs(struct webhook_batch *b, struct job_order *orders, struct job_request *requests)
{
    struct dataset_set *datasets = responder_hold_datasets(b->responder);
    size_t n = 0;

    for (size_t i = 0; i < b->n; i++) {
        struct call *call = &b->calls[i];

        for (size_t k = 0; k < call->events.n && call->status == STATUS_OK && !call->is_repeat; k++) {
            const struct webhook_change *change = &call->events.changes[k];

            if (!change->user_id[0] || !(change->erased || wants_job(b, datasets, change)))
                continue;
            orders[n] = (struct job_order){.call = call, .erases = change->erased};
            (void)snprintf(orders[n].reason, sizeof orders[n].reason, "webhook %s", change->type);
            requests[n] = (struct job_request){.kind = change->erased ? ERASE_JOB : "analytics",
                                               .user_id = change->user_id,
                                               .reason = orders[n].reason};
            n++;
        }
    }
    dataset_set_release(&datasets);
    return n;
}

/* A job that cannot be queued costs a miss later, never a wrong number; only an erasure has to be done for sure. */
static void take_order(struct webhook_batch *b, const struct job_order *order, const struct job_request *request)
{
    struct call *call = order->call;

    if (request->status == STATUS_OK) {
        call->jobs++;
        return;
    }
    if (!order->erases || call->status != STATUS_OK)
        return;
    call->status = request->status;
    if (seen_unmark(b->responder->cache, b->redis, request_param(&call->x->request, PARAM_WEBHOOK_ID), NULL) !=
        STATUS_OK)
        log_debug("a mark was not taken back");
}

static void queue_jobs(struct webhook_batch *b)
{
    struct job_order *orders = calloc(b->n_changes, sizeof *orders);
    struct job_request *requests = calloc(b->n_changes, sizeof *requests);
    size_t n = 0, failed = 0;

    if (orders && requests)
        n = order_jobs(b, orders, requests);
    if (n > 0 && job_stream_add_many(b->responder->cache, b->redis, requests, n, &b->err) != STATUS_OK)
        log_debug("jobs not queued", LOG_STR("error", b->err.text));
    for (size_t i = 0; i < n; i++) {
        failed += requests[i].status != STATUS_OK;
        take_order(b, &orders[i], &requests[i]);
    }
    if (failed > 0)
        log_warn("no jobs for webhooks", LOG_INT("jobs", (int64_t)failed), LOG_STR("error", b->err.text));
    free(orders);
    free(requests);
}

/* --- the outbox ----------------------------------------------------------------------------------- */

/* One transaction for all calls of the list, whose statuses it sets. */
static enum status put_off(struct webhook_batch *b, struct call *const *calls, size_t n_calls)
{
    size_t n;
    struct cache_invalidation *list = list_changes(b, calls, n_calls, &n);

    if (!list)
        return STATUS_NO_MEMORY;
    enum status status = invalidation_put_off(b->responder, b->redis, b->db, list, n, &b->err);
    take_statuses(calls, n_calls, list);
    free(list);
    return status;
}

/* The worker that drains the outbox makes the jobs. */
static void fall_back(struct webhook_batch *b)
{
    static _Atomic int64_t next_ms;
    struct call *failed[WEBHOOK_BATCH_MAX];
    size_t n = 0;

    for (size_t i = 0; i < b->n; i++)
        if (b->calls[i].status != STATUS_OK)
            failed[n++] = &b->calls[i];
    if (n == 0)
        return;
    if (b->redis && is_due(&next_ms, OUTBOX_WARN_MS))
        log_warn("webhooks go to the outbox", LOG_INT("webhooks", (int64_t)n), LOG_STR("reason", b->err.text));
    for (size_t i = 0; i < n; i++)
        failed[i]->jobs = 0;
    if (put_off(b, failed, n) != STATUS_OK)
        log_error("webhooks could not be stored", LOG_INT("webhooks", (int64_t)n), LOG_STR("error", b->err.text));
}

/* --- answering ------------------------------------------------------------------------------------ */

static void write_counts(struct json_writer *w, const struct call *call)
{
    size_t invalidated = 0;

    for (size_t k = 0; k < call->events.n; k++)
        invalidated += call->events.changes[k].tags.n;
    json_key(w, "accepted");
    json_int(w, (int64_t)call->events.accepted);
    json_key(w, "invalidated");
    json_int(w, (int64_t)invalidated);
    json_key(w, "jobs");
    json_int(w, call->jobs);
}

/* The envelope of every answer; the counts stand beside `data` too, where senders of the first version look. */
static void accept(const struct call *call)
{
    struct response *r = &call->x->response;
    struct json_writer w;

    response_begin(r, &call->x->request, 202);
    response_header(r, "Cache-Control", "no-store");
    json_init(&w, &r->storage);
    json_object_begin(&w);
    json_key(&w, "success");
    json_bool(&w, true);
    json_key(&w, "data");
    json_object_begin(&w);
    write_counts(&w, call);
    json_object_end(&w);
    json_key(&w, "meta");
    json_object_begin(&w);
    json_object_end(&w);
    write_counts(&w, call);
    json_object_end(&w);
    response_finish(r, "application/json", r->storage.data, r->storage.len, true);
}

static void answer(struct webhook_batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        struct call *call = &b->calls[i];

        if (call->status == STATUS_OK)
            accept(call);
        else
            response_problem(&call->x->response, &call->x->request, 503, "the event could not be stored; send it again",
                             NULL, NULL);
        finish(b, call);
    }
}

void webhook_batch_serve(struct webhook_batch *b, struct exchange *const *calls, size_t n)
{
    judge_all(b, calls, n);
    if (b->n == 0)
        return;
    invalidate(b);
    if (b->redis) {
        mark(b);
        queue_jobs(b);
    }
    fall_back(b);
    answer(b);
}

/* --- life ----------------------------------------------------------------------------------------- */

enum status webhook_batch_new(struct responder *responder, void (*on_done)(struct exchange *x),
                              struct webhook_batch **ret_batch, struct err *err)
{
    struct webhook_batch *b = calloc(1, sizeof *b);

    if (!b)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    b->responder = responder;
    b->on_done = on_done;
    enum status status = responder_new_db(responder, &b->db, err);
    if (status == STATUS_OK)
        status = responder_new_redis(responder, "pnlcache.fcgi:webhook", &b->redis, err);
    if (status == STATUS_OK)
        *ret_batch = b;
    else
        webhook_batch_free(&b);
    return status;
}

void webhook_batch_free(struct webhook_batch **batch)
{
    if (!*batch)
        return;
    redis_free(&(*batch)->redis);
    db_free(&(*batch)->db);
    free(*batch);
    *batch = NULL;
}
