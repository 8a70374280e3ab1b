/* Misses. They run on their own threads behind a bounded queue (miss_queue.h: who shares whose computation, whose turn it
 * is), so that a slow database never delays a hit. */
#ifndef PNLCACHE_FCGI_MISSES_H
#define PNLCACHE_FCGI_MISSES_H

#include "fcgi/exchange.h"
#include "fcgi/lane.h"
#include "fcgi/responder.h"

struct misses;

/* `on_done` is called on a miss thread when an exchange's response is complete. */
enum status misses_start(struct responder *responder, void (*on_done)(struct exchange *x), struct misses **ret_misses,
                         struct err *err) MUST_CHECK;
/* Ends the threads once the queue is empty, and frees everything. */
void misses_stop(struct misses **misses);

/* Hands the exchange over until on_done. STATUS_LIMIT: MISS_QUEUE computations wait or run already. */
enum status misses_submit(struct misses *misses, struct exchange *x) MUST_CHECK;
/* As miss_queue_read_counters(). */
void misses_read_queue(struct misses *misses, struct queue_counters *ret_counters);

/* Each miss thread has one connection to the database; together they are the pool. */
enum pool_state { POOL_CLOSED, POOL_IDLE, POOL_BUSY, POOL_STATES };
void misses_count_pool(struct misses *misses, size_t ret_counts[POOL_STATES]);

#endif
