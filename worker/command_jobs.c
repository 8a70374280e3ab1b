/* pnlcache-worker jobs: the queue, for people and for monitoring. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/job_stream.h"
#include "lib/store/outbox.h"
#include "worker/command.h"
#include "worker/connections.h"

static const char usage[] =
    "Usage: pnlcache-worker jobs [list [--dead] | retry (ID | --all) | drop (ID | --all)]\n\n"
    "Without a word: the state of the queue, one 'name value' a line:\n"
    "  depth                 jobs not yet finished\n"
    "  in_flight             of these, taken by a worker\n"
    "  retrying              of these, failed and waiting for their next attempt\n"
    "  oldest_age_ms         age of the oldest unfinished job\n"
    "  dead                  jobs given up (stream jobs:dead)\n"
    "  depth_KIND            of depth, jobs of that kind\n"
    "  outbox_depth          changes not yet carried out (pnlcache.change_log)\n"
    "  outbox_oldest_age_ms  age of the oldest of them\n"
    "  list                  every unfinished job on a line: state, kind, user, failed attempts, age, cause, error\n"
    "  list --dead           the dead letters; the first column is the ID\n"
    "  retry                 puts a dead letter, or all of them, back into the queue, with all attempts before it\n"
    "  drop                  deletes a dead letter, or all of them\n"
    "\nExit status: 0 done; 1 failed, or there is no such letter; 2 wrong command line or settings.\n";

/* What the words after `jobs` ask for. */
enum action { SHOW, LIST, RETRY, DROP };
struct request {
    enum action action;
    bool dead, all;
    const char *id;
};

struct queue {
    struct settings *settings;
    struct cache *cache;
    struct redis *redis;
};

/* --- the state ------------------------------------------------------------------------------------- */

static void print_number(const char *name, int64_t value)
{
    printf("%s %lld\n", name, (long long)value);
}

static enum status show_outbox(const struct queue *q, struct err *err)
{
    struct outbox_state state;
    struct db *db = NULL;
    enum status status = open_db(q->settings, true, q->settings->database_timeout_ms, &db, err);

    if (status == STATUS_OK)
        status = outbox_inspect(db, &state, err);
    db_free(&db);
    if (status != STATUS_OK)
        return status;
    print_number("outbox_depth", state.depth);
    print_number("outbox_oldest_age_ms", state.oldest_age_ms);
    return STATUS_OK;
}

/* The outbox last: what is known of the queue is told even when PostgreSQL is away. */
static enum status show(const struct queue *q, struct err *err)
{
    struct job_stream_state state;
    enum status status = job_stream_inspect(q->cache, q->redis, &state, err);

    if (status != STATUS_OK)
        return status;
    print_number("depth", state.depth);
    print_number("in_flight", state.in_flight);
    print_number("retrying", state.retrying);
    print_number("oldest_age_ms", state.oldest_age_ms);
    print_number("dead", state.dead);
    for (size_t i = 0; i < state.n_kinds; i++)
        printf("depth_%s %lld\n", state.kinds[i].name, (long long)state.kinds[i].jobs);
    return show_outbox(q, err);
}

/* --- lists ----------------------------------------------------------------------------------------- */

static double seconds_since(int64_t ms)
{
    int64_t age_ms = clock_now().us / 1000 - ms;

    return age_ms > 0 ? (double)age_ms / 1000 : 0;
}

/* Texts come from Redis: nothing in them may move a terminal's cursor or break the line. */
static void print_text(const char *text)
{
    for (; *text != '\0'; text++)
        putchar((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

static void print_entry(void *context, const struct job_entry *e)
{
    static const char *const states[] = {
        [JOB_QUEUED] = "queued", [JOB_IN_FLIGHT] = "in flight", [JOB_RETRYING] = "retrying"};

    (void)context;
    printf("%-20s ", e->place == JOB_DEAD ? e->dead_id : states[e->place]);
    printf("%-10s ", e->job.kind);
    print_text(e->job.user_id);
    printf("  attempts %lld  age %.1f s  cause: ", (long long)e->job.attempts, seconds_since(e->job.born_ms));
    print_text(e->job.reason);
    if (e->place == JOB_IN_FLIGHT) {
        printf("  worker: ");
        print_text(e->consumer);
    }
    if (e->error[0] != '\0') {
        printf("  error: ");
        print_text(e->error);
    }
    putchar('\n');
}

/* --- dead letters ---------------------------------------------------------------------------------- */

struct ids {
    size_t n, cap;
    char (*ids)[sizeof(((struct job_entry *)NULL)->dead_id)];
    bool failed;
};

static void note_id(void *context, const struct job_entry *e)
{
    struct ids *ids = context;

    if (ids->n == ids->cap) {
        size_t cap = ids->cap == 0 ? 64 : 2 * ids->cap;
        void *grown = realloc(ids->ids, cap * sizeof *ids->ids);

        ids->failed = ids->failed || grown == NULL;
        if (grown == NULL)
            return;
        ids->ids = grown;
        ids->cap = cap;
    }
    memcpy(ids->ids[ids->n++], e->dead_id, sizeof e->dead_id);
}

static enum status settle_letter(const struct queue *q, const struct request *r, const char *id, struct err *err)
{
    return r->action == RETRY ? job_dead_retry(q->cache, q->redis, id, err)
                              : job_dead_drop(q->cache, q->redis, id, err);
}

/* One that is no job cannot be retried: it is named and left. One that is gone meanwhile is nobody's loss. */
static enum status settle_all(const struct queue *q, const struct request *r, struct err *err)
{
    struct ids ids = {.n = 0};
    enum status status = job_stream_visit(q->cache, q->redis, true, note_id, &ids, err);
    size_t done = 0;

    if (status == STATUS_OK && ids.failed)
        status = err_fail(err, STATUS_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < ids.n && status == STATUS_OK; i++) {
        status = settle_letter(q, r, ids.ids[i], err);
        done += status == STATUS_OK;
        if (status == STATUS_INTERNAL)
            fprintf(stderr, "pnlcache-worker: %s\n", err->text);
        if (status == STATUS_INTERNAL || status == STATUS_NOT_FOUND)
            status = STATUS_OK;
    }
    free(ids.ids);
    if (status == STATUS_OK)
        printf("%zu %s\n", done, r->action == RETRY ? "queued again" : "dropped");
    return status;
}

static enum status settle(const struct queue *q, const struct request *r, struct err *err)
{
    enum status status = r->all ? settle_all(q, r, err) : settle_letter(q, r, r->id, err);

    if (status == STATUS_OK && !r->all)
        printf("%s %s\n", r->id, r->action == RETRY ? "queued again" : "dropped");
    return status;
}

/* --- the command ------------------------------------------------------------------------------------ */

/* The word, and for retry and drop the id, are taken off the front; *ret_taken: how many words. */
static enum status read_words(int argc, char *const *argv, struct request *r, int *ret_taken, struct err *err)
{
    static const char *const words[] = {[LIST] = "list", [RETRY] = "retry", [DROP] = "drop"};

    *ret_taken = 0;
    if (argc == 0 || argv[0][0] == '-')
        return STATUS_OK;
    for (size_t i = LIST; i <= DROP; i++)
        if (strcmp(argv[0], words[i]) == 0)
            r->action = (enum action)i;
    if (r->action == SHOW)
        return err_fail(err, STATUS_INVALID, "unknown word '%s'; see 'pnlcache-worker jobs --help'", argv[0]);
    *ret_taken = 1;
    if (r->action != LIST && argc > 1 && argv[1][0] != '-') {
        r->id = argv[1];
        *ret_taken = 2;
    }
    return STATUS_OK;
}

static bool parse(int argc, char *const *argv, struct request *r, int *ret_exit)
{
    const struct cli_option dead = {"--dead", CLI_FLAG, {.flag = &r->dead}},
                            all = {"--all", CLI_FLAG, {.flag = &r->all}};
    struct err err = {{0}};
    bool settles;
    int taken;

    if (read_words(argc, argv, r, &taken, &err) != STATUS_OK) {
        *ret_exit = command_misused("%s", err.text);
        return false;
    }
    settles = r->action == RETRY || r->action == DROP;
    if (!command_parse("pnlcache-worker jobs", usage, argc - taken, argv + taken, settles ? &all : &dead,
                       r->action != SHOW, ret_exit))
        return false;
    if (settles && (r->id != NULL) == r->all) {
        *ret_exit = command_misused("jobs %s needs the ID of a dead letter, or --all", argv[0]);
        return false;
    }
    return true;
}

static enum status act(const struct queue *q, const struct request *r, struct err *err)
{
    switch (r->action) {
    case SHOW: return show(q, err);
    case LIST: return job_stream_visit(q->cache, q->redis, r->dead, print_entry, NULL, err);
    default: return settle(q, r, err);
    }
}

int command_jobs(int argc, char *const *argv)
{
    struct request request = {.action = SHOW};
    struct queue q = {.redis = NULL};
    struct err err = {{0}};
    enum status status;
    int exit_status;

    if (!parse(argc, argv, &request, &exit_status) || !command_load_settings(&q.settings, &exit_status))
        return exit_status;
    status = cache_new(q.settings, &q.cache, &err);
    if (status == STATUS_OK)
        status = open_redis(q.settings, &q.redis, &err);
    if (status == STATUS_OK)
        status = act(&q, &request, &err);
    redis_free(&q.redis);
    cache_free(&q.cache);
    settings_free(&q.settings);
    return status == STATUS_OK ? EXIT_DONE : command_fail(status, &err);
}
