/* Drains pnlcache.change_log: woken by NOTIFY, else every OUTBOX_POLL. Each row is carried out before it is
 * deleted, in one claim: the epochs go, jobs are queued, the row is deleted, commit. A crash in between
 * repeats the effect, which is harmless. */
#ifndef PNLCACHE_WORKER_OUTBOX_LISTENER_H
#define PNLCACHE_WORKER_OUTBOX_LISTENER_H

#include "lib/store/outbox.h"
#include "worker/daemon.h"

struct outbox_listener {
    struct generation *generation;
    heartbeat beat;
};

/* The thread's function; argument: struct outbox_listener *. Returns when the generation stops. */
void *outbox_listener_run(void *listener);

/* The rows of one user, merged. Rows must be sorted by user (outbox_rows_sort()). Unknown tags are left out and
 * counted. Returns the number of rows taken (at least 1 when n > 0). */
size_t outbox_rows_merge(const struct outbox_row *rows, size_t n, struct cache_tags *ret_tags, size_t *ret_unknown);
/* By user; rows without one come first. */
void outbox_rows_sort(struct outbox_row *rows, size_t n);
/* True when analytics documents depend on one of the tags: a job is worth queueing. */
bool tags_touch_analytics(const struct cache_tags *tags);

#endif
