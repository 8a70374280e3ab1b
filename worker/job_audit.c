/* pnlcache-worker audit: would what is cached be computed again? */
#include <inttypes.h>
#include <stdio.h>

#include "jobs/audit.h"
#include "lib/base/log.h"
#include "lib/base/parse_number.h"
#include "lib/base/text.h"
#include "lib/store/job_stream.h"
#include "worker/dataset_load.h"
#include "worker/job.h"

#define DEFAULT_SAMPLE 100
#define MAX_SAMPLE 1000000

static const char usage[] =
    "Usage: pnlcache-worker audit [--sample N] [(--user ID)...] [--seed N] [--print] [--keep]\n\n"
    "Computes a random sample of the cached documents once more, each as of the moment it was computed for, and of the whole\n"
    "lists of datasets, and compares their data. What has changed meanwhile does not count; what is wrong is invalidated and\n"
    "computed anew. 'job audit' is the same.\n"
    "  --sample N     compare up to N documents; 100\n"
    "  --user ID      of this user instead of those seen within ACTIVE_WINDOW; may be given several times\n"
    "  --seed N       choose as the run did that logged this seed\n"
    "  --print        print what differs: key, tab, stored body, tab, body it should be\n"
    "  --keep         leave what is wrong in the cache, to look at it\n"
    "\nExit status: 0 nothing differs; 1 something does, or a server failed; 2 wrong command line or settings;\n"
    "128+N stopped by signal N.\n";

struct audit_request {
    struct cli_list users;
    const char *sample_text, *seed_text;
    bool print, keep;
    int64_t sample, seed;
    struct audit_counts counts;
};

static enum status check_request(void *context, struct err *err)
{
    struct audit_request *request = context;

    request->sample = DEFAULT_SAMPLE;
    request->seed = clock_now().us;
    if (request->sample_text != NULL && parse_int64(request->sample_text, 1, MAX_SAMPLE, &request->sample) != STATUS_OK)
        return err_fail(err, STATUS_INVALID, "--sample '%s' is not a whole number from 1 to %d", request->sample_text,
                        MAX_SAMPLE);
    if (request->seed_text != NULL && parse_int64(request->seed_text, 0, INT64_MAX, &request->seed) != STATUS_OK)
        return err_fail(err, STATUS_INVALID, "--seed '%s' is not a whole number", request->seed_text);
    return job_check_users(&request->users, err);
}

static void show_progress(void *context, size_t done, size_t total)
{
    struct job_run *run = context;

    progress_update(&run->progress, done, total);
}

static void tell_mismatch(void *context, const struct audit_mismatch *m)
{
    struct job_run *run = context;
    const struct audit_request *request = run->plan->context;
    char as_of[INSTANT_TEXT_SIZE], computed_at[INSTANT_TEXT_SIZE];

    instant_format(m->as_of, as_of);
    instant_format(m->header->computed_at, computed_at);
    progress_end(&run->progress);
    log_error("a cached document is wrong", LOG_STR("user", m->user_id), LOG_STR("key", m->key),
              LOG_STR("etag", m->header->etag), LOG_STR("as_of", as_of), LOG_STR("computed_at", computed_at),
              LOG_INT("differs_at", (int64_t)m->at), LOG_INT("length", (int64_t)m->stored_len),
              LOG_INT("expected_length", (int64_t)m->expected_len));
    if (request->print)
        printf("%s\t%.*s\t%.*s\n", m->key, (int)m->stored_len, m->stored, (int)m->expected_len, m->expected);
}

static void tell_failed(void *context, const char *user_id, const char *key, const char *reason)
{
    struct job_run *run = context;

    progress_end(&run->progress);
    log_error("document not audited", LOG_STR("user", user_id), LOG_STR("key", key), LOG_STR("reason", reason));
}

static enum status audit_these(struct job_run *run, size_t n, const char *const *user_ids, struct err *err)
{
    struct audit_request *request = run->plan->context;
    struct audit_options options = {
        .settings = run->settings,
        .db = run->db,
        .cache = run->cache,
        .redis = run->redis,
        .datasets = run->datasets,
        .sample = (size_t)request->sample,
        .seed = (uint64_t)request->seed,
        .keep = request->keep,
        .n_users = n,
        .user_ids = user_ids,
        .on_progress = show_progress,
        .on_mismatch = tell_mismatch,
        .on_failed = tell_failed,
        .context = run,
        .stop = job_stop_flag(),
    };
    struct err not_recorded = {{0}};
    enum status status = audit_run(&options, &request->counts, err);

    if (audit_record(run->cache, run->redis, &request->counts, &not_recorded) != STATUS_OK)
        log_warn("the audit's counts are not recorded", LOG_STR("error", not_recorded.text));
    run->in_doubt = request->counts.mismatched + request->counts.failed > 0;
    return status;
}

static enum status work(struct job_run *run, struct err *err)
{
    const struct audit_request *request = run->plan->context;
    enum status status;
    char **ids = NULL;
    size_t n = 0;

    status = load_datasets(run->settings, &run->datasets, err);
    if (status != STATUS_OK)
        return status;
    if (request->users.n > 0)
        return audit_these(run, request->users.n, request->users.values, err);
    status = active_users_list(run->cache, run->redis, run->settings->active_window_s, ACTIVE_USERS_MAX, &ids, &n, err);
    if (status == STATUS_OK)
        status = audit_these(run, n, (const char *const *)ids, err);
    text_array_free(ids, n);
    return status;
}

static void log_result(const struct job_run *run, const char *message)
{
    const struct audit_request *request = run->plan->context;
    const struct audit_counts *c = &request->counts;

    log_info(message, LOG_STR("job", "audit"), LOG_INT("checked", (int64_t)c->checked),
             LOG_INT("mismatched", (int64_t)c->mismatched), LOG_INT("changed", (int64_t)c->changed),
             LOG_INT("pending", (int64_t)c->pending), LOG_INT("failed", (int64_t)c->failed),
             LOG_INT("users", (int64_t)c->users), LOG_INT("seed", request->seed),
             LOG_INT("ms", progress_elapsed_ms(&run->progress)));
}

static int run_audit(void *context, struct settings *settings)
{
    struct audit_request *request = context;
    struct job_plan plan = {.name = "audit",
                            .noun = "documents",
                            .work = work,
                            .log_result = log_result,
                            .context = request,
                            .counted = request->users.n == 0};

    if (!settings->redis_enabled)
        return command_misused("REDIS_ENABLED=false leaves nothing to audit");
    return job_carry_out(&plan, settings);
}

int job_audit(int argc, char *const *argv)
{
    struct audit_request request = {.print = false};
    const struct cli_option options[] = {
        {"--sample", CLI_TEXT, {.text = &request.sample_text}}, {"--user", CLI_LIST, {.list = &request.users}},
        {"--seed", CLI_TEXT, {.text = &request.seed_text}},     {"--print", CLI_FLAG, {.flag = &request.print}},
        {"--keep", CLI_FLAG, {.flag = &request.keep}},
    };
    const struct job_command command = {.command = "pnlcache-worker audit",
                                        .usage = usage,
                                        .options = options,
                                        .n_options = sizeof options / sizeof options[0],
                                        .request = &request,
                                        .check = check_request,
                                        .run = run_audit};
    int exit_status = job_command_run(&command, argc, argv);

    cli_list_release(&request.users);
    return exit_status;
}
