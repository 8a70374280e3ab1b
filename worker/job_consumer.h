/* Works on the job stream: takes jobs, recomputes what of a user's analytics is not valid, finishes them.
 *
 * One job per user at a time, over all workers: a lock key with this thread's token. A job whose user is being
 * worked on waits its turn here; when it comes, all waiting jobs of that user are done in one
 * computation, which is the brake under a burst of events. The lock is an economy, not a safeguard: what keeps
 * wrong numbers away are the epochs.
 *
 *   taken --lock--> computed --> finished
 *     |  \--held by another--> waiting (a few ms) --> ...
 *     |--failed, attempts left--> waiting (back-off) --> ...      |--PostgreSQL away--> put back, wait
 *     \--failed for good, or taken too often--> buried (jobs:dead) */
#ifndef PNLCACHE_WORKER_JOB_CONSUMER_H
#define PNLCACHE_WORKER_JOB_CONSUMER_H

#include "worker/daemon.h"

struct job_consumer {
    struct generation *generation;
    int number; /* distinguishes the threads of one process */
    heartbeat beat;
};

/* The thread's function; argument: struct job_consumer *. Returns when the generation stops; what is then
 * still waiting is put back into the stream. */
void *job_consumer_run(void *consumer);

#endif
