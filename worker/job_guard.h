/* Never two runs of one job at once, on any machine: a lease on lock:job:NAME, renewed by a thread of its own
 * for as long as the job works. */
#ifndef PNLCACHE_WORKER_JOB_GUARD_H
#define PNLCACHE_WORKER_JOB_GUARD_H

#include <stdatomic.h>

#include "lib/base/settings.h"
#include "lib/store/cache.h"

#define JOB_GUARD_TTL_MS 30000 /* what a killed run costs the next */

struct job_guard;

/* STATUS_CONFLICT: another run holds it; the text says so. A Redis that takes no writes takes no lock: the job runs without.
 * When the lock is lost (Redis was away for too long, or somebody else has it), *stop turns true. */
enum status job_guard_begin(const struct settings *settings, const struct cache *cache, const char *job,
                            atomic_bool *stop, struct job_guard **ret_guard, struct err *err) MUST_CHECK;
/* Gives it back. False: it was lost. NULL is true. */
bool job_guard_end(struct job_guard **guard) MUST_CHECK;

#endif
