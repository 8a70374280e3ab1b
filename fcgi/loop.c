#include "fcgi/loop_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/base/log.h"

#define TICK_MS 1000            /* heartbeat and time-outs */
#define STOP_TICK_MS 100        /* between looks whether a stop is finished */
#define MAX_PARAMS (256 * 1024) /* bytes of CGI parameters */
#define GRACE_MS 1000           /* how long a new connection may stay silent while we stop */

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
            loop_watch(loop, c, false);
        c->look_again = true;
        c->state = CONNECTION_READING;
        loop_settle(loop, c, alive, clock_monotonic_ms());
        break;
    case CONNECTION_READING:
        if (!c->queued_again)
            loop_look(loop, c);
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
            loop_look(loop, c);
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
        next = x->next;
        x->next = NULL;
        loop_finish(loop, x);
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
            loop_close_connection(loop, c);
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
    loop_stop_listening(loop);
    loop->listen_again_ms = 0;
    if (loop->options.listener_is_ours)
        while (loop_accept_one(loop, now_ms)) {
        }
    loop->listen_again_ms = 0;
    for (struct connection *c = loop->connections; c; c = next) {
        next = c->next;
        if (connection_is_idle(c) && c->served && !c->queued_again)
            loop_close_connection(loop, c);
    }
}

static void take_secrets(struct loop *loop, struct secrets **ret_secrets)
{
    *ret_secrets = secrets_get(loop->options.responder);
    if ((*ret_secrets)->generation != loop->secrets_generation) {
        token_cache_clear(loop->context.tokens);
        known_requests_clear(loop->known); /* the datasets were changed before the secrets */
    }
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
    if (loop->stopping && now_ms + STOP_TICK_MS < until)
        until = now_ms + STOP_TICK_MS;
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
            loop_accept_one(loop, clock_monotonic_ms());
        else if (events[i].data.ptr == &loop->wake)
            woken = true;
        else
            handle_event(loop, events[i].data.ptr, events[i].events);
    }
    if (woken)
        take_done(loop); /* may close connections, so only now that no event of theirs is left */
    look_at_the_rest(loop, TURN / 2);
    loop_read_sessions(loop);
    loop_serve_turn(loop);
    secrets_put(&secrets);
    int64_t now_ms = clock_monotonic_ms();
    if (loop->listen_again_ms && now_ms >= loop->listen_again_ms)
        loop_start_listening(loop);
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
        loop_close_connection(loop, c);
    }
    while (loop->free_exchanges) {
        struct exchange *x = loop->free_exchanges;
        loop->free_exchanges = x->next;
        exchange_free(&x);
    }
    known_requests_free(&loop->known);
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
    if (status == STATUS_OK && loop->options.responder->settings->cache_max_memory_entries > 0)
        status = known_requests_new(&loop->known, err); /* of answers from memory */
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
        loop_start_listening(loop);
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
