#include "jobs/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "jobs/audit_internal.h"
#include "lib/store/job_stream.h"

static bool is_stopped(const struct audit *a)
{
    return a->options->stop != NULL && atomic_load(a->options->stop);
}

/* --- what was found ------------------------------------------------------------------------------ */

static void report(struct audit *a, const struct audit_value *value)
{
    struct audit_mismatch mismatch = {.user_id = value->user_id,
                                      .key = a->key.data,
                                      .header = &a->header,
                                      .as_of = a->as_of,
                                      .stored = a->stored.data,
                                      .stored_len = a->stored.len,
                                      .expected = a->expected.data,
                                      .expected_len = a->expected.len,
                                      .at = a->at};

    a->counts.mismatched++;
    if (a->options->on_mismatch != NULL)
        a->options->on_mismatch(a->options->context, &mismatch);
}

static void count(struct audit *a, const struct audit_value *value)
{
    a->counts.checked += value->finding == AUDIT_SAME || value->finding == AUDIT_DIFFERENT;
    a->counts.changed += value->finding == AUDIT_CHANGED;
    a->counts.pending += value->finding == AUDIT_PENDING;
    if (value->finding == AUDIT_DIFFERENT)
        report(a, value);
    if (value->finding == AUDIT_FAILED) {
        a->counts.failed++;
        if (a->options->on_failed != NULL)
            a->options->on_failed(a->options->context, value->user_id, a->key.data, a->why.text);
    }
}

/* The rows behind it may have changed without our knowing: whatever else was made of them goes too, and a job makes all anew. The
 * value itself is deleted, because a store keeps a body whose header says that it has the same content. */
static enum status invalidate(struct audit *a, const struct audit_value *value, struct err *err)
{
    const struct cache_tags *tags = audit_tags(value);
    struct cache_tags own = {.n = 0};
    const struct redis_reply *reply;
    enum status status;

    buf_clear(&a->key);
    audit_append_key(a, value, &a->key);
    if (buf_status(&a->key) != STATUS_OK)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for a key");

    for (size_t i = 0; i < tags->n; i++)
        if (!tags->tags[i].shared)
            own.tags[own.n++] = tags->tags[i];
    status = cache_invalidate(a->options->cache, a->options->redis, value->user_id, &own, err);
    if (status == STATUS_OK)
        status = redis_command(a->options->redis, &reply, err, "DEL", a->key.data, NULL);
    if (status == STATUS_OK)
        status = job_stream_add(a->options->cache, a->options->redis, "analytics", value->user_id, "audit", err);
    return status == STATUS_LIMIT ? STATUS_OK : status; /* without the job readers make it anew */
}

/* --- a chunk -------------------------------------------------------------------------------------- */

/* Looks at each of the differing ones; with `last` what differs then counts. *ret_any: something differs. */
static enum status examine_differing(struct audit *a, bool last, bool *ret_any, struct err *err)
{
    enum status status = STATUS_OK;

    *ret_any = false;
    for (size_t i = 0; i < a->chunk.n && status == STATUS_OK && !is_stopped(a); i++) {
        struct audit_value *value = &a->chunk.values[i];

        if (value->finding != AUDIT_DIFFERENT)
            continue;
        status = audit_examine(a, value, &value->finding, err);
        if (status == STATUS_OK && (last || value->finding != AUDIT_DIFFERENT))
            count(a, value);
        *ret_any |= value->finding == AUDIT_DIFFERENT;
    }
    return status;
}

static enum status audit_chunk(struct audit *a, struct err *err)
{
    struct timespec settle = {AUDIT_SETTLE_MS / 1000, AUDIT_SETTLE_MS % 1000 * 1000000L};
    bool differs = false;
    enum status status = audit_compute_chunk(a, err);

    for (size_t i = 0; i < a->chunk.n && status == STATUS_OK; i++)
        if (a->chunk.values[i].finding == AUDIT_SAME)
            count(a, &a->chunk.values[i]);
    if (status == STATUS_OK)
        status = examine_differing(a, false, &differs, err);
    if (status == STATUS_OK && differs) {
        (void)nanosleep(&settle, NULL); /* a signal only makes it shorter */
        status = examine_differing(a, true, &differs, err);
    }
    for (size_t i = 0; i < a->chunk.n && status == STATUS_OK && differs && !a->options->keep; i++)
        if (a->chunk.values[i].finding == AUDIT_DIFFERENT)
            status = invalidate(a, &a->chunk.values[i], err);
    audit_chunk_clear(&a->chunk);
    if (a->options->on_progress != NULL)
        a->options->on_progress(a->options->context, a->counts.checked, a->options->sample);
    return status;
}

/* --- the run -------------------------------------------------------------------------------------- */

static size_t left_of(const struct audit *a)
{
    size_t taken = a->counts.checked + a->chunk.n;

    return taken < a->options->sample ? a->options->sample - taken : 0;
}

/* Users in random order, each with as many values as it takes when all have enough. */
static enum status audit_users(struct audit *a, size_t *order, struct err *err)
{
    const struct audit_options *o = a->options;
    size_t quota = (o->sample + o->n_users - 1) / o->n_users, i = 0;
    enum status status = STATUS_OK;

    for (size_t k = 0; k < o->n_users; k++)
        order[k] = k;
    while (i < o->n_users && left_of(a) > 0 && status == STATUS_OK && !is_stopped(a)) {
        while (i < o->n_users && left_of(a) > 0 && a->chunk.n < AUDIT_CHUNK &&
               a->chunk.bodies.len < AUDIT_CHUNK_BYTES && status == STATUS_OK) {
            size_t left = left_of(a);

            audit_draw(&a->random, order, i, o->n_users);
            status = audit_choose(a, o->user_ids[order[i++]], quota < left ? quota : left, err);
            a->counts.users++;
        }
        if (status == STATUS_OK)
            status = audit_chunk(a, err);
    }
    return status;
}

enum status audit_run(const struct audit_options *options, struct audit_counts *ret_counts, struct err *err)
{
    struct audit a = {.options = options,
                      .random = options->seed,
                      .chunk = {.bodies = BUF_INIT},
                      .key = BUF_INIT,
                      .stored = BUF_INIT,
                      .expected = BUF_INIT};
    size_t *order = calloc(options->n_users + 1, sizeof *order);
    enum status status = STATUS_OK;

    if (order == NULL)
        status = err_fail(err, STATUS_NO_MEMORY, "no memory for a list of %zu users", options->n_users);
    else if (options->n_users > 0)
        status = audit_users(&a, order, err);
    *ret_counts = a.counts;
    audit_chunk_release(&a.chunk);
    buf_release(&a.key);
    buf_release(&a.stored);
    buf_release(&a.expected);
    free(order);
    return status;
}

/* --- for the metrics ---------------------------------------------------------------------------- */

static enum status make_record_key(const struct cache *cache, struct buf *key, struct err *err)
{
    cache_append_prefix(cache, key);
    buf_append_string(key, "stats:audit");
    return buf_status(key) == STATUS_OK ? STATUS_OK : err_fail(err, STATUS_NO_MEMORY, "out of memory");
}

enum status audit_read_record(const struct cache *cache, struct redis *redis, struct audit_record *ret_record,
                              struct err *err)
{
    const struct redis_reply *reply;
    struct buf key = BUF_INIT;
    enum status status = make_record_key(cache, &key, err);

    if (status == STATUS_OK)
        status = redis_command(redis, &reply, err, "HMGET", key.data, "checked", "mismatches", "last_time", NULL);
    if (status == STATUS_OK && redis_reply_length(reply) != 3)
        status = err_fail(err, STATUS_INTERNAL, "HMGET answered something unknown");
    if (status == STATUS_OK)
        *ret_record = (struct audit_record){.checked = redis_reply_number(redis_reply_element(reply, 0)),
                                            .mismatches = redis_reply_number(redis_reply_element(reply, 1)),
                                            .last_time_s = redis_reply_number(redis_reply_element(reply, 2))};
    buf_release(&key);
    return status;
}

enum status audit_record(struct cache *cache, struct redis *redis, const struct audit_counts *counts, struct err *err)
{
    struct buf key = BUF_INIT;
    char checked[24], mismatched[24], now[24];
    enum status status;

    status = make_record_key(cache, &key, err);
    if (status == STATUS_OK) {
        (void)snprintf(checked, sizeof checked, "%zu", counts->checked);
        (void)snprintf(mismatched, sizeof mismatched, "%zu", counts->mismatched);
        (void)snprintf(now, sizeof now, "%lld", (long long)(clock_now().us / US_PER_SECOND));
        redis_append_words(redis, "HINCRBY", key.data, "checked", checked, NULL);
        redis_append_words(redis, "HINCRBY", key.data, "mismatches", mismatched, NULL);
        redis_append_words(redis, "HSET", key.data, "last_time", now, "last_checked", checked, "last_mismatches",
                           mismatched, NULL);
        status = redis_flush(redis, err);
        for (size_t i = 0; i < 3 && status == STATUS_OK; i++)
            status = redis_reply_status(redis_reply_at(redis, i), err);
    }
    buf_release(&key);
    return status;
}
