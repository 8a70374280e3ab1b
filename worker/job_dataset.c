/* pnlcache-worker job market, and job reference. */
#include "jobs/dataset_refresh.h"
#include "lib/base/log.h"
#include "worker/job.h"

static const char market_usage[] =
    "Usage: pnlcache-worker job market\n\n"
    "Recomputes the shared datasets with 'refresh: market' that are not valid for two more minutes: those without required\n"
    "parameters, those asked for within ACTIVE_WINDOW, and those of symbols that active users hold open; at most\n"
    "WANTED_DATASETS answers.\n" JOB_EXIT_STATUS_HELP;
static const char reference_usage[] =
    "Usage: pnlcache-worker job reference\n\n"
    "Recomputes the shared datasets with 'refresh: reference' that have less than half of their TTL left: those without\n"
    "required parameters, and those asked for within ACTIVE_WINDOW; at most WANTED_DATASETS answers.\n" JOB_EXIT_STATUS_HELP;

static void show_progress(void *context, size_t done, size_t total)
{
    struct job_run *run = context;

    progress_update(&run->progress, done, total);
}

static void name_failed(void *context, const struct dataset *dataset, enum status status, const char *reason)
{
    struct job_run *run = context;

    progress_end(&run->progress);
    log_error("dataset not computed", LOG_STR("dataset", dataset->name), LOG_STR("status", status_name(status)),
              LOG_STR("reason", reason));
}

static void note_too_large(void *context, const struct dataset *dataset)
{
    struct job_run *run = context;

    too_large_log_add(&run->too_large, dataset->name, NULL);
}

static enum status refresh(struct job_run *run, struct err *err)
{
    struct dataset_refresh *f = run->plan->context;
    struct dataset_set *set = NULL;
    enum status status = dataset_set_load(run->settings, &set, err);

    if (status != STATUS_OK)
        return status;
    f->settings = run->settings;
    f->set = set;
    f->cache = run->cache;
    f->redis = run->redis;
    f->db = run->db;
    f->stop = job_stop_flag();
    f->on_progress = show_progress;
    f->on_failed = name_failed;
    f->on_too_large = note_too_large;
    f->context = run;
    status = dataset_refresh_run(f, err);
    too_large_log_end(&run->too_large, "answers");
    dataset_set_release(&set);
    if (status == STATUS_OK && f->failed + f->refused > 0)
        status = err_fail(err, STATUS_INTERNAL, "%zu of %zu answers could not be computed, %zu were refused by Redis",
                          f->failed, f->considered, f->refused);
    return status;
}

static void log_result(const struct job_run *run, const char *message)
{
    const struct dataset_refresh *f = run->plan->context;

    log_info(message, LOG_STR("job", run->plan->name), LOG_INT("answers", (int64_t)f->considered),
             LOG_INT("valid", (int64_t)f->valid), LOG_INT("stored", (int64_t)f->stored),
             LOG_INT("unchanged", (int64_t)f->unchanged), LOG_INT("ms", progress_elapsed_ms(&run->progress)));
}

static int carry_out(const char *name, enum dataset_refresh_kind kind, const char *usage, int argc, char *const *argv)
{
    struct dataset_refresh context = {.kind = kind};
    const struct job_plan plan = {
        .name = name,
        .noun = "answers",
        .work = refresh,
        .log_result = log_result,
        .context = &context,
        .alone = true,
        .counted = true,
    };

    return job_carry_out_plain(&plan, usage, argc, argv);
}

int job_market(int argc, char *const *argv)
{
    return carry_out("market", REFRESH_MARKET, market_usage, argc, argv);
}

int job_reference(int argc, char *const *argv)
{
    return carry_out("reference", REFRESH_REFERENCE, reference_usage, argc, argv);
}
