/* pnlcache-worker job warm. */
#include "jobs/warm.h"
#include "worker/job.h"

static const char usage[] =
    "Usage: pnlcache-worker job warm\n\n"
    "Renews the documents of WARM_USERS users that are missing, no longer valid, or would run out before the next run,\n"
    "five minutes later: of those who are here now, then of those who usually come in this hour of the week, then of\n"
    "those seen last. Documents that stay valid are left alone.\n" JOB_EXIT_STATUS_HELP;

static enum status warm_users(struct job_run *run, struct err *err)
{
    return warm(run->precompute, run->settings, run->cache, run->redis, err);
}

static void choose(const struct settings *settings, struct precompute_options *options)
{
    options->valid_for_s = warm_ahead_s(settings);
}

int job_warm(int argc, char *const *argv)
{
    static const struct precompute_options options = {
        .only_invalid = true, .overlapped = true, .without_short_lived = true};
    static const struct job_plan plan = {
        .name = "warm",
        .noun = "users",
        .work = warm_users,
        .log_result = job_log_users,
        .alone = true,
        .counted = true,
        .compute = &options,
        .choose = choose,
    };

    return job_carry_out_plain(&plan, usage, argc, argv);
}
