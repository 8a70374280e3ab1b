#include "worker/erase_job.h"

#include <string.h>

#include "jobs/erase.h"
#include "lib/base/log.h"

bool is_erase_job(const struct job *job)
{
    return strcmp(job->kind, ERASE_JOB) == 0;
}

/* A job is born, by Redis's clock, after the tombstone was set. Where our clock differs the wait is whole or none, and a value
 * that slips through is one that nobody can be served and that expires. */
static void wait_for_writers(const struct generation *g, const struct job *job)
{
    int64_t wait_ms = g->settings->redis_timeout_ms, age_ms = clock_now().us / 1000 - job->born_ms;

    if (age_ms > 0)
        wait_ms -= age_ms;
    if (wait_ms > 0)
        generation_wait(g, wait_ms);
}

enum status erase_job_run(const struct generation *g, struct redis *redis, const struct job *job,
                          bool (*go_on)(void *context), void *context, struct err *err)
{
    enum status status;
    size_t n_keys;

    wait_for_writers(g, job);
    status = erase_user(g->cache, redis, job->user_id, go_on, context, &n_keys, err);
    if (status == STATUS_OK)
        log_info("user erased", LOG_STR("id", job->id), LOG_STR("user", job->user_id),
                 LOG_INT("keys", (int64_t)n_keys));
    return status;
}
