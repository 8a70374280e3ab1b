/* POST /api/user/initialize (api.md 7): what a user's login needs, analytics and whole lists, ready in Redis. It runs on a miss
 * thread. Without ?wait=1 a job is queued, and the answer tells what is warm already. With it the work is done here, for all who
 * wait for this user at once: in this process they share a flight, other processes' responders and workers are kept from
 * it by the lock that a user's job has. */
#ifndef PNLCACHE_FCGI_PRELOAD_H
#define PNLCACHE_FCGI_PRELOAD_H

#include "fcgi/miss_queue.h"
#include "fcgi/responder.h"
#include "lib/store/flight_lock.h"

struct preload_tools { /* of the miss thread */
    struct responder *responder;
    struct db *db;
    struct redis *redis; /* NULL: REDIS_ENABLED is false */
    struct flight_lock *lock;
    bool may_park;
};

/* Into x->key: what the requests for one user have in common. */
void preload_append_key(const struct responder *responder, struct exchange *x);
/* Answers all exchanges of the flight. False: somebody else is at this user; look again when that is done. */
bool preload_serve(const struct preload_tools *tools, struct flight *flight) MUST_CHECK;

#endif
