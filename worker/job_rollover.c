/* pnlcache-worker job rollover. */
#include <stdlib.h>

#include "jobs/rollover.h"
#include "lib/base/text.h"
#include "lib/store/job_stream.h"
#include "worker/job.h"

static const char usage[] =
    "Usage: pnlcache-worker job rollover\n\n"
    "Renews the documents of those active users (ACTIVE_WINDOW) whose own trading day, by the time zone and the\n"
    "trading_day_start of their account, has begun since the last run that finished; run it every 15 minutes. After a\n"
    "run that was missed the next one looks back further. Documents that are valid are left alone.\n" JOB_EXIT_STATUS_HELP;

/* A mark ahead of our clock says nothing. */
static struct instant look_back_to(struct instant mark, struct instant now)
{
    if (mark.us > now.us)
        mark.us = -INSTANT_NEVER.us;
    return mark;
}

/* Moves the users whose day began to the front; gives their number. */
static size_t keep_marked(char **ids, const bool *began, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (began[i]) {
            char *swap = ids[kept];

            ids[kept++] = ids[i];
            ids[i] = swap;
        }
    return kept;
}

static enum status renew(struct job_run *run, char **ids, size_t n, struct instant since, struct instant now,
                         struct err *err)
{
    bool *began = malloc(n + 1);
    enum status status;

    if (began == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for %zu users", n);
    status = rollover_select(run->db, n, (const char *const *)ids, (size_t)run->settings->precompute_batch, since, now,
                             job_stop_flag(), began, err);
    if (status == STATUS_OK)
        status = precompute_users(run->precompute, keep_marked(ids, began, n), (const char *const *)ids, err);
    free(began);
    return status;
}

/* The mark moves only when everything until `now` is done. */
static enum status roll_over(struct job_run *run, struct err *err)
{
    struct instant now = clock_now(), mark = {0};
    enum status status = rollover_read_mark(run->cache, run->redis, &mark, err);
    char **ids = NULL;
    size_t n = 0;

    if (status == STATUS_OK)
        status =
            active_users_list(run->cache, run->redis, run->settings->active_window_s, ACTIVE_USERS_MAX, &ids, &n, err);
    if (status == STATUS_OK && n > 0)
        status = renew(run, ids, n, look_back_to(mark, now), now, err);
    if (status == STATUS_OK && !atomic_load(job_stop_flag()))
        status = rollover_write_mark(run->cache, run->redis, now, err);
    text_array_free(ids, n);
    return status;
}

int job_rollover(int argc, char *const *argv)
{
    static const struct precompute_options options = {
        .only_invalid = true, .overlapped = true, .without_short_lived = true};
    static const struct job_plan plan = {
        .name = "rollover",
        .noun = "users",
        .work = roll_over,
        .log_result = job_log_users,
        .alone = true,
        .counted = true,
        .compute = &options,
    };

    return job_carry_out_plain(&plan, usage, argc, argv);
}
