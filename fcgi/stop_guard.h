/* The end of a stop. What a thread waits for may outlast any time that it is given (the system's resolver has no time limit
 * of ours, a query that waits for a lock has a long one), and a process cannot end while it waits for its threads. */
#ifndef PNLCACHE_FCGI_STOP_GUARD_H
#define PNLCACHE_FCGI_STOP_GUARD_H

#include <stdint.h>

/* From now on: if the process still runs at deadline_ms (monotonic), it says so in the log and leaves with `exit_status`, without
 * waiting for anybody. Clients that have no answer then see their connection closed. Cannot be taken back. */
void stop_guard_start(int64_t deadline_ms, int exit_status);

#endif
