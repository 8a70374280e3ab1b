#include "worker/job_consumer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/store/job_stats.h"
#include "lib/store/job_stream.h"
#include "worker/compute_process.h"
#include "worker/connections.h"
#include "worker/erase_job.h"
#include "worker/outage.h"
#include "worker/user_turn.h"

#define BATCH_MAX 32 /* not more, so that idle threads and workers get their share */
#define WAITING_MAX 64
#define BLOCK_MAX_MS 400
#define CLAIM_EVERY_MS 1000
#define CLAIM_IDLE_MAX_MS 15000
#define RESUME_EVERY_MS 250
#define TURN_WAIT_MIN_MS 5
#define TURN_WAIT_MAX_MS 200
#define TURNS_MAX 300 /* a minute of waiting for a lock whose TTL is 10 s: something else is under its key */
#define RETRY_FIRST_MS 250
#define RETRY_MAX_MS 60000
#define DELIVERIES_MAX 100
#define HEARTBEAT_MS 1000
#define START_MS 10000 /* for a computing process to start and connect, on top of the servers' own time-outs */

_Static_assert(BATCH_MAX <= COMPUTE_USERS_MAX, "a batch is one computation");

struct held_job {
    struct job job;
    int turns; /* times somebody else was at it */
    int64_t due_ms;
};

struct batch {
    size_t n;
    struct held_job held[BATCH_MAX];
    const struct job *jobs[BATCH_MAX]; /* the same, as the functions below want them */
    const char *users[BATCH_MAX];
    int64_t began_ms;
};

struct consumer {
    struct generation *generation;
    heartbeat *beat;
    char name[128];
    struct redis *redis;
    struct compute_process *process;
    struct batch batch; /* in work */
    size_t n_erasures;
    struct job erasures[BATCH_MAX]; /* taken, done after the batch */
    size_t n_waiting;
    struct held_job waiting[WAITING_MAX]; /* for their turn; one a user */
    int64_t heartbeat_ms, claim_ms, resume_ms, keep_ms;
    bool prepared; /* stream and group exist, as far as we know */
};

/* A computation may take so long. */
static int64_t compute_timeout_ms(const struct consumer *c)
{
    return c->generation->settings->job_timeout_s * 2000;
}

/* Whoever lives renews what it holds several times within this, see keep_all(). */
static int64_t claim_idle_ms(const struct consumer *c)
{
    return compute_timeout_ms(c) < CLAIM_IDLE_MAX_MS ? compute_timeout_ms(c) : CLAIM_IDLE_MAX_MS;
}

/* --- the ends of a job ---------------------------------------------------------------------------- */

static void count(struct consumer *c, const char *kind, enum job_outcome outcome, size_t n, int64_t took_ms)
{
    struct err err = {{0}};

    if (job_stats_add(c->generation->cache, c->redis, kind, outcome, n, took_ms, &err) != STATUS_OK)
        log_debug("jobs not counted", LOG_STR("kind", kind), LOG_STR("reason", err.text));
}

static void bury(struct consumer *c, const struct job *job, const char *reason)
{
    struct err err = {{0}};

    log_error("job given up", LOG_STR("id", job->id), LOG_STR("user", job->user_id), LOG_STR("cause", job->reason),
              LOG_INT("attempts", job->attempts), LOG_STR("reason", reason));
    atomic_fetch_add(&c->generation->counters->jobs_buried, 1);
    count(c, job->kind, JOB_OUTCOME_GIVEN_UP, 1, -1);
    if (job_stream_bury(c->generation->cache, c->redis, job, reason, &err) != STATUS_OK)
        log_warn("job could not be moved to jobs:dead, it will come again", LOG_STR("id", job->id),
                 LOG_STR("reason", err.text));
}

/* When even that fails it stays with its consumer, and another worker takes it over after the claim time. */
static void put_back(struct consumer *c, const struct job *job)
{
    if (job_stream_put_back(c->generation->cache, c->redis, job, NULL) != STATUS_OK)
        log_debug("job left for another worker", LOG_STR("id", job->id));
}

/* Jobs of one kind, each done within took_ms; -1: by another one's work. */
static void finish(struct consumer *c, const struct job *const *jobs, size_t n, int64_t took_ms)
{
    struct err err = {{0}};

    if (n == 0)
        return;
    atomic_fetch_add(&c->generation->counters->jobs_done, n);
    if (job_stream_finish(c->generation->cache, c->redis, jobs, n, &err) != STATUS_OK)
        log_debug("finished jobs will come again", LOG_STR("first", jobs[0]->id), LOG_STR("reason", err.text));
    for (size_t i = 0; i < n; i++) /* a change is a sign of life too: scheduled jobs keep such users fresh */
        if (active_users_touch(c->generation->cache, c->redis, jobs[i]->user_id, NULL) != STATUS_OK)
            log_debug("activity not noted", LOG_STR("user", jobs[i]->user_id));
    count(c, jobs[0]->kind, JOB_OUTCOME_DONE, n, took_ms);
}

/* 250 ms, then four times as long each time up to a minute; half of it is random, so that what failed together does not come
 * back together. */
static int64_t retry_wait_ms(int64_t attempts)
{
    int64_t wait_ms = attempts <= 4 ? (int64_t)RETRY_FIRST_MS << (2 * (attempts - 1)) : RETRY_MAX_MS;
    uint32_t random_bits = 0;

    (void)!getrandom(&random_bits, sizeof random_bits, GRND_NONBLOCK);
    return wait_ms / 2 + (int64_t)(random_bits % (uint32_t)(wait_ms / 2 + 1));
}

static void attempt_failed(struct consumer *c, struct job *job, bool worth_another, const char *reason)
{
    struct err err = {{0}};
    int64_t wait_ms;

    atomic_fetch_add(&c->generation->counters->jobs_failed, 1);
    count(c, job->kind, JOB_OUTCOME_FAILED, 1, -1);
    job->attempts++;
    if (!worth_another || job->attempts >= c->generation->settings->job_attempts) {
        bury(c, job, reason);
        return;
    }
    wait_ms = retry_wait_ms(job->attempts);
    log_warn("job failed, trying again", LOG_STR("id", job->id), LOG_STR("user", job->user_id),
             LOG_INT("attempts", job->attempts), LOG_INT("in_ms", wait_ms), LOG_STR("reason", reason));
    if (job_stream_retry_later(c->generation->cache, c->redis, job, reason, clock_now().us / 1000 + wait_ms, &err) !=
        STATUS_OK)
        log_warn("failed job stays with this worker", LOG_STR("id", job->id), LOG_STR("reason", err.text));
}

/* --- waiting for a turn --------------------------------------------------------------------------- */

static struct held_job *find_held(struct held_job *held, size_t n, const char *user_id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(held[i].job.user_id, user_id) == 0)
            return &held[i];
    return NULL;
}

static void wait_for_turn(struct consumer *c, const struct held_job *held)
{
    int64_t wait_ms = TURN_WAIT_MIN_MS << (held->turns < 6 ? held->turns : 6);
    struct held_job *waiting = &c->waiting[c->n_waiting];

    if (c->n_waiting == WAITING_MAX) {
        put_back(c, &held->job);
        return;
    }
    *waiting = *held;
    waiting->turns++;
    waiting->due_ms = clock_monotonic_ms() + (wait_ms < TURN_WAIT_MAX_MS ? wait_ms : TURN_WAIT_MAX_MS);
    c->n_waiting++;
}

static void take_due(struct consumer *c)
{
    int64_t now_ms = clock_monotonic_ms();
    size_t kept = 0;

    for (size_t i = 0; i < c->n_waiting; i++) {
        if (c->waiting[i].due_ms <= now_ms && c->batch.n < BATCH_MAX)
            c->batch.held[c->batch.n++] = c->waiting[i];
        else
            c->waiting[kept++] = c->waiting[i];
    }
    c->n_waiting = kept;
}

static int64_t next_due_ms(const struct consumer *c)
{
    int64_t now_ms = clock_monotonic_ms(), next_ms = BLOCK_MAX_MS;

    for (size_t i = 0; i < c->n_waiting; i++)
        if (c->waiting[i].due_ms - now_ms < next_ms)
            next_ms = c->waiting[i].due_ms - now_ms;
    return next_ms > 1 ? next_ms : 1;
}

/* What we hold stays ours: nobody claims it, nobody else begins with its user. */
static void keep_all(struct consumer *c)
{
    const struct job *waiting[WAITING_MAX + BATCH_MAX];
    size_t n = 0;
    int64_t now_ms = clock_monotonic_ms(), every_ms = claim_idle_ms(c) / 4;
    struct cache *cache = c->generation->cache;

    if (every_ms > USER_TURN_TTL_MS / 4)
        every_ms = USER_TURN_TTL_MS / 4;
    if (now_ms - c->keep_ms < every_ms)
        return;
    c->keep_ms = now_ms;
    for (size_t i = 0; i < c->n_waiting; i++)
        waiting[n++] = &c->waiting[i].job;
    for (size_t i = 0; i < c->n_erasures; i++)
        waiting[n++] = &c->erasures[i];
    if ((n > 0 && job_stream_keep(cache, c->redis, c->name, waiting, n, NULL) != STATUS_OK) ||
        (c->batch.n > 0 && (job_stream_keep(cache, c->redis, c->name, c->batch.jobs, c->batch.n, NULL) != STATUS_OK ||
                            user_turns_keep(cache, c->redis, c->batch.n, c->batch.users, NULL) != STATUS_OK)))
        log_debug("jobs in hand may be claimed by others");
}

/* --- the work ------------------------------------------------------------------------------------- */

static bool go_on(void *context)
{
    struct consumer *c = context;

    heartbeat_beat(c->beat);
    keep_all(c);
    return clock_monotonic_ms() < atomic_load(&c->generation->release_by_ms);
}

static void batch_keep(struct batch *b, const bool *keep)
{
    size_t kept = 0;

    for (size_t i = 0; i < b->n; i++)
        if (keep[i])
            b->held[kept++] = b->held[i];
    b->n = kept;
}

static void batch_list(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        b->jobs[i] = &b->held[i].job;
        b->users[i] = b->held[i].job.user_id;
    }
}

/* Whose turn it is not waits; the batch becomes those whose it is. */
static enum status take_turns(struct consumer *c, struct err *err)
{
    struct batch *b = &c->batch;
    bool ours[BATCH_MAX];
    enum status status;

    batch_list(b);
    status = user_turns_take(c->generation->cache, c->redis, c->name, b->n, b->users, ours, err);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < b->n; i++) {
        ours[i] = ours[i] || b->held[i].turns > TURNS_MAX;
        if (!ours[i])
            wait_for_turn(c, &b->held[i]);
    }
    batch_keep(b, ours);
    batch_list(b);
    b->began_ms = clock_monotonic_ms();
    return STATUS_OK;
}

static void end_turns(struct consumer *c, const struct batch *b, int64_t rest_ms)
{
    if (user_turns_end(c->generation->cache, c->redis, b->n, b->users, rest_ms, NULL) != STATUS_OK)
        log_debug("locks left to run out", LOG_STR("first", b->users[0]));
}

/* Computed, but for those with a failure of their own, which would fail the same way again. */
static void settle(struct consumer *c, struct batch *b, const struct compute_failure *failures)
{
    const struct job *done[BATCH_MAX];
    int64_t took_ms = clock_monotonic_ms() - b->began_ms;
    size_t n_done = 0;

    for (size_t i = 0; i < b->n; i++) {
        if (failures[i].status == STATUS_OK)
            done[n_done++] = b->jobs[i];
        else
            attempt_failed(c, &b->held[i].job, status_is_transient(failures[i].status), failures[i].reason);
    }
    assert(b->n > 0);
    end_turns(c, b, took_ms / (int64_t)b->n);
    finish(c, done, n_done, took_ms);
    for (size_t i = 0; i < n_done; i++)
        log_debug("job done", LOG_STR("id", done[i]->id), LOG_STR("user", done[i]->user_id),
                  LOG_STR("cause", done[i]->reason), LOG_INT("of", (int64_t)b->n), LOG_INT("ms", took_ms));
}

static enum compute_end compute(struct consumer *c, size_t n, const char *const *users,
                                struct compute_failure *failures, enum status *ret_status, struct err *err)
{
    const struct settings *settings = c->generation->settings;
    struct compute_watch watch = {.timeout_ms = compute_timeout_ms(c), .go_on = go_on, .context = c};

    if (n == 0)
        watch.timeout_ms = settings->database_timeout_ms + settings->redis_timeout_ms + START_MS;
    return compute_process_run(c->process, n, users, failures, &watch, ret_status, err);
}

static void put_back_all(struct consumer *c, const struct batch *b)
{
    end_turns(c, b, 0);
    for (size_t i = 0; i < b->n; i++)
        put_back(c, b->jobs[i]);
}

/* STATUS_UNAVAILABLE: a server is away; the jobs were put back. */
static enum status work_on(struct consumer *c, struct batch *b, struct err *err)
{
    struct compute_failure failures[BATCH_MAX];
    enum status status = STATUS_OK;
    enum compute_end end = compute(c, b->n, b->users, failures, &status, err);

    if (end == COMPUTE_DONE) {
        settle(c, b, failures);
        return STATUS_OK;
    }
    if (end == COMPUTE_ABANDONED || (end == COMPUTE_FAILED && status == STATUS_UNAVAILABLE)) {
        put_back_all(c, b);
        return end == COMPUTE_ABANDONED ? STATUS_OK : status;
    }
    if (b->n > 1)
        return STATUS_CONFLICT;
    end_turns(c, b, 0);
    attempt_failed(c, &b->held[0].job, true, err->text);
    return STATUS_OK;
}

/* The batch as one computation; when that fails, each job as one. */
static enum status work_on_batch(struct consumer *c, struct err *err)
{
    struct batch *b = &c->batch;
    enum status status;

    if (b->n == 0)
        return STATUS_OK;
    status = work_on(c, b, err);
    if (status == STATUS_CONFLICT) {
        log_warn("a computation failed, trying its users one by one", LOG_INT("users", (int64_t)b->n),
                 LOG_STR("reason", err->text));
        status = STATUS_OK;
        for (size_t i = 0; i < b->n; i++) {
            struct batch one = {.n = 1, .held = {b->held[i]}, .began_ms = clock_monotonic_ms()};

            batch_list(&one);
            if (status == STATUS_OK)
                status = work_on(c, &one, err);
            else
                put_back_all(c, &one);
        }
    }
    b->n = 0;
    return status;
}

/* One after the other: each walks over all keys, and a computation needs no lock against it. */
static enum status erase_users(struct consumer *c, struct err *err)
{
    enum status status = STATUS_OK;

    while (c->n_erasures > 0) {
        struct job *job = &c->erasures[c->n_erasures - 1];
        int64_t began_ms = clock_monotonic_ms();

        if (status == STATUS_OK)
            status = erase_job_run(c->generation, c->redis, job, go_on, c, err);
        if (status == STATUS_OK)
            finish(c, &(const struct job *){job}, 1, clock_monotonic_ms() - began_ms);
        else if (status == STATUS_UNAVAILABLE || status == STATUS_TIMEOUT)
            put_back(c, job);
        else
            attempt_failed(c, job, status_is_transient(status), err->text);
        if (status != STATUS_UNAVAILABLE && status != STATUS_TIMEOUT)
            status = STATUS_OK;
        c->n_erasures--;
    }
    return generation_stops(c->generation) ? STATUS_OK : status;
}

/* --- the loop ------------------------------------------------------------------------------------- */

/* A job as it comes from the stream. Its user's earlier job, not yet begun, does it too. */
static void accept(struct consumer *c, const struct job *job)
{
    struct held_job *same = find_held(c->batch.held, c->batch.n, job->user_id);

    if (is_erase_job(job) && job->deliveries <= DELIVERIES_MAX) {
        c->erasures[c->n_erasures++] = *job;
        return;
    }
    if (strcmp(job->kind, "analytics") != 0 && !is_erase_job(job)) {
        bury(c, job, "unknown kind of job");
        return;
    }
    if (job->deliveries > DELIVERIES_MAX) {
        bury(c, job, "taken too often without an end: its workers died");
        return;
    }
    if (same == NULL)
        same = find_held(c->waiting, c->n_waiting, job->user_id);
    if (same == NULL) {
        c->batch.held[c->batch.n++] = (struct held_job){.job = *job};
        return;
    }
    if (same->job.attempts < job->attempts)
        same->job.attempts = job->attempts;
    finish(c, &job, 1, -1);
}

static enum status resume_due(struct consumer *c, struct err *err)
{
    int64_t now_ms = clock_monotonic_ms(), next_ms;

    if (now_ms < c->resume_ms)
        return STATUS_OK;
    c->resume_ms = now_ms + RESUME_EVERY_MS;
    return job_stream_resume(c->generation->cache, c->redis, clock_now().us / 1000, &next_ms, err);
}

/* New jobs join the due ones. With any in hand nothing is waited for. */
static enum status take_new(struct consumer *c, struct err *err)
{
    int64_t now_ms = clock_monotonic_ms(), block_ms = c->batch.n > 0 ? 0 : next_due_ms(c);
    size_t room = WAITING_MAX - c->n_waiting, max = BATCH_MAX - c->batch.n, n;
    bool claims = now_ms - c->claim_ms >= CLAIM_EVERY_MS;
    struct job jobs[BATCH_MAX];
    enum status status;

    if (max > room)
        max = room;
    if (max == 0) {
        generation_wait(c->generation, block_ms);
        return STATUS_OK;
    }
    if (block_ms > c->generation->settings->redis_timeout_ms / 2)
        block_ms = c->generation->settings->redis_timeout_ms / 2;
    if (claims)
        c->claim_ms = now_ms;
    status = job_stream_take(c->generation->cache, c->redis, c->name, claims ? claim_idle_ms(c) : -1, block_ms, jobs,
                             max, &n, err);
    for (size_t i = 0; status == STATUS_OK && i < n; i++)
        accept(c, &jobs[i]);
    return status;
}

static enum status take_and_work(struct consumer *c, struct err *err)
{
    enum status status = resume_due(c, err);

    keep_all(c);
    take_due(c);
    if (status == STATUS_OK)
        status = take_new(c, err);
    if (status == STATUS_OK)
        status = take_turns(c, err);
    heartbeat_beat(c->beat);
    if (status == STATUS_OK)
        status = work_on_batch(c, err);
    if (status == STATUS_OK)
        return erase_users(c, err);
    while (c->n_erasures > 0)
        put_back(c, &c->erasures[--c->n_erasures]);
    for (size_t i = 0; i < c->batch.n; i++)
        wait_for_turn(c, &c->batch.held[i]);
    c->batch.n = 0;
    return status;
}

/* Those of workers that were killed, by the next one that starts. */
static void drop_gone_consumers(struct consumer *c)
{
    int64_t n = 0;

    if (job_stream_drop_consumers(c->generation->cache, c->redis, job_stream_consumer_idle_ms(c->generation->settings),
                                  &n, NULL) != STATUS_OK)
        log_debug("consumers that are gone stay in the group");
    else if (n > 0)
        log_info("consumers that are gone were removed", LOG_INT("consumers", n));
}

/* No job is taken while a server it needs is away, or Redis is full: it could not be finished, and be taken again and again. */
static enum status make_ready(struct consumer *c, struct err *err)
{
    int64_t now_ms = clock_monotonic_ms();
    enum status status = STATUS_OK;

    if (now_ms - c->heartbeat_ms >= HEARTBEAT_MS) {
        status = redis_heartbeat(c->redis, err);
        if (status == STATUS_OK && compute(c, 0, NULL, NULL, &status, err) != COMPUTE_DONE && status == STATUS_OK)
            status = STATUS_UNAVAILABLE;
        c->heartbeat_ms = status == STATUS_OK ? now_ms : 0;
    }
    if (status == STATUS_OK && !c->prepared) {
        status = job_stream_prepare(c->generation->cache, c->redis, err);
        c->prepared = status == STATUS_OK;
        if (c->prepared)
            drop_gone_consumers(c);
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
        if (status == STATUS_OK) {
            outage_over(&outage);
        } else {
            c->heartbeat_ms = 0;
            c->prepared = false; /* a restarted Redis has neither stream nor group; a full one lets nobody make them */
            generation_wait(c->generation, outage_failed(&outage, err.text));
        }
    }
    for (size_t i = 0; i < c->n_waiting; i++)
        put_back(c, &c->waiting[i].job);
    if (job_stream_leave(c->generation->cache, c->redis, c->name, NULL) != STATUS_OK)
        log_debug("the group keeps a consumer that is gone", LOG_STR("name", c->name));
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
    if (compute_process_new(c->generation->settings, &c->process, &err) == STATUS_OK &&
        open_redis(c->generation->settings, &c->redis, &err) == STATUS_OK)
        consume(c);
    else
        log_error("no jobs are worked on", LOG_STR("reason", err.text));
    compute_process_free(&c->process);
    redis_free(&c->redis);
    free(c);
    return NULL;
}
