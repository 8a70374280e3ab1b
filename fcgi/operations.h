/* Operations (api.md 9): /metrics, and what is asked and ordered of the cache. A thread of its own carries them out, with its own
 * connections, since they ask Redis and the database: a scrape never delays a request. */
#ifndef PNLCACHE_FCGI_OPERATIONS_H
#define PNLCACHE_FCGI_OPERATIONS_H

#include "fcgi/exchange.h"
#include "fcgi/lane.h"
#include "fcgi/responder.h"

/* What an operation works with. */
struct operation_context {
    struct responder *responder;
    int64_t started_s;   /* Unix time of the responder's start */
    struct redis *redis; /* NULL: REDIS_ENABLED is false */
    struct db *db;
};

struct operations;

/* `on_done` is called on the thread when an exchange's response is complete. */
enum status operations_start(struct responder *responder, void (*on_done)(struct exchange *x),
                             struct operations **ret_operations, struct err *err) MUST_CHECK;
/* Answers what waits, and frees everything. */
void operations_stop(struct operations **operations);

/* Hands the exchange over until on_done; its operate() answers it. STATUS_LIMIT: too many wait. */
enum status operations_submit(struct operations *operations, struct exchange *x) MUST_CHECK;
void operations_read_queue(struct operations *operations, struct queue_counters *ret_counters);

#endif
