#include "fcgi/loop.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/answer.h"
#include "fcgi/connection.h"
#include "fcgi/cors.h"
#include "fcgi/document_response.h"
#include "fcgi/meter.h"
#include "fcgi/misses.h"
#include "fcgi/operations.h"
#include "fcgi/refresher.h"
#include "fcgi/router.h"
#include "fcgi/session_lane.h"
#include "fcgi/session_work.h"
#include "fcgi/webhook_lane.h"
#include "lib/base/log.h"
#include "lib/store/job_stream.h"

#define TURN SESSIONS_AT_ONCE   /* requests served in one turn */
#define TICK_MS 1000            /* heartbeat and time-outs */
#define PAUSE_MS 100            /* no accepting after running out of descriptors */
#define MAX_HEAVY 64            /* connections with much of an unfinished request, per loop */
#define MAX_PARAMS (256 * 1024) /* bytes of CGI parameters */
#define GRACE_MS 1000           /* how long a new connection may stay silent while we stop */

struct owned_connection {
    struct connection connection; /* first: a connection is cast to this */
    struct loop *loop;
};

struct loop {
    struct loop_options options;
    pthread_t thread;
    int epoll, wake;
    bool listening;
    int64_t listen_again_ms;    /* 0: not paused */
    _Atomic int64_t stop_at_ms; /* 0: not stopping */
    _Atomic int64_t beat_ms;
    bool stopping;

    struct handler_context context;
    uint64_t secrets_generation;
    struct record_limits limits;
    unsigned char *scratch;

    struct connection *connections; /* all of this loop */
    size_t n_connections, n_heavy, n_deferred;
    struct connection *again, **again_tail;
    struct exchange *free_exchanges;

    size_t n_turn;
    struct exchange *turn[TURN]; /* waiting for the turn's lookup */
    struct cache_lookup lookups[TURN];
    struct epoch_ticket tickets[TURN];
    size_t n_unknown;
    struct exchange *unknown[TURN]; /* waiting for the turn's sessions */

    pthread_mutex_t done_lock;
    struct exchange *done; /* from the miss threads */
    int64_t next_tick_ms;

    struct meter *meter;
    uint64_t n_requests, n_hits, n_misses, n_refused;
};

static struct loop *loop_of(struct connection *c)
{
    return ((struct owned_connection *)c)->loop;
}

/* --- exchanges -------------------------------------------------------------------------------- */

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

static void put_exchange(struct loop *loop, struct exchange *x)
{
    exchange_clear(x);
    x->next = loop->free_exchanges;
    loop->free_exchanges = x;
}

/* --- connections ------------------------------------------------------------------------------ */

static void watch(struct loop *loop, struct connection *c, int operation, bool writable)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET | (writable ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(loop->epoll, operation, c->fd, &event) != 0)
        log_error("epoll_ctl failed", LOG_STR("error", strerror(errno)));
}

static void close_connection(struct loop *loop, struct connection *c)
{
    assert(c->state != CONNECTION_BUSY && !c->queued_again);
    if (c->prev)
        c->prev->next = c->next;
    else
        loop->connections = c->next;
    if (c->next)
        c->next->prev = c->prev;
    loop->n_connections--;
    loop->n_heavy -= connection_is_heavy(c);
    atomic_fetch_sub(loop->options.n_connections, 1);
    connection_release(c);
    free(c);
}

static void queue_again(struct loop *loop, struct connection *c)
{
    if (c->queued_again)
        return;
    c->queued_again = true;
    c->next_again = NULL;
    *loop->again_tail = c;
    loop->again_tail = &c->next_again;
}

static void add_connection(struct loop *loop, int fd, int64_t now_ms)
{
    struct owned_connection *owned = malloc(sizeof(*owned));
    if (!owned) {
        close(fd);
        return;
    }
    struct connection *c = &owned->connection;
    connection_init(c, fd, now_ms);
    owned->loop = loop;
    c->next = loop->connections;
    if (c->next)
        c->next->prev = c;
    loop->connections = c;
    loop->n_connections++;
    atomic_fetch_add(loop->options.n_connections, 1);
    watch(loop, c, EPOLL_CTL_ADD, false);
}

static void start_listening(struct loop *loop)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = loop};
    loop->listen_again_ms = 0;
    loop->listening = epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->options.listener, &event) == 0;
}

static void stop_listening(struct loop *loop)
{
    if (loop->listening)
        epoll_ctl(loop->epoll, EPOLL_CTL_DEL, loop->options.listener, NULL);
    loop->listening = false;
}

static void pause_listening(struct loop *loop, const char *reason, int64_t now_ms)
{
    log_warn("accepting pauses", LOG_STR("reason", reason));
    stop_listening(loop);
    loop->listen_again_ms = now_ms + PAUSE_MS;
}

/* One connection a turn, so that the threads share a burst of them. False: there is none. */
static bool accept_one(struct loop *loop, int64_t now_ms)
{
    if (atomic_load(loop->options.n_connections) >= loop->options.responder->settings->max_connections) {
        pause_listening(loop, "MAX_CONNECTIONS are open", now_ms);
        return false;
    }
    int fd = accept4(loop->options.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        add_connection(loop, fd, now_ms);
        return true;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
        pause_listening(loop, strerror(errno), now_ms);
    return false;
}

/* --- answering -------------------------------------------------------------------------------- */

/* After an answer or a flush: what becomes of the connection. */
static void settle(struct loop *loop, struct connection *c, bool alive, int64_t now_ms)
{
    if (alive && c->state == CONNECTION_WRITING) {
        c->since_ms = now_ms;
        watch(loop, c, EPOLL_CTL_MOD, true);
        return;
    }
    c->state = CONNECTION_READING;
    c->since_ms = now_ms;
    if (!alive || !c->keep || (loop->stopping && !c->look_again)) {
        close_connection(loop, c);
        return;
    }
    if (c->look_again || c->hung_up)
        queue_again(loop, c);
    c->look_again = false;
}

static void send_answer(struct loop *loop, struct exchange *x)
{
    struct connection *c = x->connection;
    bool alive = connection_answer(c, &x->response);

    if (x->response.http_status >= 400)
        loop->n_refused++;
    int64_t now_us = clock_monotonic_us();
    meter_count(loop->meter, x, now_us);
    put_exchange(loop, x);
    settle(loop, c, alive, now_us / 1000);
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

/* One round trip for the sessions that are new to this thread; then these requests go on like the others. */
static void read_sessions(struct loop *loop)
{
    size_t n = loop->n_unknown;

    if (n == 0)
        return;
    loop->n_unknown = 0;
    session_work_read(loop->options.responder, loop->context.redis, loop->unknown, n);
    for (size_t i = 0; i < n; i++)
        dispatch(loop, loop->unknown[i]);
}

/* One round trip for the whole turn. */
static void serve_turn(struct loop *loop)
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
    struct exchange *x = take_exchange(loop);
    bool was_heavy = connection_is_heavy(c), was_idle = connection_is_idle(c);
    struct err err = {.text = ""};

    enum intake intake = x ? connection_take(c, loop->scratch, &loop->limits, x, &err) : INTAKE_CLOSE;
    loop->n_heavy += connection_is_heavy(c) - was_heavy;
    if (intake == INTAKE_CLOSE || (connection_is_heavy(c) && loop->n_heavy > MAX_HEAVY)) {
        if (err.text[0])
            log_warn("connection dropped", LOG_STR("error", err.text));
        if (x)
            put_exchange(loop, x);
        c->state = CONNECTION_READING;
        close_connection(loop, c);
        return;
    }
    if (intake == INTAKE_WAIT) {
        put_exchange(loop, x);
        if (c->state == CONNECTION_WRITING) {
            c->keep = true;
            settle(loop, c, true, clock_monotonic_ms());
        } else if (was_idle && !connection_is_idle(c)) {
            c->since_ms = clock_monotonic_ms(); /* the first byte of a request */
        }
        return;
    }
    loop->n_requests++;
    x->connection = c;
    request_arrive(&x->request);
    if (intake == INTAKE_REQUEST)
        begin_exchange(loop, x);
    else
        refuse_size(loop, x, intake == INTAKE_BODY_TOO_LARGE ? 413 : 431);
}

/* --- the turn --------------------------------------------------------------------------------- */

static void handle_event(struct loop *loop, struct connection *c, uint32_t events)
{
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->hung_up = true;
    switch (c->state) {
    case CONNECTION_BUSY: c->look_again = true; break;
    case CONNECTION_WRITING:
        c->look_again |= (events & EPOLLIN) != 0;
        if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
            break;
        bool alive = connection_flush(c);
        if (alive && !connection_is_flushed(c))
            break;
        if (alive)
            watch(loop, c, EPOLL_CTL_MOD, false);
        c->look_again = true;
        c->state = CONNECTION_READING;
        settle(loop, c, alive, clock_monotonic_ms());
        break;
    case CONNECTION_READING:
        if (!c->queued_again)
            look(loop, c);
        break;
    }
}

/* Connections that were not looked at when something arrived; at most `room` of them. */
static void look_at_the_rest(struct loop *loop, size_t room)
{
    struct connection *c = loop->again, *next;
    struct connection *limit = NULL;

    for (size_t i = 0; c && i < room; i++)
        c = c->next_again;
    limit = c;
    for (c = loop->again; c != limit; c = next) {
        next = c->next_again;
        loop->again = next;
        if (!next)
            loop->again_tail = &loop->again;
        c->queued_again = false;
        if (c->state == CONNECTION_READING)
            look(loop, c);
    }
}

static void take_done(struct loop *loop)
{
    uint64_t count;
    if (read(loop->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
        log_error("eventfd failed", LOG_STR("error", strerror(errno)));
    pthread_mutex_lock(&loop->done_lock);
    struct exchange *x = loop->done, *next;
    loop->done = NULL;
    pthread_mutex_unlock(&loop->done_lock);
    for (; x; x = next) {
        char user_id[USER_ID_MAX + 1] = "";
        next = x->next;
        x->next = NULL;
        if (x->work == WORK_DOCUMENT)
            memcpy(user_id, x->user_id, sizeof(user_id));
        loop->n_deferred--;
        send_answer(loop, x);
        if (user_id[0] && should_touch(loop, user_id, clock_monotonic_ms()))
            touch(loop, user_id);
    }
}

void loop_complete(struct exchange *x)
{
    struct loop *loop = loop_of(x->connection);
    uint64_t one = 1;

    pthread_mutex_lock(&loop->done_lock);
    x->next = loop->done;
    loop->done = x;
    /* Under the lock: once the loop can take the exchange it may end, and be freed. */
    if (write(loop->wake, &one, sizeof(one)) < 0 && errno != EAGAIN)
        log_error("eventfd failed", LOG_STR("error", strerror(errno)));
    pthread_mutex_unlock(&loop->done_lock);
}

static bool is_overdue(const struct loop *loop, const struct connection *c, int64_t now_ms)
{
    const struct settings *s = loop->options.responder->settings;
    if (c->state == CONNECTION_BUSY || c->queued_again)
        return false;
    if (connection_is_idle(c))
        return now_ms - c->since_ms > (loop->stopping ? GRACE_MS : s->idle_timeout_s * 1000);
    return now_ms - c->since_ms > s->request_timeout_ms;
}

static void tick(struct loop *loop, int64_t now_ms)
{
    struct connection *next;
    struct err err;

    for (struct connection *c = loop->connections; c; c = next) {
        next = c->next;
        if (is_overdue(loop, c, now_ms))
            close_connection(loop, c);
    }
    if (loop->context.redis && redis_is_connected(loop->context.redis) &&
        redis_heartbeat(loop->context.redis, &err) != STATUS_OK)
        log_debug("heartbeat failed", LOG_STR("error", err.text));
    loop->next_tick_ms = clock_monotonic_ms() + TICK_MS;
}

/* What waits in a socket that ends with us is taken in; a shared one's is left to the others. */
static void begin_stop(struct loop *loop, int64_t now_ms)
{
    struct connection *next;

    loop->stopping = true;
    stop_listening(loop);
    loop->listen_again_ms = 0;
    if (loop->options.listener_is_ours)
        while (accept_one(loop, now_ms)) {
        }
    loop->listen_again_ms = 0;
    for (struct connection *c = loop->connections; c; c = next) {
        next = c->next;
        if (connection_is_idle(c) && c->served && !c->queued_again)
            close_connection(loop, c);
    }
}

static void take_secrets(struct loop *loop, struct secrets **ret_secrets)
{
    *ret_secrets = secrets_get(loop->options.responder);
    if ((*ret_secrets)->generation != loop->secrets_generation)
        token_cache_clear(loop->context.tokens);
    loop->secrets_generation = (*ret_secrets)->generation;
    loop->context.secrets = *ret_secrets;
}

static int wait_ms(const struct loop *loop, int64_t now_ms)
{
    int64_t until = loop->next_tick_ms;
    if (loop->again)
        return 0;
    if (loop->listen_again_ms && loop->listen_again_ms < until)
        until = loop->listen_again_ms;
    if (loop->stopping && now_ms + PAUSE_MS < until)
        until = now_ms + PAUSE_MS;
    return until > now_ms ? (int)(until - now_ms) : 0;
}

static void turn(struct loop *loop)
{
    struct epoll_event events[TURN / 2];
    struct secrets *secrets;
    bool woken = false;

    int64_t began_ms = clock_monotonic_ms();
    atomic_store_explicit(&loop->beat_ms, began_ms, memory_order_relaxed);
    int n = epoll_wait(loop->epoll, events, TURN / 2, wait_ms(loop, began_ms));
    take_secrets(loop, &secrets);
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == loop)
            accept_one(loop, clock_monotonic_ms());
        else if (events[i].data.ptr == &loop->wake)
            woken = true;
        else
            handle_event(loop, events[i].data.ptr, events[i].events);
    }
    if (woken)
        take_done(loop); /* may close connections, so only now that no event of theirs is left */
    look_at_the_rest(loop, TURN / 2);
    read_sessions(loop);
    serve_turn(loop);
    secrets_put(&secrets);
    int64_t now_ms = clock_monotonic_ms();
    if (loop->listen_again_ms && now_ms >= loop->listen_again_ms)
        start_listening(loop);
    if (now_ms >= loop->next_tick_ms)
        tick(loop, now_ms);
}

static bool is_finished(struct loop *loop)
{
    int64_t stop_at_ms = atomic_load(&loop->stop_at_ms);
    if (!stop_at_ms)
        return false;
    int64_t now_ms = clock_monotonic_ms();
    if (!loop->stopping)
        begin_stop(loop, now_ms);
    return loop->n_connections == 0 || (now_ms >= stop_at_ms && loop->n_deferred == 0);
}

static void *run(void *arg)
{
    struct loop *loop = arg;
    while (!is_finished(loop))
        turn(loop);
    log_info("loop ended", LOG_INT("requests", (int64_t)loop->n_requests), LOG_INT("hits", (int64_t)loop->n_hits),
             LOG_INT("misses", (int64_t)loop->n_misses), LOG_INT("refused", (int64_t)loop->n_refused));
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------- */

static void loop_free(struct loop *loop)
{
    for (struct connection *c = loop->connections, *next; c; c = next) {
        next = c->next;
        c->queued_again = false;
        close_connection(loop, c);
    }
    while (loop->free_exchanges) {
        struct exchange *x = loop->free_exchanges;
        loop->free_exchanges = x->next;
        exchange_free(&x);
    }
    token_cache_free(&loop->context.tokens);
    redis_free(&loop->context.redis);
    pthread_mutex_destroy(&loop->done_lock);
    if (loop->wake >= 0)
        close(loop->wake);
    if (loop->epoll >= 0)
        close(loop->epoll);
    free(loop->scratch);
    free(loop);
}

static enum status prepare(struct loop *loop, struct err *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &loop->wake};

    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->scratch = malloc(CONNECTION_SCRATCH);
    if (loop->epoll < 0 || loop->wake < 0 || !loop->scratch ||
        epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &event) != 0)
        return err_fail(err, STATUS_UNAVAILABLE, "cannot set up a responder thread: %s", strerror(errno));
    enum status status =
        token_cache_new(loop->options.responder->settings, loop->options.responder->local, &loop->context.tokens, err);
    if (status == STATUS_OK)
        status = local_reader_new(loop->options.responder->local, &loop->context.local, err);
    if (status == STATUS_OK)
        status = meter_new(loop->options.responder->meters, &loop->meter, err);
    if (status == STATUS_OK)
        status = responder_new_redis(loop->options.responder, "pnlcache.fcgi", &loop->context.redis, err);
    return status;
}

enum status loop_start(const struct loop_options *options, struct loop **ret_loop, struct err *err)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    loop->options = *options;
    loop->context.responder = options->responder;
    loop->limits = (struct record_limits){MAX_PARAMS, (size_t)options->responder->settings->max_body};
    loop->again_tail = &loop->again;
    loop->epoll = loop->wake = -1;
    pthread_mutex_init(&loop->done_lock, NULL);
    loop->beat_ms = clock_monotonic_ms();
    loop->next_tick_ms = loop->beat_ms + TICK_MS;
    enum status status = prepare(loop, err);
    if (status == STATUS_OK) {
        start_listening(loop);
        if (!loop->listening || pthread_create(&loop->thread, NULL, run, loop) != 0)
            status = err_fail(err, STATUS_UNAVAILABLE, "cannot start a responder thread: %s", strerror(errno));
    }
    if (status == STATUS_OK)
        *ret_loop = loop;
    else
        loop_free(loop);
    return status;
}

void loop_stop(struct loop *loop, int64_t deadline_ms)
{
    uint64_t one = 1;
    atomic_store(&loop->stop_at_ms, deadline_ms);
    if (write(loop->wake, &one, sizeof(one)) < 0)
        log_error("eventfd failed", LOG_STR("error", strerror(errno)));
}

int64_t loop_beat_ms(struct loop *loop)
{
    return atomic_load_explicit(&loop->beat_ms, memory_order_relaxed);
}

void loop_join(struct loop **loop)
{
    if (!*loop)
        return;
    pthread_join((*loop)->thread, NULL);
    loop_free(*loop);
    *loop = NULL;
}
