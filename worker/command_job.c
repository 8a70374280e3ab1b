/* pnlcache-worker job NAME: scheduled jobs, one-shot and idempotent. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "jobs/precompute.h"
#include "lib/base/log.h"
#include "worker/command.h"
#include "worker/connections.h"
#include "worker/progress.h"
#include "worker/report_log.h"

#define USERS_NAMED_IN_LOG 20 /* users with left-out rows that get a line of their own */

static const char usage[] =
    "Usage: pnlcache-worker job precompute (--user ID)... | --active | --all  [--as-of TIME] [--print]\n\n"
    "Computes every precomputed analytics document and stores it in Redis.\n"
    "  --user ID      this user; may be given several times\n"
    "  --active       the users seen or changed within ACTIVE_WINDOW\n"
    "  --all          every user the views know\n"
    "  --as-of TIME   as if it were TIME (RFC 3339, in the past), for tests and audits: such documents are stored, "
    "but\n"
    "                 they are valid only until the trading day after TIME, so that nobody is served them as current\n"
    "  --print        print the documents, one line each: key, tab, body; nothing is stored\n"
    "\nExit status: 0 done; 1 failed, or some users could not be computed; 2 wrong command line or settings;\n"
    "128+N stopped by signal N (what was finished stays).\n";

/* --- stopping ------------------------------------------------------------------------------------ */

static atomic_bool stop;
static volatile sig_atomic_t stop_signal;

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

/* --- what the user asked for --------------------------------------------------------------------- */

struct job_request {
    struct cli_list users;
    bool active, all, print;
    const char *as_of;
};

static enum status check_request(const struct job_request *request, struct err *err)
{
    if ((request->users.n > 0) + request->active + request->all != 1)
        return err_fail(err, STATUS_INVALID, "job precompute needs one of --user ID, --active, --all");
    for (size_t i = 0; i < request->users.n; i++)
        if (!user_id_is_valid(request->users.values[i]))
            return err_fail(err, STATUS_INVALID,
                            "--user: an id must be 1 to %d bytes of UTF-8 without control characters", USER_ID_MAX);
    return STATUS_OK;
}

/* What is stored as of T expires at T + TTL, so it has done that already or would be served as current. */
static enum status turn_clock(const struct job_request *request, const struct settings *settings, struct err *err)
{
    struct instant as_of;

    if (request->as_of == NULL)
        return STATUS_OK;
    if (instant_parse(request->as_of, &as_of) != STATUS_OK)
        return err_fail(err, STATUS_INVALID, "--as-of '%s' is not a time like 2025-06-20T20:00:00Z", request->as_of);
    if (!request->print && as_of.us > clock_now().us)
        return err_fail(err, STATUS_INVALID,
                        "--as-of lies in the future: its documents would be served as current; use --print");
    if (!request->print && as_of.us > clock_now().us - settings->cache_ttl_analytics_s * US_PER_SECOND)
        return err_fail(err, STATUS_INVALID,
                        "--as-of is not more than CACHE_TTL_ANALYTICS ago: its documents would be served as current; "
                        "use --print");
    clock_set_override(as_of);
    return STATUS_OK;
}

/* --- the run -------------------------------------------------------------------------------------- */

struct job_run {
    const struct job_request *request;
    struct settings *settings;
    struct db *db;
    struct cache *cache;
    struct redis *redis;
    struct precompute *precompute;
    struct progress progress;
    size_t users_named;
};

static void show_progress(void *context, const struct precompute_progress *progress)
{
    struct job_run *run = context;

    progress_update(&run->progress, progress->users_done, progress->users_total);
}

static void name_skipped(void *context, const char *user_id, const struct journal *journal)
{
    struct job_run *run = context;

    if (run->users_named++ >= USERS_NAMED_IN_LOG)
        return;
    progress_end(&run->progress);
    log_skipped_rows(user_id, journal);
}

static void name_failed(void *context, const char *user_id, enum status status, const char *reason)
{
    struct job_run *run = context;

    progress_end(&run->progress);
    log_error("user not computed", LOG_STR("user", user_id), LOG_STR("status", status_name(status)),
              LOG_STR("reason", reason));
}

static void print_document(void *context, const char *key, const struct cache_body *body)
{
    (void)context;
    fputs(key, stdout);
    putchar('\t');
    (void)fwrite(body->bytes, 1, body->len, stdout);
    putchar('\n');
}

static enum status open_run(struct job_run *run, struct err *err)
{
    const struct job_request *request = run->request;
    enum status status;

    status = open_db(run->settings, true, run->settings->database_job_timeout_ms, &run->db, err);
    if (status == STATUS_OK)
        status = open_redis(run->settings, &run->redis, err);
    if (status == STATUS_OK)
        status = cache_new(run->settings, &run->cache, err);
    if (status == STATUS_OK)
        status = precompute_new(
            &(struct precompute_options){
                .settings = run->settings,
                .db = run->db,
                .cache = run->cache,
                .redis = run->redis,
                .on_progress = show_progress,
                .on_skipped = name_skipped,
                .on_failed = name_failed,
                .on_document = request->print ? print_document : NULL,
                .context = run,
                .count_users = request->all && run->progress.terminal,
                .overlapped = request->users.n == 0,
                .stop = &stop,
            },
            &run->precompute, err);
    return status;
}

static void close_run(struct job_run *run)
{
    precompute_free(&run->precompute);
    cache_free(&run->cache);
    redis_free(&run->redis);
    db_free(&run->db);
}

static enum status carry_out(struct job_run *run, struct err *err)
{
    const struct job_request *request = run->request;

    if (request->all)
        return precompute_all(run->precompute, err);
    if (request->active)
        return precompute_active(run->precompute, err);
    return precompute_users(run->precompute, request->users.n, request->users.values, err);
}

static void log_result(const struct job_run *run)
{
    const struct precompute_progress *done = precompute_progress(run->precompute);

    if (run->users_named > USERS_NAMED_IN_LOG)
        log_warn("rows left out of the analytics of more users",
                 LOG_INT("users", (int64_t)(run->users_named - USERS_NAMED_IN_LOG)));
    log_info(stop_signal != 0 ? "job stopped" : "job done", LOG_STR("job", "precompute"),
             LOG_INT("users", (int64_t)done->users_done), LOG_INT("failed", (int64_t)done->users_failed),
             LOG_INT("stored", (int64_t)done->documents_stored),
             LOG_INT("unchanged", (int64_t)done->documents_unchanged),
             LOG_INT("refused", (int64_t)done->documents_refused), LOG_INT("trades", (int64_t)done->trades),
             LOG_INT("rows_left_out", (int64_t)done->skipped_rows), LOG_INT("ms", progress_elapsed_ms(&run->progress)));
}

static int run_precompute(const struct job_request *request, struct settings *settings)
{
    struct job_run run = {.request = request, .settings = settings};
    struct err err = {{0}};
    int exit_status = EXIT_DONE;
    enum status status;

    progress_begin(&run.progress, "precompute", "users");
    status = open_run(&run, &err);
    if (status == STATUS_OK) {
        status = carry_out(&run, &err);
        progress_end(&run.progress);
        log_result(&run);
        if (precompute_progress(run.precompute)->users_failed > 0 ||
            precompute_progress(run.precompute)->documents_refused > 0)
            exit_status = EXIT_FAILED;
    }
    if (status != STATUS_OK)
        exit_status = command_fail(status, &err);
    else if (stop_signal != 0)
        exit_status = 128 + stop_signal;
    close_run(&run);
    return exit_status;
}

int command_job(int argc, char *const *argv)
{
    struct job_request request = {0};
    const struct cli_option options[] = {
        {"--user", CLI_LIST, {.list = &request.users}},  {"--active", CLI_FLAG, {.flag = &request.active}},
        {"--all", CLI_FLAG, {.flag = &request.all}},     {"--as-of", CLI_TEXT, {.text = &request.as_of}},
        {"--print", CLI_FLAG, {.flag = &request.print}},
    };
    struct settings *settings = NULL;
    struct err err = {{0}};
    int exit_status;

    if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
        fputs(usage, stdout);
        return EXIT_DONE;
    }
    if (argc == 0 || strcmp(argv[0], "precompute") != 0)
        return argc == 0 ? command_misused("no job named; there is: precompute")
                         : command_misused("unknown job '%s'; there is: precompute", argv[0]);
    if (!command_parse("pnlcache-worker job", usage, argc - 1, argv + 1, options, sizeof options / sizeof options[0],
                       &exit_status))
        goto out;
    if (check_request(&request, &err) != STATUS_OK) {
        exit_status = command_misused("%s", err.text);
        goto out;
    }
    if (!command_load_settings(&settings, &exit_status))
        goto out;
    if (turn_clock(&request, settings, &err) != STATUS_OK) {
        exit_status = command_misused("%s", err.text);
        goto out_settings;
    }
    catch_signals();
    if (request.as_of != NULL && !request.print)
        log_info("documents of a past time are stored, but never served as current", LOG_STR("as_of", request.as_of));
    exit_status = run_precompute(&request, settings);
out_settings:
    settings_free(&settings);
out:
    cli_list_release(&request.users);
    return exit_status;
}
