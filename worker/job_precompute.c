/* pnlcache-worker job precompute: every precomputed document of some users. */
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "worker/job.h"

#define EVERY_S 600 /* how often the schedule runs it */
#define LATE_S 210  /* for the next run to come late and take its time */

static const char usage[] =
    "Usage: pnlcache-worker job precompute [(--user ID)... | --active | --all]  [--as-of TIME] [--print]\n\n"
    "Computes every precomputed analytics document and stores it in Redis.\n"
    "  --user ID      this user; may be given several times\n"
    "  --active       the users seen or changed within ACTIVE_WINDOW; the default. Where CACHE_TTL_ANALYTICS is 1567 s or more,\n"
    "                 documents that are still good at the next run, ten minutes later, are left alone\n"
    "  --all          every user the views know\n"
    "  --as-of TIME   as if it were TIME (RFC 3339, in the past), for tests and audits: such documents are stored, "
    "but\n"
    "                 they are valid only until the trading day after TIME, so that nobody is served them as current\n"
    "  --print        print the documents, one line each: key, tab, body; nothing is stored\n"
    "With --active or --all only one such run is at work at a time, on all machines.\n" JOB_EXIT_STATUS_HELP;

/* --- what the user asked for --------------------------------------------------------------------- */

struct job_request {
    struct cli_list users;
    bool active, all, print;
    const char *as_of;
};

static enum status check_request(void *context, struct err *err)
{
    const struct job_request *request = context;

    if ((request->users.n > 0) + request->active + request->all > 1)
        return err_fail(err, STATUS_INVALID, "job precompute takes one of --user ID, --active, --all");
    return job_check_users(&request->users, err);
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

static void print_document(void *context, const char *key, const struct cache_body *body)
{
    (void)context;
    fputs(key, stdout);
    putchar('\t');
    (void)fwrite(body->bytes, 1, body->len, stdout);
    putchar('\n');
}

static enum status carry_out(struct job_run *run, struct err *err)
{
    const struct job_request *request = run->plan->context;

    if (request->all)
        return precompute_all(run->precompute, err);
    if (request->users.n > 0)
        return precompute_users(run->precompute, request->users.n, request->users.values, err);
    return precompute_active(run->precompute, err);
}

/* Looking at a document costs a part of computing it. So it is done only where what the run before has stored, which lives for at least
 * nine tenths of its TTL, may last until after the next one. */
static bool leaves_valid_alone(const struct job_request *request, const struct settings *settings)
{
    return request->users.n == 0 && !request->all && request->as_of == NULL &&
           settings->cache_ttl_analytics_s * 9 / 10 >= EVERY_S + EVERY_S + LATE_S;
}

static int run_precompute(void *context, struct settings *settings)
{
    struct job_request *request = context;
    struct precompute_options options = {
        .on_document = request->print ? print_document : NULL,
        .count_users = request->all,
        .overlapped = request->users.n == 0,
        .without_short_lived = request->users.n == 0,
        .only_invalid = leaves_valid_alone(request, settings),
        .valid_for_s = EVERY_S + LATE_S,
    };
    struct job_plan plan = {
        .name = "precompute",
        .noun = "users",
        .work = carry_out,
        .log_result = job_log_users,
        .context = request,
        .alone = request->users.n == 0 && !request->print,
        .counted = request->users.n == 0 && !request->print,
        .compute = &options,
    };
    struct err err = {{0}};

    if (turn_clock(request, settings, &err) != STATUS_OK)
        return command_misused("%s", err.text);
    if (request->as_of != NULL && !request->print)
        log_info("documents of a past time are stored, but never served as current", LOG_STR("as_of", request->as_of));
    return job_carry_out(&plan, settings);
}

int job_precompute(int argc, char *const *argv)
{
    struct job_request request = {0};
    const struct cli_option options[] = {
        {"--user", CLI_LIST, {.list = &request.users}},  {"--active", CLI_FLAG, {.flag = &request.active}},
        {"--all", CLI_FLAG, {.flag = &request.all}},     {"--as-of", CLI_TEXT, {.text = &request.as_of}},
        {"--print", CLI_FLAG, {.flag = &request.print}},
    };
    const struct job_command command = {.command = "pnlcache-worker job precompute",
                                        .usage = usage,
                                        .options = options,
                                        .n_options = sizeof options / sizeof options[0],
                                        .request = &request,
                                        .check = check_request,
                                        .run = run_precompute};
    int exit_status = job_command_run(&command, argc, argv);

    cli_list_release(&request.users);
    return exit_status;
}
