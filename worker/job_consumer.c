#include "worker/job_consumer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/precompute.h"
#include "lib/base/log.h"
#include "lib/store/job_stream.h"
#include "worker/connections.h"
#include "worker/outage.h"
#include "worker/report_log.h"

#define TAKE_MAX 4 /* few, so that idle threads and workers get their share */
#define WAITING_MAX 64
#define BLOCK_MAX_MS 400
#define TURN_WAIT_MIN_MS 5
#define TURN_WAIT_MAX_MS 200
#define TURN_TTL_MS 10000 /* of the lock: what a dead worker costs its user; a longer computation merely loses it */
#define RETRY_WAIT_MS 100
#define HEARTBEAT_MS 1000

struct waiting_job {
    struct job job;
    int failures; /* computations that failed */
    int turns;    /* times somebody else was at it */
    int64_t due_ms;
};

struct user_failure {
    bool happened;
    enum status status;
    char reason[512];
};

struct consumer {
    struct generation *generation;
    heartbeat *beat;
    char name[128];
    struct db *db;
    struct redis *redis;
    struct precompute *precompute;
    struct user_failure failure; /* of the user in work */
    size_t n_waiting;
    struct waiting_job waiting[WAITING_MAX];
    int64_t heartbeat_ms;
    bool prepared; /* stream and group exist, as far as we know */
};

/* --- the user's turn --------------------------------------------------------------------------------- */

struct turn {
    struct buf key;
    int64_t taken_ms, ttl_ms;
};

static void turn_init(struct turn *turn, const struct consumer *c, const char *user_id)
{
    buf_init(&turn->key);
    cache_append_prefix(c->generation->cache, &turn->key);
    buf_append_string(&turn->key, "lock:job:{");
    cache_append_user(&turn->key, user_id);
    buf_append_char(&turn->key, '}');
    turn->ttl_ms = c->generation->settings->job_timeout_s * 2000;
    if (turn->ttl_ms > TURN_TTL_MS)
        turn->ttl_ms = TURN_TTL_MS;
}

/* STATUS_CONFLICT: somebody else works on this user. */
static enum status turn_take(struct turn *turn, const struct consumer *c, struct err *err)
{
    const struct redis_reply *reply;
    char ttl[24];
    enum status status = buf_status(&turn->key);

    if (status != STATUS_OK)
        return status;
    (void)snprintf(ttl, sizeof ttl, "%lld", (long long)turn->ttl_ms);
    turn->taken_ms = clock_monotonic_ms();
    status = redis_command(c->redis, &reply, err, "SET", turn->key.data, c->name, "NX", "PX", ttl, NULL);
    if (status == STATUS_LIMIT)
        return STATUS_OK; /* Redis is full: better done twice than not at all */
    if (status == STATUS_OK && redis_reply_type_of(reply) == REDIS_NIL)
        status = STATUS_CONFLICT;
    return status;
}

/* Deleted only while it cannot have run out, so it is surely still ours. */
static void turn_give_back(struct turn *turn, const struct consumer *c)
{
    const struct redis_reply *reply;

    if (clock_monotonic_ms() - turn->taken_ms < turn->ttl_ms / 2 &&
        redis_command(c->redis, &reply, NULL, "DEL", turn->key.data, NULL) != STATUS_OK)
        log_debug("lock left to run out", LOG_STR("key", turn->key.data));
}

/* --- computing --------------------------------------------------------------------------------------- */

static void note_failure(void *context, const char *user_id, enum status status, const char *reason)
{
    struct consumer *c = context;

    (void)user_id;
    c->failure.happened = true;
    c->failure.status = status;
    (void)snprintf(c->failure.reason, sizeof c->failure.reason, "%s", reason);
}

static void name_skipped(void *context, const char *user_id, const struct journal *journal)
{
    (void)context;
    log_skipped_rows(user_id, journal);
}

static enum status compute(struct consumer *c, const char *user_id, struct err *err)
{
    enum status status;

    c->failure.happened = false;
    status = precompute_users(c->precompute, 1, &user_id, err);
    if (status == STATUS_OK && c->failure.happened)
        return err_fail(err, c->failure.status, "%s", c->failure.reason);
    return status;
}

/* --- the ends of a job ------------------------------------------------------------------------------- */

static void bury(struct consumer *c, const struct job *job, const char *reason)
{
    struct err err = {{0}};

    log_error("job given up", LOG_STR("id", job->id), LOG_STR("user", job->user_id), LOG_STR("cause", job->reason),
              LOG_INT("attempts", job->attempts), LOG_STR("reason", reason));
    atomic_fetch_add(&c->generation->counters.jobs_buried, 1);
    if (job_stream_bury(c->generation->cache, c->redis, job, reason, &err) != STATUS_OK)
        log_warn("job could not be moved to jobs:dead, it will come again", LOG_STR("id", job->id),
                 LOG_STR("reason", err.text));
}

/* Back into the stream as a new job, for any worker. When even that fails it stays with its consumer, and
 * another worker takes it over after the claim time. */
static void put_back(struct consumer *c, const struct job *job)
{
    struct cache *cache = c->generation->cache;

    if (job_stream_add(cache, c->redis, job->kind, job->user_id, job->reason, NULL) != STATUS_OK ||
        job_stream_finish(cache, c->redis, job, NULL) != STATUS_OK)
        log_debug("job left for another worker", LOG_STR("id", job->id));
}

static void wait_again(struct consumer *c, const struct waiting_job *job, int64_t wait_ms)
{
    if (c->n_waiting == WAITING_MAX) {
        put_back(c, &job->job);
        return;
    }
    c->waiting[c->n_waiting] = *job;
    c->waiting[c->n_waiting++].due_ms = clock_monotonic_ms() + wait_ms;
}

static void wait_for_turn(struct consumer *c, struct waiting_job *waiting)
{
    int64_t wait_ms = TURN_WAIT_MIN_MS << (waiting->turns < 6 ? waiting->turns : 6);

    waiting->turns++;
    wait_again(c, waiting, wait_ms < TURN_WAIT_MAX_MS ? wait_ms : TURN_WAIT_MAX_MS);
}

static void finish(struct consumer *c, const struct job *job)
{
    struct err err = {{0}};

    atomic_fetch_add(&c->generation->counters.jobs_done, 1);
    if (job_stream_finish(c->generation->cache, c->redis, job, &err) != STATUS_OK)
        log_debug("finished job will come again", LOG_STR("id", job->id), LOG_STR("reason", err.text));
}

/* The computation that just succeeded began after these were taken, so it has done them too. */
static void finish_waiting_of(struct consumer *c, const char *user_id)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->n_waiting; i++) {
        if (strcmp(c->waiting[i].job.user_id, user_id) == 0)
            finish(c, &c->waiting[i].job);
        else
            c->waiting[kept++] = c->waiting[i];
    }
    c->n_waiting = kept;
}

/* STATUS_UNAVAILABLE: a server is away; the job was put back. */
static enum status job_failed(struct consumer *c, struct waiting_job *waiting, enum status status, struct err *err)
{
    const struct settings *settings = c->generation->settings;
    const struct job *job = &waiting->job;

    atomic_fetch_add(&c->generation->counters.jobs_failed, 1);
    if (status == STATUS_UNAVAILABLE) {
        put_back(c, job);
        return status;
    }
    waiting->failures++;
    waiting->turns = 0;
    if (!status_is_transient(status) || waiting->failures >= settings->job_attempts) {
        bury(c, job, err->text);
        return STATUS_OK;
    }
    log_warn("job failed, trying again", LOG_STR("id", job->id), LOG_STR("user", job->user_id),
             LOG_INT("failures", waiting->failures), LOG_STR("reason", err->text));
    wait_again(c, waiting, RETRY_WAIT_MS << (waiting->failures < 8 ? waiting->failures : 8));
    return STATUS_OK;
}

static enum status work_on(struct consumer *c, struct waiting_job *waiting, struct err *err)
{
    const struct job *job = &waiting->job;
    int64_t began_us = clock_monotonic_us();
    struct turn turn;
    enum status status;

    turn_init(&turn, c, job->user_id);
    status = turn_take(&turn, c, err);
    if (status == STATUS_CONFLICT) {
        wait_for_turn(c, waiting);
        status = STATUS_OK;
        goto out;
    }
    if (status == STATUS_OK) {
        status = compute(c, job->user_id, err);
        turn_give_back(&turn, c);
    }
    if (status != STATUS_OK) {
        status = job_failed(c, waiting, status, err);
        goto out;
    }
    finish(c, job);
    finish_waiting_of(c, job->user_id);
    log_debug("job done", LOG_STR("id", job->id), LOG_STR("user", job->user_id), LOG_STR("cause", job->reason),
              LOG_INT("us", clock_monotonic_us() - began_us));
    /* A change is a sign of life too: scheduled jobs keep such users fresh. */
    if (active_users_touch(c->generation->cache, c->redis, job->user_id, NULL) != STATUS_OK)
        log_debug("activity not noted", LOG_STR("user", job->user_id));
out:
    buf_release(&turn.key);
    return status;
}

/* A job as it comes from the stream. */
static enum status accept(struct consumer *c, const struct job *job, struct err *err)
{
    if (strcmp(job->kind, "analytics") != 0 || !user_id_is_valid(job->user_id)) {
        bury(c, job, "unknown kind of job or unusable user id");
        return STATUS_OK;
    }
    if (job->attempts > c->generation->settings->job_attempts) {
        bury(c, job, "taken too often without an end: its workers died or were too slow");
        return STATUS_OK;
    }
    return work_on(c, &(struct waiting_job){.job = *job}, err);
}

/* --- the loop ---------------------------------------------------------------------------------------- */

/* The waiting jobs that are due; *ret_next_ms: until the next one is. */
static enum status work_on_waiting(struct consumer *c, int64_t *ret_next_ms, struct err *err)
{
    enum status status = STATUS_OK;
    int64_t now_ms = clock_monotonic_ms();

    /* Backwards, because a job that has to wait again goes to the end. */
    for (size_t i = c->n_waiting; i-- > 0 && status == STATUS_OK;) {
        struct waiting_job due;

        if (i >= c->n_waiting || c->waiting[i].due_ms > now_ms)
            continue;
        due = c->waiting[i];
        c->waiting[i] = c->waiting[--c->n_waiting];
        status = work_on(c, &due, err);
    }
    *ret_next_ms = BLOCK_MAX_MS;
    now_ms = clock_monotonic_ms();
    for (size_t i = 0; i < c->n_waiting; i++)
        if (c->waiting[i].due_ms - now_ms < *ret_next_ms)
            *ret_next_ms = c->waiting[i].due_ms - now_ms;
    if (*ret_next_ms < 1)
        *ret_next_ms = 1;
    return status;
}

static enum status take_and_work(struct consumer *c, struct err *err)
{
    const struct settings *settings = c->generation->settings;
    struct job jobs[TAKE_MAX];
    enum status status;
    int64_t block_ms;
    size_t n, i;

    status = work_on_waiting(c, &block_ms, err);
    if (status != STATUS_OK)
        return status;
    if (block_ms > settings->redis_timeout_ms / 2)
        block_ms = settings->redis_timeout_ms / 2;
    status = job_stream_take(c->generation->cache, c->redis, c->name, settings->job_timeout_s * 2000, block_ms, jobs,
                             c->n_waiting < WAITING_MAX / 2 ? TAKE_MAX : 1, &n, err);
    if (status != STATUS_OK) {
        c->prepared = false; /* a restarted Redis has neither stream nor group */
        return status;
    }
    for (i = 0; i < n && status == STATUS_OK; i++) {
        heartbeat_beat(c->beat);
        status = accept(c, &jobs[i], err);
    }
    for (; i < n; i++)
        put_back(c, &jobs[i]);
    return status;
}

/* No job is taken while a server it needs is away. */
static enum status make_ready(struct consumer *c, struct err *err)
{
    int64_t now_ms = clock_monotonic_ms();
    enum status status = db_connect(c->db, err);

    if (status == STATUS_OK && now_ms - c->heartbeat_ms >= HEARTBEAT_MS) {
        status = redis_heartbeat(c->redis, err);
        c->heartbeat_ms = now_ms;
    }
    if (status == STATUS_OK && !c->prepared) {
        status = job_stream_prepare(c->generation->cache, c->redis, err);
        c->prepared = status == STATUS_OK;
    }
    return status;
}

static void consume(struct consumer *c)
{
    struct outage outage = {.what = "jobs"};

    while (!generation_stops(c->generation)) {
        struct err err = {{0}};
        enum status status;

        heartbeat_beat(c->beat);
        status = make_ready(c, &err);
        if (status == STATUS_OK)
            status = take_and_work(c, &err);
        if (status == STATUS_OK)
            outage_over(&outage);
        else
            generation_wait(c->generation, outage_failed(&outage, err.text));
    }
    for (size_t i = 0; i < c->n_waiting; i++)
        put_back(c, &c->waiting[i].job);
}

static enum status open_consumer(struct consumer *c, struct err *err)
{
    const struct settings *settings = c->generation->settings;
    enum status status;

    status = open_db(settings, true, settings->job_timeout_s * 1000, &c->db, err);
    if (status == STATUS_OK)
        status = open_redis(settings, &c->redis, err);
    if (status == STATUS_OK)
        status = precompute_new(
            &(struct precompute_options){
                .settings = settings,
                .db = c->db,
                .cache = c->generation->cache,
                .redis = c->redis,
                .on_skipped = name_skipped,
                .on_failed = note_failure,
                .context = c,
                .only_invalid = true,
            },
            &c->precompute, err);
    return status;
}

void *job_consumer_run(void *argument)
{
    struct job_consumer *job_consumer = argument;
    struct consumer *c = calloc(1, sizeof *c);
    struct err err = {{0}};
    char host[64] = "?";

    if (c == NULL) {
        log_error("no jobs are worked on", LOG_STR("reason", "no memory"));
        return NULL;
    }
    c->generation = job_consumer->generation;
    c->beat = &job_consumer->beat;
    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(c->name, sizeof c->name, "%s:%ld:%d", host, (long)getpid(), job_consumer->number);
    if (open_consumer(c, &err) == STATUS_OK)
        consume(c);
    else
        log_error("no jobs are worked on", LOG_STR("reason", err.text));
    precompute_free(&c->precompute);
    redis_free(&c->redis);
    db_free(&c->db);
    free(c);
    return NULL;
}
