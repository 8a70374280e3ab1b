/* Looking at the queue: the streams are read in steps, so that a long queue neither holds Redis up nor fills our memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/job_stream_internal.h"

#define STEP "500"

/* --- walking -------------------------------------------------------------------------------- */

struct walk {
    struct redis *redis;
    const char *key;
    enum job_place place;
    job_visit visit;
    void *context;
};

/* One entry [id, [field, value, ...]]. */
static void visit_entry(const struct walk *w, const struct redis_reply *reply, struct job_entry *e)
{
    const struct redis_reply *fields = redis_reply_element(reply, 1);

    e->place = w->place;
    if (!job_read_fields(fields, &e->job) && e->job.kind[0] == '\0')
        (void)snprintf(e->job.kind, sizeof e->job.kind, "?"); /* a foreign entry; whoever takes it removes it */
    if (w->place == JOB_DEAD) {
        memcpy(e->dead_id, e->job.id, sizeof e->dead_id);
        if (!job_copy_field(fields, "error", e->error, sizeof e->error))
            e->error[0] = '\0';
    }
    w->visit(w->context, e);
}

static enum status walk_stream(const struct walk *w, struct err *err)
{
    char from[56] = "-";

    for (;;) {
        const struct redis_reply *reply;
        enum status status = redis_command(w->redis, &reply, err, "XRANGE", w->key, from, "+", "COUNT", STEP, NULL);
        size_t n;

        if (status != STATUS_OK)
            return status;
        n = redis_reply_length(reply);
        if (n == 0)
            return STATUS_OK;
        for (size_t i = 0; i < n; i++) {
            const struct redis_reply *entry = redis_reply_element(reply, i);
            struct job_entry e = {.due_ms = 0};

            if (redis_reply_length(entry) != 2 ||
                !job_copy_text(redis_reply_element(entry, 0), e.job.id, sizeof e.job.id))
                return err_fail(err, STATUS_INTERNAL, "XRANGE answered something unknown");
            (void)snprintf(from, sizeof from, "(%s", e.job.id);
            visit_entry(w, entry, &e);
        }
    }
}

/* jobs:later: [member, score, ...] */
static enum status walk_later(const struct walk *w, struct err *err)
{
    char first[24], last[24];

    for (long at = 0;; at += strtol(STEP, NULL, 10)) {
        const struct redis_reply *reply;
        enum status status;

        (void)snprintf(first, sizeof first, "%ld", at);
        (void)snprintf(last, sizeof last, "%ld", at + strtol(STEP, NULL, 10) - 1);
        status = redis_command(w->redis, &reply, err, "ZRANGE", w->key, first, last, "WITHSCORES", NULL);
        if (status != STATUS_OK || redis_reply_length(reply) == 0)
            return status;
        for (size_t i = 0; i + 1 < redis_reply_length(reply); i += 2) {
            struct job_entry e = {.place = JOB_RETRYING};
            char member[1024], score[32];

            if (!job_copy_text(redis_reply_element(reply, i), member, sizeof member) ||
                !job_read_later(member, &e.job, e.error, sizeof e.error) ||
                !job_copy_text(redis_reply_element(reply, i + 1), score, sizeof score))
                continue;
            e.due_ms = strtoll(score, NULL, 10);
            w->visit(w->context, &e);
        }
    }
}

/* --- what is in flight ------------------------------------------------------------------------ */

/* The group's pending entries, ascending by id; walked beside the stream. */
struct pending {
    size_t n, cap;
    struct pending_entry {
        char id[48], consumer[128];
        int64_t deliveries;
    } * entries;
    size_t at;
};

static enum status add_pending(struct pending *p, const struct redis_reply *row, struct err *err)
{
    struct pending_entry *e;

    if (p->n == p->cap) {
        size_t cap = p->cap == 0 ? 64 : 2 * p->cap;
        struct pending_entry *grown = realloc(p->entries, cap * sizeof *grown);

        if (grown == NULL)
            return err_fail(err, STATUS_NO_MEMORY, "out of memory");
        p->entries = grown;
        p->cap = cap;
    }
    e = &p->entries[p->n++];
    if (redis_reply_length(row) != 4 || !job_copy_text(redis_reply_element(row, 0), e->id, sizeof e->id))
        return err_fail(err, STATUS_INTERNAL, "XPENDING answered something unknown");
    if (!job_copy_text(redis_reply_element(row, 1), e->consumer, sizeof e->consumer))
        (void)snprintf(e->consumer, sizeof e->consumer, "?");
    e->deliveries = redis_reply_integer(redis_reply_element(row, 3));
    return STATUS_OK;
}

static enum status read_pending(struct redis *redis, const char *key, struct pending *ret_pending, struct err *err)
{
    char from[56] = "-";
    enum status status = STATUS_OK;
    size_t n = 1;

    while (status == STATUS_OK && n > 0) {
        const struct redis_reply *rows;

        redis_append_words(redis, "XPENDING", key, JOB_GROUP, from, "+", STEP, NULL);
        status = redis_flush(redis, err);
        if (status != STATUS_OK)
            break;
        rows = redis_reply_at(redis, 0);
        if (job_reply_begins(rows, "NOGROUP")) /* no worker has ever run */
            return STATUS_OK;
        status = redis_reply_status(rows, err);
        n = redis_reply_length(rows);
        for (size_t i = 0; i < n && status == STATUS_OK; i++)
            status = add_pending(ret_pending, redis_reply_element(rows, i), err);
        if (status == STATUS_OK && n > 0)
            (void)snprintf(from, sizeof from, "(%s", ret_pending->entries[ret_pending->n - 1].id);
    }
    return status;
}

struct unfinished {
    struct pending pending;
    job_visit visit;
    void *context;
};

static bool id_is_less(const char *a, const char *b)
{
    int64_t a_ms = job_id_ms(a), b_ms = job_id_ms(b);
    const char *a_dash = strchr(a, '-'), *b_dash = strchr(b, '-');

    if (a_ms != b_ms || a_dash == NULL || b_dash == NULL)
        return a_ms < b_ms;
    return strtoull(a_dash + 1, NULL, 10) < strtoull(b_dash + 1, NULL, 10);
}

/* Both lists ascend, so one look ahead is enough. */
static void visit_unfinished(void *context, const struct job_entry *entry)
{
    struct unfinished *u = context;
    struct pending *p = &u->pending;
    struct job_entry e = *entry;

    while (p->at < p->n && id_is_less(p->entries[p->at].id, e.job.id))
        p->at++;
    if (p->at < p->n && strcmp(p->entries[p->at].id, e.job.id) == 0) {
        e.place = JOB_IN_FLIGHT;
        e.job.deliveries = p->entries[p->at].deliveries;
        memcpy(e.consumer, p->entries[p->at].consumer, sizeof e.consumer);
    }
    u->visit(u->context, &e);
}

/* --- for the operator ------------------------------------------------------------------------- */

enum status job_stream_visit(struct cache *cache, struct redis *redis, bool dead, job_visit visit, void *context,
                             struct err *err)
{
    struct buf jobs = BUF_INIT, later = BUF_INIT, graves = BUF_INIT;
    struct unfinished u = {.visit = visit, .context = context};
    enum status status = job_make_key(cache, "jobs", &jobs, err);

    if (status == STATUS_OK)
        status = job_make_key(cache, "jobs:later", &later, err);
    if (status == STATUS_OK)
        status = job_make_key(cache, "jobs:dead", &graves, err);
    if (status == STATUS_OK && dead) {
        status = walk_stream(&(struct walk){redis, graves.data, JOB_DEAD, visit, context}, err);
    } else if (status == STATUS_OK) {
        status = read_pending(redis, jobs.data, &u.pending, err);
        if (status == STATUS_OK)
            status = walk_stream(&(struct walk){redis, jobs.data, JOB_QUEUED, visit_unfinished, &u}, err);
        if (status == STATUS_OK)
            status = walk_later(&(struct walk){redis, later.data, JOB_RETRYING, visit, context}, err);
    }
    free(u.pending.entries);
    buf_release(&jobs);
    buf_release(&later);
    buf_release(&graves);
    return status;
}

static void note_age(struct job_stream_state *s, int64_t born_ms)
{
    int64_t age_ms = clock_now().us / 1000 - born_ms;

    if (born_ms > 0 && age_ms > s->oldest_age_ms) /* Redis's clock may be ahead of ours */
        s->oldest_age_ms = age_ms;
}

static size_t find_kind(const struct job_stream_state *s, const char *kind)
{
    size_t i = 0;

    while (i < s->n_kinds && strcmp(s->kinds[i].name, kind) != 0)
        i++;
    return i;
}

static void count_kind(struct job_stream_state *s, const char *kind)
{
    size_t i = find_kind(s, kind);

    if (i >= JOB_KINDS_MAX - 1) {
        kind = "other";
        i = find_kind(s, kind);
    }
    if (i == s->n_kinds)
        (void)snprintf(s->kinds[s->n_kinds++].name, sizeof s->kinds[0].name, "%s", kind);
    s->kinds[i].jobs++;
}

static void count_entry(void *context, const struct job_entry *entry)
{
    struct job_stream_state *s = context;

    s->depth++;
    s->in_flight += entry->place == JOB_IN_FLIGHT;
    s->retrying += entry->place == JOB_RETRYING;
    note_age(s, entry->job.born_ms);
    count_kind(s, entry->job.kind);
}

enum status job_stream_inspect(struct cache *cache, struct redis *redis, struct job_stream_state *ret_state,
                               struct err *err)
{
    const struct redis_reply *reply;
    struct job_stream_state state = {0};
    struct buf dead = BUF_INIT;
    enum status status = job_stream_visit(cache, redis, false, count_entry, &state, err);

    if (status == STATUS_OK)
        status = job_make_key(cache, "jobs:dead", &dead, err);
    if (status == STATUS_OK)
        status = redis_command(redis, &reply, err, "XLEN", dead.data, NULL);
    if (status == STATUS_OK) {
        state.dead = redis_reply_integer(reply);
        *ret_state = state;
    }
    buf_release(&dead);
    return status;
}

/* When the first job of what XRANGE or ZRANGE gave was born; 0: there is none, or a foreign entry. */
static int64_t first_born_ms(const struct redis_reply *entries, bool later)
{
    char member[1024], error[512];
    struct job job = {.born_ms = 0};

    if (redis_reply_length(entries) == 0)
        return 0;
    if (later)
        return job_copy_text(redis_reply_element(entries, 0), member, sizeof member) &&
                       job_read_later(member, &job, error, sizeof error)
                   ? job.born_ms
                   : 0;
    entries = redis_reply_element(entries, 0);
    if (redis_reply_length(entries) != 2 || !job_copy_text(redis_reply_element(entries, 0), job.id, sizeof job.id))
        return 0;
    return job_read_fields(redis_reply_element(entries, 1), &job) ? job.born_ms : job_id_ms(job.id);
}

enum { ASK_LENGTH, ASK_HEAD, ASK_LATER, ASK_NEXT, ASK_DEAD, ASK_PENDING, ASKED };

/* XPENDING's summary begins with a count; NOGROUP: no worker has ever run. */
static enum status read_measures(struct redis *redis, struct job_stream_state *s, struct err *err)
{
    const struct redis_reply *pending = redis_reply_at(redis, ASK_PENDING);
    enum status status = STATUS_OK;

    for (size_t i = 0; i < ASKED && status == STATUS_OK; i++)
        if (!job_reply_begins(redis_reply_at(redis, i), "NOGROUP"))
            status = redis_reply_status(redis_reply_at(redis, i), err);
    if (status != STATUS_OK)
        return status;
    s->retrying = redis_reply_integer(redis_reply_at(redis, ASK_LATER));
    s->depth = redis_reply_integer(redis_reply_at(redis, ASK_LENGTH)) + s->retrying;
    s->dead = redis_reply_integer(redis_reply_at(redis, ASK_DEAD));
    if (redis_reply_length(pending) > 0)
        s->in_flight = redis_reply_integer(redis_reply_element(pending, 0));
    if (s->in_flight > s->depth - s->retrying) /* entries that were trimmed away stay pending */
        s->in_flight = s->depth - s->retrying;
    note_age(s, first_born_ms(redis_reply_at(redis, ASK_HEAD), false));
    note_age(s, first_born_ms(redis_reply_at(redis, ASK_NEXT), true));
    return STATUS_OK;
}

enum status job_stream_measure(struct cache *cache, struct redis *redis, struct job_stream_state *ret_state,
                               struct err *err)
{
    struct buf jobs = BUF_INIT, later = BUF_INIT, dead = BUF_INIT;
    struct job_stream_state state = {0};
    enum status status = job_make_key(cache, "jobs", &jobs, err);

    if (status == STATUS_OK)
        status = job_make_key(cache, "jobs:later", &later, err);
    if (status == STATUS_OK)
        status = job_make_key(cache, "jobs:dead", &dead, err);
    if (status == STATUS_OK) {
        redis_append_words(redis, "XLEN", jobs.data, NULL); /* in the order of ASK_... */
        redis_append_words(redis, "XRANGE", jobs.data, "-", "+", "COUNT", "1", NULL);
        redis_append_words(redis, "ZCARD", later.data, NULL);
        redis_append_words(redis, "ZRANGE", later.data, "0", "0", NULL);
        redis_append_words(redis, "XLEN", dead.data, NULL);
        redis_append_words(redis, "XPENDING", jobs.data, JOB_GROUP, NULL);
        status = redis_flush(redis, err);
    }
    if (status == STATUS_OK)
        status = read_measures(redis, &state, err);
    if (status == STATUS_OK)
        *ret_state = state;
    buf_release(&jobs);
    buf_release(&later);
    buf_release(&dead);
    return status;
}
