/* Jobs on a Redis stream. An entry has the fields kind, user and reason; one that lacks them or names no valid user is
 * nobody's work and is removed when met. Trimming may take entries that are still pending: such a job is lost, which
 * costs a miss. */
#include "lib/store/job_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse_number.h"
#include "lib/base/text.h"

#define GROUP "workers"
#define STREAM_MAX "1000000"
#define DEAD_MAX "10000"

enum { CLAIM_ROUNDS = 16 };

static enum status make_key(const struct cache *cache, const char *name, struct buf *key, struct err *err)
{
    cache_append_prefix(cache, key);
    buf_append_string(key, name);
    return buf_status(key) == STATUS_OK ? STATUS_OK : err_fail(err, STATUS_NO_MEMORY, "out of memory");
}

static enum status check_replies(const struct redis *redis, size_t n, struct err *err)
{
    enum status status = STATUS_OK;

    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        status = redis_reply_status(redis_reply_at(redis, i), err);
    return status;
}

static enum status flush_all(struct redis *redis, struct err *err)
{
    size_t n = redis_appended(redis);
    enum status status = redis_flush(redis, err);

    return status == STATUS_OK ? check_replies(redis, n, err) : status;
}

enum status job_stream_add(struct cache *cache, struct redis *redis, const char *kind, const char *user_id,
                           const char *reason, struct err *err)
{
    const struct redis_reply *reply;
    struct buf key = BUF_INIT;
    enum status status = make_key(cache, "jobs", &key, err);

    if (status == STATUS_OK)
        status = redis_command(redis, &reply, err, "XADD", key.data, "MAXLEN", "~", STREAM_MAX, "*", "kind", kind,
                               "user", user_id, "reason", reason, NULL);
    buf_release(&key);
    return status;
}

static bool reply_begins(const struct redis_reply *reply, const char *word)
{
    const char *text;
    size_t len;

    if (redis_reply_type_of(reply) != REDIS_ERROR)
        return false;
    text = redis_reply_bytes(reply, &len);
    return len >= strlen(word) && memcmp(text, word, strlen(word)) == 0;
}

enum status job_stream_prepare(struct cache *cache, struct redis *redis, struct err *err)
{
    struct buf key = BUF_INIT;
    enum status status = make_key(cache, "jobs", &key, err);

    if (status == STATUS_OK) {
        redis_append_words(redis, "XGROUP", "CREATE", key.data, GROUP, "0", "MKSTREAM", NULL);
        status = redis_flush(redis, err);
    }
    if (status == STATUS_OK && !reply_begins(redis_reply_at(redis, 0), "BUSYGROUP"))
        status = redis_reply_status(redis_reply_at(redis, 0), err);
    buf_release(&key);
    return status;
}

/* --- taking -------------------------------------------------------------------------------- */

static bool copy_text(const struct redis_reply *reply, char *text, size_t size)
{
    size_t len;
    const char *bytes;

    if (redis_reply_type_of(reply) != REDIS_STRING)
        return false;
    bytes = redis_reply_bytes(reply, &len);
    if (len >= size || memchr(bytes, '\0', len) != NULL)
        return false;
    memcpy(text, bytes, len);
    text[len] = '\0';
    return true;
}

static bool reply_is(const struct redis_reply *reply, const char *text)
{
    size_t len;
    const char *bytes;

    if (redis_reply_type_of(reply) != REDIS_STRING)
        return false;
    bytes = redis_reply_bytes(reply, &len);
    return len == strlen(text) && memcmp(bytes, text, len) == 0;
}

static bool read_fields(const struct redis_reply *fields, struct job *job)
{
    bool ok = true;

    for (size_t i = 0; i + 1 < redis_reply_length(fields); i += 2) {
        const struct redis_reply *name = redis_reply_element(fields, i), *value = redis_reply_element(fields, i + 1);

        if (reply_is(name, "kind"))
            ok = ok && copy_text(value, job->kind, sizeof job->kind);
        else if (reply_is(name, "user"))
            ok = ok && copy_text(value, job->user_id, sizeof job->user_id);
        else if (reply_is(name, "reason") && !copy_text(value, job->reason, sizeof job->reason))
            job->reason[0] = '\0'; /* only for logs */
    }
    return ok && job->kind[0] != '\0' && user_id_is_valid(job->user_id);
}

struct taking {
    struct job *jobs;
    size_t n, max;
    char (*bad)[sizeof(((struct job *)NULL)->id)]; /* ids of entries that are no jobs */
    size_t n_bad;
};

/* Entries are [id, [field, value, ...]]; nil, or nil for the fields, where one was deleted meanwhile. */
static void take_entries(const struct redis_reply *entries, struct taking *t)
{
    for (size_t i = 0; i < redis_reply_length(entries) && t->n + t->n_bad < t->max; i++) {
        const struct redis_reply *entry = redis_reply_element(entries, i);
        struct job job = {.attempts = 1};

        if (redis_reply_length(entry) != 2 || !copy_text(redis_reply_element(entry, 0), job.id, sizeof job.id))
            continue;
        if (read_fields(redis_reply_element(entry, 1), &job))
            t->jobs[t->n++] = job;
        else
            memcpy(t->bad[t->n_bad++], job.id, sizeof job.id);
    }
}

static enum status recreate_group(struct cache *cache, struct redis *redis, const struct redis_reply *reply,
                                  struct err *err)
{
    if (reply_begins(reply, "NOGROUP")) /* flushed: nothing to take, but tomorrow's jobs need the group */
        return job_stream_prepare(cache, redis, err);
    return redis_reply_status(reply, err);
}

/* Takes over from dead workers. */
static enum status claim(struct cache *cache, struct redis *redis, const char *key, const char *consumer,
                         int64_t claim_idle_ms, struct taking *t, struct err *err)
{
    char idle[24], count[24], start[48] = "0-0";
    enum status status = STATUS_OK;

    (void)snprintf(idle, sizeof idle, "%lld", (long long)claim_idle_ms);
    (void)snprintf(count, sizeof count, "%zu", t->max);
    for (int round = 0; round < CLAIM_ROUNDS && t->n + t->n_bad == 0 && status == STATUS_OK; round++) {
        const struct redis_reply *reply;

        redis_append_words(redis, "XAUTOCLAIM", key, GROUP, consumer, idle, start, "COUNT", count, NULL);
        status = redis_flush(redis, err);
        if (status != STATUS_OK)
            break;
        reply = redis_reply_at(redis, 0);
        if (redis_reply_type_of(reply) == REDIS_ERROR)
            return recreate_group(cache, redis, reply, err);
        if (redis_reply_length(reply) < 2 || !copy_text(redis_reply_element(reply, 0), start, sizeof start))
            return err_fail(err, STATUS_INTERNAL, "XAUTOCLAIM answered something unknown");
        take_entries(redis_reply_element(reply, 1), t);
        if (strcmp(start, "0-0") == 0)
            break;
    }
    return status;
}

/* How often each claimed job was delivered: the last of XPENDING's [id, consumer, idle, deliveries]. */
static enum status read_attempts(struct redis *redis, const char *key, struct taking *t, struct err *err)
{
    enum status status;

    for (size_t i = 0; i < t->n; i++)
        redis_append_words(redis, "XPENDING", key, GROUP, t->jobs[i].id, t->jobs[i].id, "1", NULL);
    status = flush_all(redis, err);
    for (size_t i = 0; i < t->n && status == STATUS_OK; i++) {
        const struct redis_reply *rows = redis_reply_at(redis, i);

        if (redis_reply_length(rows) == 1 && redis_reply_length(redis_reply_element(rows, 0)) == 4)
            t->jobs[i].attempts = redis_reply_integer(redis_reply_element(redis_reply_element(rows, 0), 3));
    }
    return status;
}

static enum status read_new(struct cache *cache, struct redis *redis, const char *key, const char *consumer,
                            int64_t block_ms, struct taking *t, struct err *err)
{
    char count[24], block[24];
    const struct redis_reply *reply;
    enum status status;

    (void)snprintf(count, sizeof count, "%zu", t->max);
    (void)snprintf(block, sizeof block, "%lld", (long long)block_ms);
    if (block_ms > 0) /* BLOCK 0 would wait for ever */
        redis_append_words(redis, "XREADGROUP", "GROUP", GROUP, consumer, "COUNT", count, "BLOCK", block, "STREAMS",
                           key, ">", NULL);
    else
        redis_append_words(redis, "XREADGROUP", "GROUP", GROUP, consumer, "COUNT", count, "STREAMS", key, ">", NULL);
    status = redis_flush(redis, err);
    if (status != STATUS_OK)
        return status;
    reply = redis_reply_at(redis, 0);
    if (redis_reply_type_of(reply) == REDIS_ERROR)
        return recreate_group(cache, redis, reply, err);
    if (redis_reply_length(reply) == 1 && redis_reply_length(redis_reply_element(reply, 0)) == 2)
        take_entries(redis_reply_element(redis_reply_element(reply, 0), 1), t);
    return STATUS_OK;
}

static void append_finish(struct redis *redis, const char *key, const char *id)
{
    redis_append_words(redis, "XACK", key, GROUP, id, NULL);
    redis_append_words(redis, "XDEL", key, id, NULL);
}

static enum status take_some(struct cache *cache, struct redis *redis, const char *key, const char *consumer,
                             int64_t claim_idle_ms, int64_t block_ms, struct taking *t, struct err *err)
{
    enum status status = claim(cache, redis, key, consumer, claim_idle_ms, t, err);

    if (status == STATUS_OK && t->n > 0)
        status = read_attempts(redis, key, t, err);
    else if (status == STATUS_OK && t->n_bad == 0)
        status = read_new(cache, redis, key, consumer, block_ms, t, err);
    if (status != STATUS_OK || t->n_bad == 0)
        return status;
    for (size_t i = 0; i < t->n_bad; i++)
        append_finish(redis, key, t->bad[i]);
    return flush_all(redis, err);
}

enum status job_stream_take(struct cache *cache, struct redis *redis, const char *consumer, int64_t claim_idle_ms,
                            int64_t block_ms, struct job *ret_jobs, size_t max, size_t *ret_n, struct err *err)
{
    struct taking t = {.jobs = ret_jobs, .max = max};
    struct buf key = BUF_INIT;
    enum status status = make_key(cache, "jobs", &key, err);

    if (status != STATUS_OK)
        return status;
    t.bad = calloc(max, sizeof *t.bad);
    if (t.bad == NULL)
        status = err_fail(err, STATUS_NO_MEMORY, "out of memory");
    else
        status = take_some(cache, redis, key.data, consumer, claim_idle_ms, block_ms, &t, err);
    if (status == STATUS_OK)
        *ret_n = t.n;
    free(t.bad);
    buf_release(&key);
    return status;
}

/* --- ending -------------------------------------------------------------------------------- */

enum status job_stream_finish(struct cache *cache, struct redis *redis, const struct job *job, struct err *err)
{
    struct buf key = BUF_INIT;
    enum status status = make_key(cache, "jobs", &key, err);

    if (status == STATUS_OK) {
        append_finish(redis, key.data, job->id);
        status = flush_all(redis, err);
    }
    buf_release(&key);
    return status;
}

/* The dead letter first: if it cannot be written the job stays pending and is buried by the next attempt. */
enum status job_stream_bury(struct cache *cache, struct redis *redis, const struct job *job, const char *error,
                            struct err *err)
{
    const struct redis_reply *reply;
    struct buf dead = BUF_INIT;
    char attempts[24];
    enum status status = make_key(cache, "jobs:dead", &dead, err);

    (void)snprintf(attempts, sizeof attempts, "%lld", (long long)job->attempts);
    if (status == STATUS_OK)
        status = redis_command(redis, &reply, err, "XADD", dead.data, "MAXLEN", "~", DEAD_MAX, "*", "job", job->id,
                               "kind", job->kind, "user", job->user_id, "reason", job->reason, "attempts", attempts,
                               "error", error, NULL);
    buf_release(&dead);
    return status == STATUS_OK ? job_stream_finish(cache, redis, job, err) : status;
}

/* --- inspecting ---------------------------------------------------------------------------- */

static int64_t age_of_first(const struct redis_reply *entries)
{
    const struct redis_reply *id;
    int64_t born_ms, age_ms;
    const char *text, *dash;
    size_t len;

    if (redis_reply_length(entries) == 0 || redis_reply_length(redis_reply_element(entries, 0)) == 0)
        return 0;
    id = redis_reply_element(redis_reply_element(entries, 0), 0);
    if (redis_reply_type_of(id) != REDIS_STRING)
        return 0;
    text = redis_reply_bytes(id, &len);
    dash = memchr(text, '-', len);
    if (dash == NULL || parse_int64_bytes(text, (size_t)(dash - text), 0, INT64_MAX, &born_ms) != STATUS_OK)
        return 0;
    age_ms = clock_now().us / 1000 - born_ms;
    return age_ms > 0 ? age_ms : 0; /* Redis's clock may be ahead of ours */
}

static enum status take_state(struct redis *redis, struct job_stream_state *ret_state, struct err *err)
{
    const struct redis_reply *pending = redis_reply_at(redis, 1);
    bool no_group = reply_begins(pending, "NOGROUP");
    struct job_stream_state state = {0};
    enum status status = no_group ? STATUS_OK : redis_reply_status(pending, err);

    for (size_t i = 0; i < 4 && status == STATUS_OK; i++)
        if (i != 1)
            status = redis_reply_status(redis_reply_at(redis, i), err);
    if (status != STATUS_OK)
        return status;
    state.depth = redis_reply_integer(redis_reply_at(redis, 0));
    if (redis_reply_length(pending) > 0)
        state.in_flight = redis_reply_integer(redis_reply_element(pending, 0));
    state.dead = redis_reply_integer(redis_reply_at(redis, 2));
    state.oldest_age_ms = age_of_first(redis_reply_at(redis, 3));
    *ret_state = state;
    return STATUS_OK;
}

enum status job_stream_inspect(struct cache *cache, struct redis *redis, struct job_stream_state *ret_state,
                               struct err *err)
{
    struct buf jobs = BUF_INIT, dead = BUF_INIT;
    enum status status = make_key(cache, "jobs", &jobs, err);

    if (status == STATUS_OK)
        status = make_key(cache, "jobs:dead", &dead, err);
    if (status == STATUS_OK) {
        redis_append_words(redis, "XLEN", jobs.data, NULL);
        redis_append_words(redis, "XPENDING", jobs.data, GROUP, NULL);
        redis_append_words(redis, "XLEN", dead.data, NULL);
        redis_append_words(redis, "XRANGE", jobs.data, "-", "+", "COUNT", "1", NULL);
        status = redis_flush(redis, err);
    }
    if (status == STATUS_OK)
        status = take_state(redis, ret_state, err);
    buf_release(&jobs);
    buf_release(&dead);
    return status;
}

/* --- active users -------------------------------------------------------------------------- */

enum status active_users_touch(struct cache *cache, struct redis *redis, const char *user_id, struct err *err)
{
    const struct redis_reply *reply;
    struct buf key = BUF_INIT;
    char seen_s[24];
    enum status status = make_key(cache, "active:users", &key, err);

    (void)snprintf(seen_s, sizeof seen_s, "%lld", (long long)(clock_now().us / US_PER_SECOND));
    if (status == STATUS_OK)
        status = redis_command(redis, &reply, err, "ZADD", key.data, seen_s, user_id, NULL);
    buf_release(&key);
    return status;
}

static enum status copy_ids(const struct redis_reply *members, char ***ret_ids, size_t *ret_n, struct err *err)
{
    size_t n = 0, length = redis_reply_length(members);
    char **ids = calloc(length + 1, sizeof *ids);

    for (size_t i = 0; ids != NULL && i < length; i++) {
        char id[USER_ID_MAX + 1];

        if (!copy_text(redis_reply_element(members, i), id, sizeof id) || !user_id_is_valid(id))
            continue;
        ids[n] = strdup(id);
        if (ids[n] == NULL) {
            text_array_free(ids, n);
            ids = NULL;
        } else {
            n++;
        }
    }
    if (ids == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    *ret_ids = ids;
    *ret_n = n;
    return STATUS_OK;
}

enum status active_users_list(struct cache *cache, struct redis *redis, int64_t window_s, size_t max, char ***ret_ids,
                              size_t *ret_n, struct err *err)
{
    const struct redis_reply *reply;
    struct buf key = BUF_INIT;
    char since_s[24], count[24];
    enum status status = make_key(cache, "active:users", &key, err);

    (void)snprintf(since_s, sizeof since_s, "%lld", (long long)(clock_now().us / US_PER_SECOND - window_s));
    (void)snprintf(count, sizeof count, "%zu", max);
    if (status == STATUS_OK)
        status =
            redis_command(redis, &reply, err, "ZREVRANGEBYSCORE", key.data, "+inf", since_s, "LIMIT", "0", count, NULL);
    if (status == STATUS_OK)
        status = copy_ids(reply, ret_ids, ret_n, err);
    buf_release(&key);
    return status;
}
