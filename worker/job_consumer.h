/* Works on the job stream: takes jobs, lets a process of its own recompute what of their users' analytics is not valid,
 * finishes them.
 *
 * Many at once where there are many: all jobs of one taking are one computation (one snapshot, one COPY), which is
 * what makes a thousand changed users fresh in seconds. When that fails or crashes, each user is computed alone, so that one
 * user's trouble is one user's. Jobs for the same user are merged.
 *
 *   taken --turn--> in work --> finished
 *     |  \--another is at it, or the user rests--> waiting (a few ms) --> ...
 *     |--failed or crashed, attempts left--> jobs:later (back-off), for any worker
 *     |--a server is away, or we stop--> put back
 *     \--failed too often--> jobs:dead
 *
 * A worker that dies with jobs in hand leaves them pending; others claim them after 15 s. That is no attempt: what a
 * job does to its computation cannot kill the worker. (DELIVERIES_MAX is for what we did not think of.) */
#ifndef PNLCACHE_WORKER_JOB_CONSUMER_H
#define PNLCACHE_WORKER_JOB_CONSUMER_H

#include "worker/daemon.h"

struct job_consumer {
    struct generation *generation;
    int number; /* distinguishes the threads of one process */
    heartbeat beat;
};

/* The thread's function; argument: struct job_consumer *. Returns when the generation stops; what is then
 * not finished is put back into the stream. */
void *job_consumer_run(void *consumer);

#endif
