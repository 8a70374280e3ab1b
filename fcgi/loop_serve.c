#include <string.h>

#include "fcgi/answer.h"
#include "fcgi/cors.h"
#include "fcgi/document_response.h"
#include "fcgi/loop_internal.h"
#include "fcgi/misses.h"
#include "fcgi/operations.h"
#include "fcgi/refresher.h"
#include "fcgi/session_lane.h"
#include "fcgi/webhook_lane.h"
#include "lib/base/log.h"
#include "lib/store/job_stream.h"

#define MAX_HEAVY 64 /* connections with much of an unfinished request, per loop */

static struct exchange *take_exchange(struct loop *loop)
{
    struct exchange *x = loop->free_exchanges;
    if (x) {
        loop->free_exchanges = x->next;
        x->next = NULL;
        return x;
    }
    return exchange_new(&x, NULL) == STATUS_OK ? x : NULL;
}

static void put_clear_exchange(struct loop *loop, struct exchange *x)
{
    x->next = loop->free_exchanges;
    loop->free_exchanges = x;
}

static void put_exchange(struct loop *loop, struct exchange *x)
{
    exchange_clear(x);
    put_clear_exchange(loop, x);
}

static void send_answer(struct loop *loop, struct exchange *x)
{
    struct connection *c = x->connection;
    bool alive = connection_answer(c, &x->response);

    if (x->response.http_status >= 400)
        loop->n_refused++;
    int64_t now_us = clock_monotonic_us();
    meter_count(loop->meter, x, now_us);
    if (x->response.tier == TIER_L1)
        x = known_requests_keep(loop->known, x);
    if (x)
        put_exchange(loop, x);
    loop_settle(loop, c, alive, now_us / 1000);
}

/* To whom the work belongs. STATUS_LIMIT: too much of it waits there; *ret_detail says so. */
static enum status hand_over(struct responder *r, struct exchange *x, const char **ret_detail)
{
    switch (x->work) {
    case WORK_DOCUMENT:
    case WORK_PRELOAD: break;
    case WORK_WEBHOOK:
        *ret_detail = "too many webhooks wait; send it again";
        return webhook_lane_submit(r->webhook_lane, x);
    case WORK_OPERATION: *ret_detail = "too many operations wait"; return operations_submit(r->operations, x);
    case WORK_LOGIN:
    case WORK_LOGOUT:
    case WORK_LOGOUT_ALL:
        *ret_detail = "too many logins and logouts wait";
        return session_lane_submit(r->session_lane, x);
    }
    *ret_detail = "too many requests wait for the database";
    return misses_submit(r->misses, x);
}

static void defer(struct loop *loop, struct exchange *x)
{
    bool is_miss = x->work == WORK_DOCUMENT; /* another thread has it once it is handed over */
    const char *detail;

    if (hand_over(loop->options.responder, x, &detail) == STATUS_OK) {
        loop->n_deferred++;
        loop->n_misses += is_miss;
        return;
    }
    response_problem(&x->response, &x->request, 503, detail, NULL, NULL);
    send_answer(loop, x);
}

/* Tells the scheduled jobs who reads; at most once a minute per user. */
static void touch(struct loop *loop, const char *user_id)
{
    struct err err;

    if (active_users_visit(loop->options.responder->cache, loop->context.redis, user_id, &err) != STATUS_OK)
        log_debug("activity not noted", LOG_STR("error", err.text));
}

static bool should_touch(struct loop *loop, const char *user_id, int64_t now_ms)
{
    return loop->context.redis && user_id[0] && responder_should_touch(loop->options.responder, user_id, now_ms);
}

/* Answers with a value from L1, written from where it lies. False: there is none that may be served. */
static bool serve_local(struct loop *loop, struct exchange *x, const struct cache_lookup *lookup, enum local_use use)
{
    char user_id[USER_ID_MAX + 1];
    int64_t now_ms = x->request.arrived_us / 1000;
    struct l1_value *value = local_cache_find(loop->context.local, lookup, use, now_ms, x->request.arrived_at);
    bool good = value && document_respond_stored(x, &value->header, value->body, false, SOURCE_L1,
                                                 answer_max_age_s(loop->options.responder->settings, x)) == STATUS_OK;
    bool active = good && should_touch(loop, x->user_id, now_ms);

    if (active)
        memcpy(user_id, x->user_id, sizeof(user_id));
    loop->n_hits += good;
    if (good) {
        refresher_notice_hit(loop->options.responder->refresher, x, &value->header);
        send_answer(loop, x);
    }
    l1_put(&value);
    if (active)
        touch(loop, user_id);
    return good;
}

/* From L1 at once; else with the turn's other lookups from Redis. */
static void look_up(struct loop *loop, struct exchange *x)
{
    struct cache_lookup *lookup = &loop->lookups[loop->n_turn]; /* in place: it is large */

    lookup->key = x->key.data;
    lookup->user_id = x->user_id;
    lookup->tags = answer_tags(x);
    if (serve_local(loop, x, lookup, LOCAL_CURRENT))
        return;
    if (!loop->context.redis) {
        defer(loop, x);
        return;
    }
    loop->tickets[loop->n_turn] = local_cache_begin(loop->options.responder->local, lookup);
    loop->turn[loop->n_turn++] = x;
}

static void dispatch(struct loop *loop, struct exchange *x)
{
    switch (router_dispatch(&loop->context, x)) {
    case NEXT_SEND: send_answer(loop, x); break;
    case NEXT_LOOKUP: look_up(loop, x); break;
    case NEXT_SESSION: loop->unknown[loop->n_unknown++] = x; break;
    case NEXT_DEFER: defer(loop, x); break;
    }
}

/* The body is borrowed from the connection to Redis until it is written. */
static void serve_looked_up(struct loop *loop, struct exchange *x, const struct cache_lookup *lookup)
{
    if (lookup->verdict == CACHE_HIT &&
        document_respond_stored(x, &lookup->header, lookup->body, false, SOURCE_REDIS,
                                answer_max_age_s(loop->options.responder->settings, x)) == STATUS_OK) {
        loop->n_hits++;
        refresher_notice_hit(loop->options.responder->refresher, x, &lookup->header);
        send_answer(loop, x);
    } else {
        defer(loop, x);
    }
}

void loop_read_sessions(struct loop *loop)
{
    size_t n = loop->n_unknown;

    if (n == 0)
        return;
    loop->n_unknown = 0;
    session_work_read(loop->options.responder, loop->context.redis, loop->unknown, n);
    for (size_t i = 0; i < n; i++)
        dispatch(loop, loop->unknown[i]);
}

void loop_serve_turn(struct loop *loop)
{
    struct responder *r = loop->options.responder;
    char users[TURN][USER_ID_MAX + 1];
    size_t n = loop->n_turn;
    struct err err;

    if (n == 0)
        return;
    bool answered = cache_lookup_many(r->cache, loop->context.redis, loop->lookups, n, &err) == STATUS_OK;
    if (!answered)
        log_debug("lookup failed", LOG_STR("error", err.text));
    loop->n_turn = 0;
    for (size_t i = 0; i < n; i++) {
        struct exchange *x = loop->turn[i];
        memcpy(users[i], x->user_id, sizeof(users[i]));
        local_cache_keep(r->local, loop->tickets[i], &loop->lookups[i]);
        if (answered || !serve_local(loop, x, &loop->lookups[i], LOCAL_DEGRADED))
            serve_looked_up(loop, x, &loop->lookups[i]);
    }
    int64_t now_ms = clock_monotonic_ms();
    for (size_t i = 0; i < n; i++)
        if (should_touch(loop, users[i], now_ms))
            touch(loop, users[i]);
}

/* A request whose parameters or body were too large, so that nothing of it was parsed. */
static void refuse_size(struct loop *loop, struct exchange *x, int http_status)
{
    struct err ignored;
    if (request_parse(&x->request, &ignored) != STATUS_OK)
        x->request.method = METHOD_OTHER;
    response_problem(&x->response, &x->request, http_status, NULL, NULL, NULL);
    send_answer(loop, x);
}

static void begin_exchange(struct loop *loop, struct exchange *x)
{
    struct err err;

    cors_judge(loop->options.responder->settings->cors_origins, &x->request);
    enum status status = request_parse(&x->request, &err);
    if (status == STATUS_OK) {
        dispatch(loop, x);
        return;
    }
    int http_status = status == STATUS_LIMIT ? 414 : status_to_http(status);
    response_problem(&x->response, &x->request, http_status, err.text, NULL, NULL);
    send_answer(loop, x);
}

static void look(struct loop *loop, struct connection *c)
{
    struct exchange *x = take_exchange(loop), *known;
    bool was_heavy = connection_is_heavy(c), was_idle = connection_is_idle(c);
    struct err err = {.text = ""};

    enum intake intake =
        x ? connection_take(c, loop->scratch, &loop->limits, loop->known, x, &known, &err) : INTAKE_CLOSE;
    loop->n_heavy += connection_is_heavy(c) - was_heavy;
    if (intake == INTAKE_CLOSE || (connection_is_heavy(c) && loop->n_heavy > MAX_HEAVY)) {
        if (err.text[0])
            log_warn("connection dropped", LOG_STR("error", err.text));
        if (x)
            put_exchange(loop, x);
        c->state = CONNECTION_READING;
        loop_close_connection(loop, c);
        return;
    }
    if (intake == INTAKE_WAIT) {
        put_exchange(loop, x);
        if (c->state == CONNECTION_WRITING) {
            c->keep = true;
            loop_settle(loop, c, true, clock_monotonic_ms());
        } else if (was_idle && !connection_is_idle(c)) {
            c->since_ms = clock_monotonic_ms(); /* the first byte of a request */
        }
        return;
    }
    loop->n_requests++;
    if (intake == INTAKE_KNOWN) {
        put_clear_exchange(loop, x);
        known->connection = c;
        request_arrive_again(&known->request);
        dispatch(loop, known);
        return;
    }
    x->connection = c;
    request_arrive(&x->request);
    if (intake == INTAKE_REQUEST)
        begin_exchange(loop, x);
    else
        refuse_size(loop, x, intake == INTAKE_BODY_TOO_LARGE ? 413 : 431);
}

void loop_look(struct loop *loop, struct connection *c)
{
    look(loop, c);
    known_requests_end(loop->known);
}

void loop_finish(struct loop *loop, struct exchange *x)
{
    char user_id[USER_ID_MAX + 1] = "";

    if (x->work == WORK_DOCUMENT)
        memcpy(user_id, x->user_id, sizeof(user_id));
    loop->n_deferred--;
    send_answer(loop, x);
    if (user_id[0] && should_touch(loop, user_id, clock_monotonic_ms()))
        touch(loop, user_id);
}
