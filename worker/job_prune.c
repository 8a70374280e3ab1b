/* pnlcache-worker job prune. */
#include "jobs/prune.h"
#include "lib/base/log.h"
#include "lib/store/job_stream.h"
#include "worker/job.h"

static const char usage[] =
    "Usage: pnlcache-worker job prune\n\n"
    "Removes from Redis: active users not seen within ACTIVE_WINDOW, worn-out hours of theirs, dead letters older than DEAD_LETTER_AGE, and the\n"
    "queue's consumers that are gone and hold no job. Gives a TTL to values and epochs that have lost theirs; of many\n"
    "keys one run looks at a million, the next goes on from there.\n" JOB_EXIT_STATUS_HELP;

static void show_progress(void *context, const struct prune_counts *counts)
{
    struct job_run *run = context;

    progress_update(&run->progress, (size_t)counts->keys_seen, 0);
}

static enum status prune_all(struct job_run *run, struct err *err)
{
    struct prune_options options = {
        .settings = run->settings,
        .cache = run->cache,
        .redis = run->redis,
        .consumer_idle_ms = job_stream_consumer_idle_ms(run->settings),
        .stop = job_stop_flag(),
        .on_progress = show_progress,
        .context = run,
    };

    return prune(&options, run->plan->context, err);
}

static void log_counts(const struct job_run *run, const char *message)
{
    const struct prune_counts *counts = run->plan->context;

    log_info(message, LOG_STR("job", run->plan->name), LOG_INT("users", counts->users), LOG_INT("hours", counts->hours),
             LOG_INT("dead_letters", counts->dead_letters), LOG_INT("consumers", counts->consumers),
             LOG_INT("keys_seen", counts->keys_seen), LOG_INT("keys_bounded", counts->keys_bounded),
             LOG_INT("ms", progress_elapsed_ms(&run->progress)));
}

int job_prune(int argc, char *const *argv)
{
    struct prune_counts counts = {0};
    const struct job_plan plan = {
        .name = "prune",
        .noun = "keys",
        .work = prune_all,
        .log_result = log_counts,
        .context = &counts,
        .alone = true,
        .counted = true,
    };

    return job_carry_out_plain(&plan, usage, argc, argv);
}
