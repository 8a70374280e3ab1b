#include "lib/store/job_stats.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/store/job_stream_internal.h"

const char *const job_stats_kinds[JOB_STATS_KINDS] = {"analytics", "erase",     "audit",    "market", "precompute",
                                                      "prune",     "reference", "rollover", "warm",   "other"};
const int64_t job_stats_bucket_ms[JOB_STATS_BUCKETS] = {10, 30, 100, 300, 1000, 3000, 10000, 60000};

/* Fields of one kind: KIND:done, ..., KIND:le_10, ..., KIND:le_inf. */
enum { FIELD_DONE, FIELD_FAILED, FIELD_GIVEN_UP, FIELD_LAST, FIELD_MS, FIELD_BUCKETS };
#define FIELDS (FIELD_BUCKETS + JOB_STATS_BUCKETS + 1)
#define FIELD_SIZE 40

static void format_field(size_t kind, size_t field, char text[FIELD_SIZE])
{
    static const char *const names[FIELD_BUCKETS] = {"done", "failed", "given_up", "last_done", "ms"};

    if (field < FIELD_BUCKETS)
        (void)snprintf(text, FIELD_SIZE, "%s:%s", job_stats_kinds[kind], names[field]);
    else if (field < FIELDS - 1)
        (void)snprintf(text, FIELD_SIZE, "%s:le_%lld", job_stats_kinds[kind],
                       (long long)job_stats_bucket_ms[field - FIELD_BUCKETS]);
    else
        (void)snprintf(text, FIELD_SIZE, "%s:le_inf", job_stats_kinds[kind]);
}

static void append(struct redis *redis, const char *command, const char *key, size_t kind, size_t field, int64_t number)
{
    char name[FIELD_SIZE], text[24];

    format_field(kind, field, name);
    (void)snprintf(text, sizeof text, "%lld", (long long)number);
    redis_append_words(redis, command, key, name, text, NULL);
}

static size_t find_kind(const char *kind)
{
    size_t i = 0;

    while (i < JOB_STATS_KINDS - 1 && strcmp(job_stats_kinds[i], kind) != 0)
        i++;
    return i;
}

enum status job_stats_add(const struct cache *cache, struct redis *redis, const char *kind, enum job_outcome outcome,
                          size_t n, int64_t took_ms, struct err *err)
{
    static const size_t fields[] = {FIELD_DONE, FIELD_FAILED, FIELD_GIVEN_UP};
    struct buf key = BUF_INIT;
    size_t k = find_kind(kind), bucket = 0;
    enum status status = job_make_key(cache, "stats:jobs", &key, err);

    if (status == STATUS_OK) {
        append(redis, "HINCRBY", key.data, k, fields[outcome], (int64_t)n);
        if (outcome == JOB_OUTCOME_DONE)
            append(redis, "HSET", key.data, k, FIELD_LAST, clock_now().us / US_PER_SECOND);
        while (bucket < JOB_STATS_BUCKETS && took_ms > job_stats_bucket_ms[bucket])
            bucket++;
        if (took_ms >= 0) {
            append(redis, "HINCRBY", key.data, k, FIELD_MS, took_ms * (int64_t)n);
            append(redis, "HINCRBY", key.data, k, FIELD_BUCKETS + bucket, (int64_t)n);
        }
        status = job_flush(redis, err);
    }
    buf_release(&key);
    return status;
}

static struct job_stats pick(const struct redis_reply *values, size_t first)
{
    struct job_stats stats = {
        .done = redis_reply_number(redis_reply_element(values, first + FIELD_DONE)),
        .failed = redis_reply_number(redis_reply_element(values, first + FIELD_FAILED)),
        .given_up = redis_reply_number(redis_reply_element(values, first + FIELD_GIVEN_UP)),
        .last_done_s = redis_reply_number(redis_reply_element(values, first + FIELD_LAST)),
        .timed_ms = redis_reply_number(redis_reply_element(values, first + FIELD_MS)),
    };

    for (size_t i = 0; i <= JOB_STATS_BUCKETS; i++)
        stats.buckets[i] = redis_reply_number(redis_reply_element(values, first + FIELD_BUCKETS + i));
    return stats;
}

enum status job_stats_read(const struct cache *cache, struct redis *redis, struct job_stats ret_stats[JOB_STATS_KINDS],
                           struct err *err)
{
    char names[JOB_STATS_KINDS * FIELDS][FIELD_SIZE];
    const char *words[2 + JOB_STATS_KINDS * FIELDS] = {"HMGET"};
    size_t lengths[2 + JOB_STATS_KINDS * FIELDS] = {5};
    const struct redis_reply *reply;
    struct buf key = BUF_INIT;
    enum status status = job_make_key(cache, "stats:jobs", &key, err);

    if (status != STATUS_OK)
        return status;
    words[1] = key.data;
    lengths[1] = key.len;
    for (size_t i = 0; i < JOB_STATS_KINDS * FIELDS; i++) {
        format_field(i / FIELDS, i % FIELDS, names[i]);
        words[2 + i] = names[i];
        lengths[2 + i] = strlen(names[i]);
    }
    redis_append(redis, 2 + JOB_STATS_KINDS * FIELDS, words, lengths);
    status = job_flush(redis, err);
    reply = status == STATUS_OK ? redis_reply_at(redis, 0) : NULL;
    if (status == STATUS_OK && redis_reply_length(reply) != JOB_STATS_KINDS * FIELDS)
        status = err_fail(err, STATUS_INTERNAL, "HMGET answered something unknown");
    for (size_t i = 0; i < JOB_STATS_KINDS && status == STATUS_OK; i++)
        ret_stats[i] = pick(reply, i * FIELDS);
    buf_release(&key);
    return status;
}
