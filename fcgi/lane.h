/* Threads behind a bounded queue: what waits for a server does not belong on a thread that serves hits. First come, first served; items are
 * copied in and out. (The queue of misses knows turns and flights: miss_queue.h.) */
#ifndef PNLCACHE_FCGI_LANE_H
#define PNLCACHE_FCGI_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

struct lane; /* thread-safe */

/* `max_weight`: what the items that wait may weigh together, besides being at most `max_items`. */
enum status lane_new(size_t item_size, size_t max_items, size_t max_weight, struct lane **ret_lane,
                     struct err *err) MUST_CHECK;
/* Starts n threads of run(arg), each of which calls lane_take() until it gives nothing. STATUS_UNAVAILABLE: not all could be started; those
 * that were are ended by lane_stop(). */
enum status lane_start(struct lane *lane, size_t n, void *(*run)(void *arg), void *arg, struct err *err) MUST_CHECK;
/* Waits for the threads to end, which still take what waits; accepts NULL. */
void lane_stop(struct lane *lane);
/* Stops, and frees; accepts NULL. */
void lane_free(struct lane **lane);

/* Adds n items of this weight each, all of them or none. STATUS_LIMIT: there is no room. */
enum status lane_put(struct lane *lane, const void *items, size_t n, size_t weight) MUST_CHECK;
/* Waits for items and takes at most `max`, of at most `max_weight` together, but always one. 0: stopped, and nothing is left. */
size_t lane_take(struct lane *lane, void *ret_items, size_t max, size_t max_weight);
/* From now on what waits need not be done any more. */
bool lane_is_stopping(struct lane *lane);

/* For metrics, and of miss_queue.h too. */
struct queue_counters {
    size_t length, limit;    /* what waits; at `limit` no more is taken in */
    uint64_t refused, taken; /* items, since the start */
    int64_t waited_us;       /* of all that were taken */
};
void lane_read_counters(struct lane *lane, struct queue_counters *ret_counters);

#endif
