/* The queue in front of the miss threads, and who shares whose computation (single flight inside this process).
 *
 *   state      what happens to it                              next
 *   queued     its user's turn comes                           begun
 *   begun      a thread looks in Redis, computes               landed; parked, when another process computes it
 *   parked     its look is due: is that process done?          queued
 *
 * A request may join a flight that has not begun: then epochs and snapshot are younger than the request, whatever was
 * invalidated before. One that comes later joins the flight's successor, which takes its place when it has landed. A
 * parked flight has nothing in its hands that is older than anybody who joins it, so it may be joined again.
 *
 * Users take turns: one with hundreds of misses does not make the others wait for all of them. */
#ifndef PNLCACHE_FCGI_MISS_QUEUE_H
#define PNLCACHE_FCGI_MISS_QUEUE_H

#include "fcgi/exchange.h"
#include "fcgi/lane.h"

struct flight {
    struct buf key; /* the document's key after a letter for the kind of answer */
    struct exchange *first, *last;
    size_t n;
    bool begun; /* nobody may join any more */
    int64_t queued_us;
    struct flight *successor;
    struct flight *next_queued, *next_in_bucket;
    /* While parked, and how it came to that. */
    struct flight *prev_parked, *next_parked;
    int n_parked;
    int64_t look_at_ms, pause_ms;
};

struct miss_queue; /* thread-safe */

/* `max_flights`: computations that may wait or run; requests that join one do not count. */
enum status miss_queue_new(size_t max_flights, struct miss_queue **ret_queue, struct err *err) MUST_CHECK;
void miss_queue_free(struct miss_queue **queue); /* with what is left in it */

/* Lends the exchange to the queue until its flight lands. STATUS_LIMIT: too many flights. */
enum status miss_queue_submit(struct miss_queue *queue, struct exchange *x) MUST_CHECK;

/* Flights that wait or are worked at; the requests that found no room; the flights' turns that came, and what these had waited for them. */
void miss_queue_read_counters(struct miss_queue *queue, struct queue_counters *ret_counters);

/* Waits for the next flight, which has begun then. NULL: stopped and empty. */
struct flight *miss_queue_take(struct miss_queue *queue);
/* Puts a begun flight aside for `pause_ms`; whoever waits in its successor is its own from now on. */
void miss_queue_park(struct miss_queue *queue, struct flight *flight, int64_t pause_ms);
/* The flight is over: on_done() gets its exchanges, its successor is queued; frees it. */
void miss_queue_land(struct miss_queue *queue, struct flight *flight, void (*on_done)(struct exchange *x));

/* Waits until parked flights are due, at most until `until_ms` (monotonic). Returns how many (up to `max`) were put
 * into `flights`; only the caller may move them on. False in *ret_go_on: stopped. */
size_t miss_queue_await_due(struct miss_queue *queue, int64_t until_ms, struct flight **flights, size_t max,
                            bool *ret_go_on);
void miss_queue_unpark(struct miss_queue *queue, struct flight *flight);
void miss_queue_look_again(struct miss_queue *queue, struct flight *flight, int64_t pause_ms);

/* Ends await_due(); from now on parking means queueing. */
void miss_queue_close_parking(struct miss_queue *queue);
/* After the end of whoever calls await_due(): what is parked is queued, and take() drains the queue. */
void miss_queue_stop(struct miss_queue *queue);

#endif
