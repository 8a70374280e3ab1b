/* A responder thread: an epoll loop over many connections. All requests that are ready in one turn are parsed and
 * authenticated, then one round trip to Redis serves all their lookups, then the answers go out. */
#ifndef PNLCACHE_FCGI_LOOP_H
#define PNLCACHE_FCGI_LOOP_H

#include "fcgi/responder.h"

struct loop;
struct exchange;

/* `listener` is shared by all loops; `ours`: nobody else accepts from it. `n_connections` counts over all loops. */
struct loop_options {
    struct responder *responder;
    int listener;
    bool listener_is_ours;
    _Atomic int64_t *n_connections;
};
enum status loop_start(const struct loop_options *options, struct loop **ret_loop, struct err *err) MUST_CHECK;
/* Asks it to end: no new connections, requests in flight are answered, then it ends; at the latest at `deadline_ms` (monotonic). */
void loop_stop(struct loop *loop, int64_t deadline_ms);
/* When it last began a turn (monotonic ms): at most a second ago unless it is stuck. */
int64_t loop_beat_ms(struct loop *loop);
/* Waits for its end and frees it. */
void loop_join(struct loop **loop);

/* From a miss thread: the exchange's response is complete. */
void loop_complete(struct exchange *x);

#endif
