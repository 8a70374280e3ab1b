/* The thread that keeps L1's epochs true, by Redis's client-side caching.
 *
 * One connection turns tracking on for the prefix of the epochs, redirected to itself, and subscribes: Redis stops to
 * track exactly when the connection ends on which it reports, and that end is seen here at once. The connections that read
 * epochs are not involved. A second connection proves twice a second, end to end, that reports arrive: it writes a key
 * under the prefix and waits for its message. All that was invalidated before the key was written has then been
 * reported, because messages keep their order.
 *
 * Whatever else happens (an error, an end, no message in time, another instance, no master) ends the session: the epochs
 * are in doubt until a new one is proven. */
#ifndef PNLCACHE_FCGI_TRACKING_H
#define PNLCACHE_FCGI_TRACKING_H

#include "fcgi/responder.h"

struct tracking;

/* Starts it where L1 needs it; *ret_tracking is NULL where not. */
enum status tracking_start(struct responder *responder, struct tracking **ret_tracking, struct err *err) MUST_CHECK;
void tracking_stop(struct tracking **tracking);

#endif
