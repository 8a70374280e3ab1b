/* The frame of every job: stopping, connections, the lock, progress, the log line and the exit status. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "lib/base/log.h"
#include "lib/store/job_stats.h"
#include "worker/connections.h"
#include "worker/dataset_load.h"
#include "worker/job.h"
#include "worker/job_guard.h"

/* --- stopping ------------------------------------------------------------------------------------ */

static atomic_bool stop;
static volatile sig_atomic_t stop_signal;

const atomic_bool *job_stop_flag(void)
{
    return &stop;
}

static void note_signal(int signal_number)
{
    stop_signal = signal_number;
    atomic_store(&stop, true);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};

    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
}

/* --- computing users ------------------------------------------------------------------------------- */

static void show_progress(void *context, const struct precompute_progress *progress)
{
    struct job_run *run = context;

    progress_update(&run->progress, progress->users_done, progress->users_total);
}

static void name_skipped(void *context, const char *user_id, const struct journal *journal)
{
    struct job_run *run = context;

    progress_end(&run->progress);
    skipped_log_user(&run->skipped, user_id, journal);
}

static void name_failed(void *context, const char *user_id, enum status status, const char *reason)
{
    struct job_run *run = context;

    progress_end(&run->progress);
    log_error("user not computed", LOG_STR("user", user_id), LOG_STR("status", status_name(status)),
              LOG_STR("reason", reason));
}

static void name_collection(void *context, const char *user_id, const struct dataset *dataset, enum collection_end end,
                            size_t bytes, const char *reason)
{
    struct job_run *run = context;

    (void)bytes;
    if (end == COLLECTION_TOO_LARGE)
        too_large_log_add(&run->too_large, dataset->section, user_id);
    if (end != COLLECTION_FAILED)
        return;
    progress_end(&run->progress);
    log_failed_collection(user_id, dataset, reason);
}

static void note_too_large(void *context, const char *user_id, const char *section)
{
    struct job_run *run = context;

    too_large_log_add(&run->too_large, section, user_id);
}

static enum status make_precompute(struct job_run *run, struct err *err)
{
    struct precompute_options options = *run->plan->compute;
    struct instant past;

    options.settings = run->settings;
    options.db = run->db;
    options.cache = run->cache;
    options.redis = run->redis;
    options.on_progress = show_progress;
    options.on_skipped = name_skipped;
    options.on_failed = name_failed;
    options.on_too_large = note_too_large;
    if (options.on_collection == NULL)
        options.on_collection = name_collection;
    options.context = run;
    options.stop = &stop;
    if (options.on_document == NULL && !clock_get_override(&past)) { /* lists are as of now only */
        enum status status = load_datasets(run->settings, &run->datasets, err);
        if (status != STATUS_OK)
            return status;
    }
    options.datasets = run->datasets;
    if (run->plan->choose != NULL)
        run->plan->choose(run->settings, &options);
    options.count_users = options.count_users && run->progress.terminal;
    return precompute_new(&options, &run->precompute, err);
}

enum status job_check_users(const struct cli_list *users, struct err *err)
{
    for (size_t i = 0; i < users->n; i++)
        if (!user_id_is_valid(users->values[i]))
            return err_fail(err, STATUS_INVALID,
                            "--user: an id must be 1 to %d bytes of UTF-8 without control characters", USER_ID_MAX);
    return STATUS_OK;
}

void job_log_users(const struct job_run *run, const char *message)
{
    const struct precompute_progress *done = precompute_progress(run->precompute);

    skipped_log_end(&run->skipped);
    too_large_log_end(&run->too_large, "users");
    log_info(message, LOG_STR("job", run->plan->name), LOG_INT("users", (int64_t)done->users_done),
             LOG_INT("failed", (int64_t)done->users_failed), LOG_INT("stored", (int64_t)done->documents_stored),
             LOG_INT("unchanged", (int64_t)done->documents_unchanged), LOG_INT("valid", (int64_t)done->documents_valid),
             LOG_INT("refused", (int64_t)done->documents_refused),
             LOG_INT("too_large", (int64_t)done->documents_too_large), LOG_INT("trades", (int64_t)done->trades),
             LOG_INT("collections", (int64_t)done->collections.computed),
             LOG_INT("collections_valid", (int64_t)done->collections.valid),
             LOG_INT("collections_too_large", (int64_t)done->collections.too_large),
             LOG_INT("collections_failed", (int64_t)done->collections.failed),
             LOG_INT("rows_left_out", (int64_t)done->skipped_rows),
             LOG_INT("requests_dropped", (int64_t)done->requests_dropped),
             LOG_INT("ms", progress_elapsed_ms(&run->progress)));
}

/* --- the frame ------------------------------------------------------------------------------------- */

static enum status open_run(struct job_run *run, struct err *err)
{
    enum status status;

    status = open_db(run->settings, true, run->settings->database_job_timeout_ms, &run->db, err);
    if (status == STATUS_OK)
        status = open_redis(run->settings, &run->redis, err);
    if (status == STATUS_OK)
        status = cache_new(run->settings, &run->cache, err);
    if (status == STATUS_OK && run->plan->compute != NULL)
        status = make_precompute(run, err);
    return status;
}

static void close_run(struct job_run *run)
{
    precompute_free(&run->precompute);
    dataset_set_release(&run->datasets);
    cache_free(&run->cache);
    redis_free(&run->redis);
    db_free(&run->db);
}

static enum status work(struct job_run *run, struct err *err)
{
    struct job_guard *guard = NULL;
    enum status status = STATUS_OK;

    if (run->plan->alone)
        status = job_guard_begin(run->settings, run->cache, run->plan->name, &stop, &guard, err);
    run->busy = status == STATUS_CONFLICT;
    if (status != STATUS_OK)
        return status;
    status = run->plan->work(run, err);
    progress_end(&run->progress);
    if (status == STATUS_OK)
        run->plan->log_result(run, atomic_load(&stop) ? "job stopped" : "job done");
    if (!job_guard_end(&guard)) /* whatever else happened after it */
        status = err_fail(err, STATUS_UNAVAILABLE, "the lock of job %s was lost, so it stopped", run->plan->name);
    return status;
}

/* Users who cannot be computed, or documents Redis refused, make the run a failure after all others are done. */
static bool left_something_out(const struct job_run *run)
{
    const struct precompute_progress *done;

    if (run->precompute == NULL)
        return run->in_doubt;
    done = precompute_progress(run->precompute);
    return done->users_failed > 0 || done->documents_refused > 0;
}

/* A run that was stopped, or left to another one, is neither. A failed one is counted where Redis is there to count it. */
static void count_run(const struct job_run *run, int exit_status)
{
    enum job_outcome outcome = exit_status == EXIT_DONE ? JOB_OUTCOME_DONE : JOB_OUTCOME_FAILED;
    int64_t took_ms = exit_status == EXIT_DONE ? progress_elapsed_ms(&run->progress) : -1;
    struct err err = {{0}};

    if (run->busy || stop_signal != 0 || run->cache == NULL)
        return;
    if (job_stats_add(run->cache, run->redis, run->plan->name, outcome, 1, took_ms, &err) != STATUS_OK)
        log_debug("job not counted", LOG_STR("reason", err.text));
}

int job_carry_out(const struct job_plan *plan, struct settings *settings)
{
    struct job_run run = {.plan = plan, .settings = settings};
    struct err err = {{0}};
    int exit_status = EXIT_DONE;
    enum status status;

    catch_signals();
    progress_begin(&run.progress, plan->name, plan->noun);
    status = open_run(&run, &err);
    if (status == STATUS_OK)
        status = work(&run, &err);
    if (status != STATUS_OK)
        exit_status = command_fail(status, &err);
    else if (stop_signal != 0)
        exit_status = 128 + stop_signal;
    else if (left_something_out(&run))
        exit_status = EXIT_FAILED;
    if (plan->counted)
        count_run(&run, exit_status);
    close_run(&run);
    return run.busy ? EXIT_BUSY : exit_status;
}

int job_command_run(const struct job_command *command, int argc, char *const *argv)
{
    struct settings *settings = NULL;
    struct err err = {{0}};
    int exit_status;

    if (!command_parse(command->command, command->usage, argc, argv, command->options, command->n_options,
                       &exit_status))
        return exit_status;
    if (command->check(command->request, &err) != STATUS_OK)
        return command_misused("%s", err.text);
    if (!command_load_settings(&settings, &exit_status))
        return exit_status;
    exit_status = command->run(command->request, settings);
    settings_free(&settings);
    return exit_status;
}

int job_carry_out_plain(const struct job_plan *plan, const char *usage, int argc, char *const *argv)
{
    struct settings *settings = NULL;
    char command[64];
    int exit_status;

    (void)snprintf(command, sizeof command, "pnlcache-worker job %s", plan->name);
    if (!command_parse(command, usage, argc, argv, NULL, 0, &exit_status))
        return exit_status;
    if (!command_load_settings(&settings, &exit_status))
        return exit_status;
    exit_status = settings->redis_enabled
                      ? job_carry_out(plan, settings)
                      : command_misused("REDIS_ENABLED=false leaves job %s nothing to do", plan->name);
    settings_free(&settings);
    return exit_status;
}
