/* Runs scheduled jobs where there is no systemd to do it: a thread that starts `pnlcache-worker job NAME` as a child process
 * when it is due, so that a job that crashes takes nothing down. Never two of a kind at once; a time that comes while
 * the job still runs is left out, not made up for. Times are monotonic once computed: a wall clock that is set moves none. */
#ifndef PNLCACHE_WORKER_SCHEDULER_H
#define PNLCACHE_WORKER_SCHEDULER_H

#include <stdint.h>

#include "lib/base/err.h"
#include "worker/schedule.h"

struct scheduler;

struct scheduler_options {
    const struct schedule_entry *entries; /* borrowed for as long as the scheduler lives */
    size_t n;
    bool by_the_clock; /* follow on_calendar, and begin with what may have been missed */
    bool at_start;     /* begin with what every worker runs when it starts */
};

/* The children run this very program, with our environment and standard error. Starts a thread; signals should be blocked
 * already. STATUS_INVALID: an entry's on_calendar. */
enum status scheduler_start(const struct scheduler_options *options, struct scheduler **ret_scheduler,
                            struct err *err) MUST_CHECK;
/* SIGTERM to every child, SIGKILL to those that are left at deadline_ms (monotonic); waits for them all. NULL is fine. */
void scheduler_stop(struct scheduler **scheduler, int64_t deadline_ms);
/* When the thread last showed that it is not stuck (monotonic ms). */
int64_t scheduler_beat_ms(const struct scheduler *scheduler);

#endif
