/* The job that follows the deletion of a user. */
#ifndef PNLCACHE_WORKER_ERASE_JOB_H
#define PNLCACHE_WORKER_ERASE_JOB_H

#include "lib/store/job_stream.h"
#include "worker/daemon.h"

bool is_erase_job(const struct job *job);
/* Erases the user (jobs/erase.h), once those who looked for the tombstone before it was set must have written what they were
 * writing: a fresh job waits up to one REDIS_TIMEOUT. `go_on` as of erase_user(). STATUS_UNAVAILABLE, STATUS_TIMEOUT: not
 * complete, do it again. */
enum status erase_job_run(const struct generation *g, struct redis *redis, const struct job *job,
                          bool (*go_on)(void *context), void *context, struct err *err) MUST_CHECK;

#endif
