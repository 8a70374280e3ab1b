/* pnlcache-worker preload: what a user's login needs, ready in Redis. */
#include <stdio.h>

#include "jobs/wanted.h"
#include "lib/base/log.h"
#include "lib/store/job_stream.h"
#include "worker/job.h"

static const char usage[] =
    "Usage: pnlcache-worker preload (--user ID)...\n\n"
    "Computes, in one snapshot of the database, what is not valid of the user's analytics and of the whole lists that datasets\n"
    "have (`collection`), and keeps both fresh from then on as if the user had just asked for them. Prints a line for each list:\n"
    "its name, what became of it (computed, valid, too large, failed), and bytes.\n"
    "  --user ID      this user; may be given several times\n" JOB_EXIT_STATUS_HELP;

static void print_collection(void *context, const char *user_id, const struct dataset *dataset, enum collection_end end,
                             size_t bytes, const char *reason)
{
    static const char *const words[] = {[COLLECTION_VALID] = "valid",
                                        [COLLECTION_COMPUTED] = "computed",
                                        [COLLECTION_TOO_LARGE] = "too large",
                                        [COLLECTION_FAILED] = "failed"};

    (void)context;
    printf("%s\t%s\t%s", user_id, dataset->name, words[end]);
    if (end == COLLECTION_COMPUTED)
        printf("\t%zu", bytes);
    if (reason != NULL)
        printf("\t%s", reason);
    putchar('\n');
}

/* From now on the scheduled jobs do it. */
static enum status keep_fresh(struct job_run *run, const char *user_id, struct err *err)
{
    enum status status =
        wanted_note_all_collections(run->cache, run->redis, run->settings, run->datasets, user_id, err);

    return status == STATUS_OK ? active_users_touch(run->cache, run->redis, user_id, err) : status;
}

static enum status carry_out(struct job_run *run, struct err *err)
{
    const struct cli_list *users = run->plan->context;
    enum status status = precompute_users(run->precompute, users->n, users->values, err);

    for (size_t i = 0; i < users->n && status == STATUS_OK; i++)
        status = keep_fresh(run, users->values[i], err);
    if (status == STATUS_OK && precompute_progress(run->precompute)->collections.failed > 0)
        status = err_fail(err, STATUS_INTERNAL, "not every list could be computed");
    return status;
}

int command_preload(int argc, char *const *argv)
{
    static const struct precompute_options compute = {
        .only_invalid = true, .all_collections = true, .on_collection = print_collection};
    struct cli_list users = {0};
    const struct cli_option options[] = {{"--user", CLI_LIST, {.list = &users}}};
    const struct job_plan plan = {.name = "preload",
                                  .noun = "users",
                                  .work = carry_out,
                                  .log_result = job_log_users,
                                  .context = &users,
                                  .compute = &compute};
    struct settings *settings = NULL;
    struct err err = {{0}};
    int exit_status;

    if (!command_parse("pnlcache-worker preload", usage, argc, argv, options, 1, &exit_status))
        goto out;
    if (users.n == 0)
        exit_status = command_misused("preload takes --user ID");
    else if (job_check_users(&users, &err) != STATUS_OK)
        exit_status = command_misused("%s", err.text);
    else if (command_load_settings(&settings, &exit_status))
        exit_status = job_carry_out(&plan, settings);
    settings_free(&settings);
out:
    cli_list_release(&users);
    return exit_status;
}
