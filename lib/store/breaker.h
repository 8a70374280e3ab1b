/* A circuit breaker for one server, shared by all threads of a process that talk to it: once one of them has found the
 * server gone, the others do not find out again at the cost of a time-out each.
 *
 *   state     left when                          to
 *   closed    somebody reports a failure         open
 *   open      the pause is over, a prober asks   probing
 *   probing   a success is reported              closed
 *   probing   a failure is reported              open, the pause doubled
 *
 * Only making connections is guarded: who has one that works keeps it, so that a server that takes no more of them goes
 * on serving those. A server that does not answer at all makes every older connection worthless (breaker_silences()). A
 * prober gives up even a good connection while the breaker is not closed: it is the one to find out that others can connect.
 *
 * Pauses are half random, so that the processes of a site do not come back all at once. They begin anew only when the
 * breaker stayed closed for a while: a server that comes and goes is tried ever less often, up to the last pause.
 * Time is the caller's (monotonic milliseconds). */
#ifndef PNLCACHE_STORE_BREAKER_H
#define PNLCACHE_STORE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_PROBING };

/* How the server failed. */
enum breaker_failure {
    BREAKER_REFUSED, /* it cannot be reached, or takes no more connections */
    BREAKER_SILENT,  /* it does not answer */
};

struct breaker; /* thread-safe */

struct breaker_options {
    int64_t first_pause_ms, last_pause_ms;
    /* Called after each change between closed and not closed, in the thread that caused it; may be NULL. `why` is the
     * failure's text, or how long the breaker was not closed. */
    void (*on_change)(void *context, bool closed, const char *why);
    void *context;
};

enum status breaker_new(const struct breaker_options *options, struct breaker **ret_breaker,
                        struct err *err) MUST_CHECK;
void breaker_free(struct breaker **breaker);

/* May the caller connect? STATUS_UNAVAILABLE: not now; the text repeats the failure that opened it. `probes`: when the
 * pause is over, the caller is the one who tries, and must report how that went. */
enum status breaker_admit(struct breaker *breaker, bool probes, int64_t now_ms, struct err *err) MUST_CHECK;
void breaker_succeed(struct breaker *breaker, int64_t now_ms);
void breaker_fail(struct breaker *breaker, enum breaker_failure failure, const char *why, int64_t now_ms);

enum breaker_state breaker_state(const struct breaker *breaker);
/* Grows with every outage in which the server was silent: a connection made before is to be made anew. */
uint64_t breaker_silences(const struct breaker *breaker);
/* When a prober may try next; 0 while closed. */
int64_t breaker_retry_at_ms(struct breaker *breaker);
/* A whole word for people and programs: "closed", "open", "probing". */
const char *breaker_state_name(enum breaker_state state);

/* Between half of the pause and all of it. */
int64_t breaker_jitter_ms(int64_t pause_ms);

#endif
