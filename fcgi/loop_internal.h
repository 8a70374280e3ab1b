/* What the files of a responder thread share: loop.c, the turn and its life; loop_connections.c, whom it listens to; loop_serve.c, what it
 * answers. */
#ifndef PNLCACHE_FCGI_LOOP_INTERNAL_H
#define PNLCACHE_FCGI_LOOP_INTERNAL_H

#include <pthread.h>

#include "fcgi/connection.h"
#include "fcgi/loop.h"
#include "fcgi/router.h"
#include "fcgi/session_work.h"

#define TURN SESSIONS_AT_ONCE /* requests served in one turn */

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
    struct known_requests *known;

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

static inline struct loop *loop_of(struct connection *c)
{
    return ((struct owned_connection *)c)->loop;
}

/* --- loop_connections.c ----------------------------------------------------------------------- */

void loop_start_listening(struct loop *loop);
void loop_stop_listening(struct loop *loop);
/* One connection a turn, so that the threads share a burst of them. False: there is none. */
bool loop_accept_one(struct loop *loop, int64_t now_ms);
/* Changes what the connection is watched for: always for bytes to read, and for room to write if `writable`. */
void loop_watch(struct loop *loop, struct connection *c, bool writable);
/* After an answer or a flush: what becomes of the connection. It may be gone then. */
void loop_settle(struct loop *loop, struct connection *c, bool alive, int64_t now_ms);
/* It must be READING or WRITING, and not queued. */
void loop_close_connection(struct loop *loop, struct connection *c);

/* --- loop_serve.c ----------------------------------------------------------------------------- */

/* Takes what has arrived, and serves a request that is whole, or has it wait for the turn's end. The connection may be gone then. */
void loop_look(struct loop *loop, struct connection *c);
/* The turn's end. One round trip for the sessions that are new to this thread; then these requests go on like the others. */
void loop_read_sessions(struct loop *loop);
/* Then one round trip for all look-ups. */
void loop_serve_turn(struct loop *loop);
/* Sends the response of an exchange that was handed over, and notes who read. */
void loop_finish(struct loop *loop, struct exchange *x);

#endif
