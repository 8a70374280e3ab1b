/* The stream: adding, taking, finishing. An entry has the fields kind, user and reason, and, once it was put back, attempts and
 * born; one that lacks the first two or names no valid user is nobody's work and is removed when met. Trimming may take
 * entries that are still pending: such a job is lost, which costs a miss.
 *
 * A job that leaves the stream for another place is written there first and finished then: a worker that dies in between
 * leaves it twice, never not at all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse_number.h"
#include "lib/base/text.h"
#include "lib/store/activity_hours.h"
#include "lib/store/cache_internal.h"
#include "lib/store/job_stream_internal.h"

#define STREAM_MAX "1000000"

enum { CLAIM_ROUNDS = 16 };

/* --- what all of them need ------------------------------------------------------------------ */

enum status job_make_key(const struct cache *cache, const char *name, struct buf *key, struct err *err)
{
    cache_append_prefix(cache, key);
    buf_append_string(key, name);
    return buf_status(key) == STATUS_OK ? STATUS_OK : err_fail(err, STATUS_NO_MEMORY, "out of memory");
}

enum status job_flush(struct redis *redis, struct err *err)
{
    size_t n = redis_appended(redis);
    enum status status = redis_flush(redis, err);

    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        status = redis_reply_status(redis_reply_at(redis, i), err);
    return status;
}

bool job_reply_begins(const struct redis_reply *reply, const char *word)
{
    const char *text;
    size_t len;

    if (redis_reply_type_of(reply) != REDIS_ERROR)
        return false;
    text = redis_reply_bytes(reply, &len);
    return len >= strlen(word) && memcmp(text, word, strlen(word)) == 0;
}

bool job_copy_text(const struct redis_reply *reply, char *text, size_t size)
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

bool job_copy_field(const struct redis_reply *fields, const char *name, char *text, size_t size)
{
    for (size_t i = 0; i + 1 < redis_reply_length(fields); i += 2)
        if (reply_is(redis_reply_element(fields, i), name))
            return job_copy_text(redis_reply_element(fields, i + 1), text, size);
    return false;
}

static int64_t integer_field(const struct redis_reply *fields, const char *name, int64_t otherwise)
{
    char text[24];
    int64_t value;

    if (job_copy_field(fields, name, text, sizeof text) &&
        parse_int64_bytes(text, strlen(text), 0, INT64_MAX, &value) == STATUS_OK)
        return value;
    return otherwise;
}

int64_t job_id_ms(const char *id)
{
    int64_t ms;

    return parse_int64_bytes(id, strcspn(id, "-"), 0, INT64_MAX, &ms) == STATUS_OK ? ms : 0;
}

bool job_read_fields(const struct redis_reply *fields, struct job *job)
{
    if (!job_copy_field(fields, "kind", job->kind, sizeof job->kind) ||
        !job_copy_field(fields, "user", job->user_id, sizeof job->user_id))
        return false;
    if (!job_copy_field(fields, "reason", job->reason, sizeof job->reason))
        job->reason[0] = '\0'; /* only for logs */
    job->attempts = integer_field(fields, "attempts", 0);
    job->born_ms = integer_field(fields, "born", job_id_ms(job->id));
    return job->kind[0] != '\0' && user_id_is_valid(job->user_id);
}

/* --- adding --------------------------------------------------------------------------------- */

/* A Redis that is full takes no job for as long as that lasts; it is there, and takes invalidations. */
static enum status added(const struct redis_reply *reply, struct err *err)
{
    enum status status = redis_reply_status(reply, err);

    return redis_reply_error_class(reply) == REDIS_ERROR_REFUSED ? STATUS_LIMIT : status;
}

enum status job_stream_add_many(struct cache *cache, struct redis *redis, struct job_request *requests, size_t n,
                                struct err *err)
{
    struct buf key = BUF_INIT;
    enum status status = job_make_key(cache, "jobs", &key, err);

    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        redis_append_words(redis, "XADD", key.data, "MAXLEN", "~", STREAM_MAX, "*", "kind", requests[i].kind, "user",
                           requests[i].user_id, "reason", requests[i].reason, NULL);
    if (status == STATUS_OK && n > 0)
        status = redis_flush(redis, err);
    for (size_t i = 0; i < n; i++)
        requests[i].status = status == STATUS_OK ? added(redis_reply_at(redis, i), err) : status;
    buf_release(&key);
    return status;
}

enum status job_stream_add(struct cache *cache, struct redis *redis, const char *kind, const char *user_id,
                           const char *reason, struct err *err)
{
    struct job_request one = {.kind = kind, .user_id = user_id, .reason = reason};
    enum status status = job_stream_add_many(cache, redis, &one, 1, err);

    return status == STATUS_OK ? one.status : status;
}

void job_append_again(struct redis *redis, const char *key, const struct job *job)
{
    char attempts[24], born[24];

    (void)snprintf(attempts, sizeof attempts, "%lld", (long long)job->attempts);
    (void)snprintf(born, sizeof born, "%lld", (long long)job->born_ms);
    redis_append_words(redis, "XADD", key, "MAXLEN", "~", STREAM_MAX, "*", "kind", job->kind, "user", job->user_id,
                       "reason", job->reason, "attempts", attempts, "born", born, NULL);
}

enum status job_stream_prepare(struct cache *cache, struct redis *redis, struct err *err)
{
    struct buf key = BUF_INIT;
    enum status status = job_make_key(cache, "jobs", &key, err);

    if (status == STATUS_OK) {
        redis_append_words(redis, "XGROUP", "CREATE", key.data, JOB_GROUP, "0", "MKSTREAM", NULL);
        status = redis_flush(redis, err);
    }
    if (status == STATUS_OK && redis_reply_error_class(redis_reply_at(redis, 0)) == REDIS_ERROR_TYPE)
        status = err_fail(err, STATUS_INTERNAL, "the key %s holds something else than a stream; delete it", key.data);
    else if (status == STATUS_OK && !job_reply_begins(redis_reply_at(redis, 0), "BUSYGROUP"))
        status = redis_reply_status(redis_reply_at(redis, 0), err);
    buf_release(&key);
    return status;
}

/* --- taking --------------------------------------------------------------------------------- */

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
        struct job job = {.deliveries = 1};

        if (redis_reply_length(entry) != 2 || !job_copy_text(redis_reply_element(entry, 0), job.id, sizeof job.id))
            continue;
        if (job_read_fields(redis_reply_element(entry, 1), &job))
            t->jobs[t->n++] = job;
        else
            memcpy(t->bad[t->n_bad++], job.id, sizeof job.id);
    }
}

static enum status recreate_group(struct cache *cache, struct redis *redis, const struct redis_reply *reply,
                                  struct err *err)
{
    if (job_reply_begins(reply, "NOGROUP")) /* flushed: nothing to take, but tomorrow's jobs need the group */
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

        redis_append_words(redis, "XAUTOCLAIM", key, JOB_GROUP, consumer, idle, start, "COUNT", count, NULL);
        status = redis_flush(redis, err);
        if (status != STATUS_OK)
            break;
        reply = redis_reply_at(redis, 0);
        if (redis_reply_type_of(reply) == REDIS_ERROR)
            return recreate_group(cache, redis, reply, err);
        if (redis_reply_length(reply) < 2 || !job_copy_text(redis_reply_element(reply, 0), start, sizeof start))
            return err_fail(err, STATUS_INTERNAL, "XAUTOCLAIM answered something unknown");
        take_entries(redis_reply_element(reply, 1), t);
        if (strcmp(start, "0-0") == 0)
            break;
    }
    return status;
}

/* How often each claimed job was delivered: the last of XPENDING's [id, consumer, idle, deliveries]. */
static enum status read_deliveries(struct redis *redis, const char *key, struct taking *t, struct err *err)
{
    enum status status;

    for (size_t i = 0; i < t->n; i++)
        redis_append_words(redis, "XPENDING", key, JOB_GROUP, t->jobs[i].id, t->jobs[i].id, "1", NULL);
    status = job_flush(redis, err);
    for (size_t i = 0; i < t->n && status == STATUS_OK; i++) {
        const struct redis_reply *rows = redis_reply_at(redis, i);

        if (redis_reply_length(rows) == 1 && redis_reply_length(redis_reply_element(rows, 0)) == 4)
            t->jobs[i].deliveries = redis_reply_integer(redis_reply_element(redis_reply_element(rows, 0), 3));
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
        redis_append_words(redis, "XREADGROUP", "GROUP", JOB_GROUP, consumer, "COUNT", count, "BLOCK", block, "STREAMS",
                           key, ">", NULL);
    else
        redis_append_words(redis, "XREADGROUP", "GROUP", JOB_GROUP, consumer, "COUNT", count, "STREAMS", key, ">",
                           NULL);
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
    redis_append_words(redis, "XACK", key, JOB_GROUP, id, NULL);
    redis_append_words(redis, "XDEL", key, id, NULL);
}

static enum status take_some(struct cache *cache, struct redis *redis, const char *key, const char *consumer,
                             int64_t claim_idle_ms, int64_t block_ms, struct taking *t, struct err *err)
{
    enum status status = STATUS_OK;

    if (claim_idle_ms >= 0)
        status = claim(cache, redis, key, consumer, claim_idle_ms, t, err);
    if (status == STATUS_OK && t->n > 0)
        status = read_deliveries(redis, key, t, err);
    else if (status == STATUS_OK && t->n_bad == 0)
        status = read_new(cache, redis, key, consumer, block_ms, t, err);
    if (status != STATUS_OK || t->n_bad == 0)
        return status;
    for (size_t i = 0; i < t->n_bad; i++)
        append_finish(redis, key, t->bad[i]);
    return job_flush(redis, err);
}

enum status job_stream_take(struct cache *cache, struct redis *redis, const char *consumer, int64_t claim_idle_ms,
                            int64_t block_ms, struct job *ret_jobs, size_t max, size_t *ret_n, struct err *err)
{
    struct taking t = {.jobs = ret_jobs, .max = max};
    struct buf key = BUF_INIT;
    enum status status = job_make_key(cache, "jobs", &key, err);

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

/* --- holding and ending --------------------------------------------------------------------- */

enum status job_stream_keep(struct cache *cache, struct redis *redis, const char *consumer,
                            const struct job *const *jobs, size_t n, struct err *err)
{
    struct buf key = BUF_INIT;
    enum status status = job_make_key(cache, "jobs", &key, err);

    if (status == STATUS_OK) {
        for (size_t i = 0; i < n; i++) /* JUSTID: not a delivery */
            redis_append_words(redis, "XCLAIM", key.data, JOB_GROUP, consumer, "0", jobs[i]->id, "JUSTID", NULL);
        status = job_flush(redis, err);
    }
    buf_release(&key);
    return status;
}

enum status job_stream_finish(struct cache *cache, struct redis *redis, const struct job *const *jobs, size_t n,
                              struct err *err)
{
    struct buf key = BUF_INIT;
    enum status status = job_make_key(cache, "jobs", &key, err);

    if (status == STATUS_OK) {
        for (size_t i = 0; i < n; i++)
            append_finish(redis, key.data, jobs[i]->id);
        status = job_flush(redis, err);
    }
    buf_release(&key);
    return status;
}

enum status job_stream_put_back(struct cache *cache, struct redis *redis, const struct job *job, struct err *err)
{
    struct buf key = BUF_INIT;
    enum status status = job_make_key(cache, "jobs", &key, err);

    if (status == STATUS_OK) {
        job_append_again(redis, key.data, job);
        status = job_flush(redis, err);
    }
    buf_release(&key);
    return status == STATUS_OK ? job_stream_finish(cache, redis, &job, 1, err) : status;
}

enum status job_stream_leave(struct cache *cache, struct redis *redis, const char *consumer, struct err *err)
{
    const struct redis_reply *reply;
    struct buf key = BUF_INIT;
    enum status status = job_make_key(cache, "jobs", &key, err);

    if (status == STATUS_OK)
        status = redis_command(redis, &reply, err, "XPENDING", key.data, JOB_GROUP, "-", "+", "1", consumer, NULL);
    if (status == STATUS_OK && redis_reply_length(reply) == 0)
        status = redis_command(redis, &reply, err, "XGROUP", "DELCONSUMER", key.data, JOB_GROUP, consumer, NULL);
    buf_release(&key);
    return status;
}

/* --- active users -------------------------------------------------------------------------- */

enum status active_users_forget(struct cache *cache, struct redis *redis, const char *user_id, struct err *err)
{
    const struct redis_reply *reply;
    struct buf key = BUF_INIT;
    enum status status = job_make_key(cache, "active:users", &key, err);

    if (status == STATUS_OK)
        status = redis_command(redis, &reply, err, "ZREM", key.data, user_id, NULL);
    buf_release(&key);
    return status == STATUS_OK ? activity_hours_forget(cache, redis, user_id, err) : status;
}

static enum status note_activity(struct cache *cache, struct redis *redis, const char *user_id, bool visit,
                                 struct err *err)
{
    struct buf key = BUF_INIT;
    struct instant now = clock_now();
    char seen_s[24];
    bool erased;
    enum status status = job_make_key(cache, "active:users", &key, err);

    (void)snprintf(seen_s, sizeof seen_s, "%lld", (long long)(now.us / US_PER_SECOND));
    if (status == STATUS_OK)
        status = cache_append_tombstone_look(cache, redis, user_id);
    if (status == STATUS_OK) {
        redis_append_words(redis, "ZADD", key.data, seen_s, user_id, NULL);
        if (visit)
            status = activity_hours_append_note(cache, redis, user_id, now, err);
    }
    if (status == STATUS_OK)
        status = job_flush(redis, err);
    buf_release(&key);
    if (status != STATUS_OK)
        return status;
    erased = redis_reply_integer(redis_reply_at(redis, 0)) != 0;
    return erased ? active_users_forget(cache, redis, user_id, err) : STATUS_OK;
}

enum status active_users_touch(struct cache *cache, struct redis *redis, const char *user_id, struct err *err)
{
    return note_activity(cache, redis, user_id, false, err);
}

enum status active_users_visit(struct cache *cache, struct redis *redis, const char *user_id, struct err *err)
{
    return note_activity(cache, redis, user_id, true, err);
}

static enum status copy_ids(const struct redis_reply *members, char ***ret_ids, size_t *ret_n, struct err *err)
{
    size_t n = 0, length = redis_reply_length(members);
    char **ids = calloc(length + 1, sizeof *ids);

    for (size_t i = 0; ids != NULL && i < length; i++) {
        char id[USER_ID_MAX + 1];

        if (!job_copy_text(redis_reply_element(members, i), id, sizeof id) || !user_id_is_valid(id))
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
    enum status status = job_make_key(cache, "active:users", &key, err);

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
