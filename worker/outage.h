/* A server that is away: one log line when it goes, one every interval while it stays away, one when it
 * is back; and how long to wait between attempts. Used by one thread. */
#ifndef PNLCACHE_WORKER_OUTAGE_H
#define PNLCACHE_WORKER_OUTAGE_H

#include <stdbool.h>
#include <stdint.h>

struct outage {
    const char *what; /* "outbox", "jobs": what cannot be done meanwhile */
    bool active;
    int64_t began_ms, logged_ms;
    int failures;
};

/* Notes a failed attempt; returns how long to wait before the next: half of outage_wait_ms() and, at random, up to the whole, so
 * that the workers do not all come back at the same moment. */
int64_t outage_failed(struct outage *outage, const char *reason);
/* Notes that it works (again). */
void outage_over(struct outage *outage);
/* The longest wait after the n-th failure in a row, n from 1: 100 ms doubling up to 500 ms; pure. */
int64_t outage_wait_ms(int failures);

#endif
