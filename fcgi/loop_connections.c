#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/loop_internal.h"
#include "lib/base/log.h"

#define PAUSE_MS 100 /* no accepting after running out of descriptors */

static void control(struct loop *loop, struct connection *c, int operation, bool writable)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET | (writable ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(loop->epoll, operation, c->fd, &event) != 0)
        log_error("epoll_ctl failed", LOG_STR("error", strerror(errno)));
}

void loop_watch(struct loop *loop, struct connection *c, bool writable)
{
    control(loop, c, EPOLL_CTL_MOD, writable);
}

void loop_close_connection(struct loop *loop, struct connection *c)
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
    control(loop, c, EPOLL_CTL_ADD, false);
}

void loop_start_listening(struct loop *loop)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = loop};
    loop->listen_again_ms = 0;
    loop->listening = epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->options.listener, &event) == 0;
}

void loop_stop_listening(struct loop *loop)
{
    if (loop->listening)
        epoll_ctl(loop->epoll, EPOLL_CTL_DEL, loop->options.listener, NULL);
    loop->listening = false;
}

static void pause_listening(struct loop *loop, const char *reason, int64_t now_ms)
{
    log_warn("accepting pauses", LOG_STR("reason", reason));
    loop_stop_listening(loop);
    loop->listen_again_ms = now_ms + PAUSE_MS;
}

bool loop_accept_one(struct loop *loop, int64_t now_ms)
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

void loop_settle(struct loop *loop, struct connection *c, bool alive, int64_t now_ms)
{
    if (alive && c->state == CONNECTION_WRITING) {
        c->since_ms = now_ms;
        loop_watch(loop, c, true);
        return;
    }
    c->state = CONNECTION_READING;
    c->since_ms = now_ms;
    if (!alive || !c->keep || (loop->stopping && !c->look_again)) {
        loop_close_connection(loop, c);
        return;
    }
    if (c->look_again || c->hung_up)
        queue_again(loop, c);
    c->look_again = false;
}
