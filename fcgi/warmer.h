/* Shared datasets that an admin wants ready: a thread of its own computes what is not valid, one after the other, from a bounded queue. What
 * is still queued when the responder stops is left out: losing it costs a miss. */
#ifndef PNLCACHE_FCGI_WARMER_H
#define PNLCACHE_FCGI_WARMER_H

#include "fcgi/responder.h"

#define WARMER_QUEUE 1000

struct warmer;

/* *ret_warmer becomes NULL when REDIS_ENABLED or CACHE_ENABLED is false. */
enum status warmer_start(struct responder *responder, struct warmer **ret_warmer, struct err *err) MUST_CHECK;
void warmer_stop(struct warmer **warmer); /* accepts NULL */

/* Queues the requests with these canonical texts (jobs/dataset.h), which it takes over, all of them or none. STATUS_LIMIT: there is no room;
 * STATUS_UNAVAILABLE: nothing is cached in Redis. The array itself stays the caller's, and its texts when the status is not OK. */
enum status warmer_submit(struct warmer *warmer, char **texts, size_t n) MUST_CHECK;

#endif
