/* Where webhooks are judged and carried out: threads of their own behind a bounded queue, so that neither a slow Redis nor
 * a large body delays a hit. A thread takes all that wait at once: their invalidations share one round trip, their marks
 * and their jobs one each.
 *
 *   waiting --signature, body--> refused
 *      \--> invalidated (HDEL acknowledged, with replicas WAIT 1) --> marked, jobs queued --> 202
 *      \--Redis did not acknowledge--> in the outbox, the cache bypassed for its users (pending.h) --> 202
 *                                  \--neither--> 503 */
#ifndef PNLCACHE_FCGI_WEBHOOK_LANE_H
#define PNLCACHE_FCGI_WEBHOOK_LANE_H

#include "fcgi/exchange.h"
#include "fcgi/lane.h"
#include "fcgi/responder.h"

struct webhook_lane;

/* `on_done` is called on a thread of the lane when an exchange's response is complete. */
enum status webhook_lane_start(struct responder *responder, void (*on_done)(struct exchange *x),
                               struct webhook_lane **ret_lane, struct err *err) MUST_CHECK;
/* Ends the threads once the queue is empty, and frees everything. */
void webhook_lane_stop(struct webhook_lane **lane);

/* Hands the exchange over until on_done. STATUS_LIMIT: WEBHOOK_QUEUE, or too many bytes, are waiting already. */
enum status webhook_lane_submit(struct webhook_lane *lane, struct exchange *x) MUST_CHECK;

void webhook_lane_read_queue(struct webhook_lane *lane, struct queue_counters *ret_counters);

#endif
