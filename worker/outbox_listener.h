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

/* The rows of one user, merged. Rows must be sorted (outbox_rows_sort()). Unknown tags are left out and
 * counted. *ret_erase: the rows say that the user was deleted. Returns the number of rows taken (at least 1 when n > 0). */
size_t outbox_rows_merge(const struct outbox_row *rows, size_t n, struct cache_tags *ret_tags, bool *ret_erase,
                         size_t *ret_unknown);
/* By user; rows without one come first, deletions of users last: Redis refuses the tombstone when it is full, and what
 * is behind a refused row has to wait. */
void outbox_rows_sort(struct outbox_row *rows, size_t n);

#endif
