/* Which job runs when. One table: `pnlcache-worker run --schedule` follows it, and a test compares systemd/pnlcache-JOB.timer
 * with it. A new scheduled job is a row here, a line in command_job.c and its timer, which starts pnlcache-job@JOB.service. */
#ifndef PNLCACHE_WORKER_SCHEDULE_H
#define PNLCACHE_WORKER_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>

struct schedule_entry {
    const char *job;         /* pnlcache-worker job JOB */
    const char *on_calendar; /* calendar_event.h */
    int spread_s;    /* every run comes up to this much later, so that machines and jobs do not all begin at once */
    bool persistent; /* a run that was missed while nothing ran is caught up at the start */
    bool at_start;   /* every worker runs it once when it starts, with or without --schedule */
};

extern const struct schedule_entry schedule[];
extern const size_t schedule_length;

#endif
