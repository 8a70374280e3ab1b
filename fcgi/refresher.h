/* What a hit may leave to be done: a value in the last tenth of its time asks for a refresh (a job), and a document beyond the
 * precomputed ones is noted once an hour as still wanted. Neither costs the hit a round trip: a thread of its own does it
 * from a short queue. What does not fit is left out; a later hit asks again, or the value expires, which costs a miss. */
#ifndef PNLCACHE_FCGI_REFRESHER_H
#define PNLCACHE_FCGI_REFRESHER_H

#include "fcgi/exchange.h"
#include "fcgi/responder.h"

struct refresher;

/* *ret_refresher becomes NULL when REDIS_ENABLED or CACHE_ENABLED is false. */
enum status refresher_start(struct responder *responder, struct refresher **ret_refresher, struct err *err) MUST_CHECK;
/* Does what is queued, then ends; accepts NULL. */
void refresher_stop(struct refresher **refresher);
/* Looks at a value that answered the exchange. Never waits for Redis; any thread, also with NULL. Asks once for each value
 * (a key until its next expiry), so the first of many hits asks for all. */
void refresher_notice_hit(struct refresher *refresher, const struct exchange *x, const struct cache_header *header);

#endif
