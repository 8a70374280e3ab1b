/* Jobs that failed: jobs:later and jobs:dead.
 *
 * A member of the sorted set jobs:later is the job as lines of text (a user id holds no line end), its score the time of the
 * next attempt. Whoever finds it due moves it into the stream in one transaction that fails when somebody else was
 * quicker. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse_number.h"
#include "lib/store/job_stream_internal.h"

#define DEAD_MAX "10000"
#define RESUME_MAX 32

/* --- later ---------------------------------------------------------------------------------- */

static void append_line(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        buf_append_char(out, *text == '\n' ? ' ' : *text);
    buf_append_char(out, '\n');
}

static void append_member(struct buf *out, const struct job *job, const char *error)
{
    append_line(out, job->kind);
    append_line(out, job->user_id);
    buf_append_format(out, "%lld\n%lld\n", (long long)job->attempts, (long long)job->born_ms);
    append_line(out, job->reason);
    append_line(out, error);
}

/* Copies up to the line's end, which *at then stands behind; false: too long, or none left. */
static bool take_line(const char **at, char *text, size_t size)
{
    size_t len = strcspn(*at, "\n");

    if ((*at)[len] != '\n' || len >= size)
        return false;
    memcpy(text, *at, len);
    text[len] = '\0';
    *at += len + 1;
    return true;
}

bool job_read_later(const char *member, struct job *job, char *error, size_t error_size)
{
    char attempts[24], born[24];

    *job = (struct job){.id = ""};
    return take_line(&member, job->kind, sizeof job->kind) && take_line(&member, job->user_id, sizeof job->user_id) &&
           take_line(&member, attempts, sizeof attempts) && take_line(&member, born, sizeof born) &&
           take_line(&member, job->reason, sizeof job->reason) && take_line(&member, error, error_size) &&
           parse_int64_bytes(attempts, strlen(attempts), 0, INT64_MAX, &job->attempts) == STATUS_OK &&
           parse_int64_bytes(born, strlen(born), 0, INT64_MAX, &job->born_ms) == STATUS_OK &&
           user_id_is_valid(job->user_id);
}

enum status job_stream_retry_later(struct cache *cache, struct redis *redis, const struct job *job, const char *error,
                                   int64_t due_ms, struct err *err)
{
    const struct redis_reply *reply;
    struct buf key = BUF_INIT, member = BUF_INIT;
    char due[24];
    enum status status = job_make_key(cache, "jobs:later", &key, err);

    append_member(&member, job, error);
    (void)snprintf(due, sizeof due, "%lld", (long long)due_ms);
    if (status == STATUS_OK)
        status = buf_status(&member);
    if (status == STATUS_OK)
        status = redis_command(redis, &reply, err, "ZADD", key.data, due, member.data, NULL);
    buf_release(&key);
    buf_release(&member);
    return status == STATUS_OK ? job_stream_finish(cache, redis, &job, 1, err) : status;
}

/* MULTI and its commands were appended. */
static enum status end_transaction(struct redis *redis, struct err *err)
{
    size_t n = redis_appended(redis);
    const struct redis_reply *results;
    enum status status;

    redis_append_words(redis, "EXEC", NULL);
    status = job_flush(redis, err);
    if (status != STATUS_OK)
        return status;
    results = redis_reply_at(redis, n);
    if (redis_reply_type_of(results) == REDIS_NIL)
        return err_fail(err, STATUS_CONFLICT, "somebody else was quicker");
    for (size_t i = 0; i < redis_reply_length(results) && status == STATUS_OK; i++)
        status = redis_reply_status(redis_reply_element(results, i), err);
    return status;
}

/* Due members as texts of their own, because the replies go with the next flush. Only the watched key's present state
 * counts; *ret_next_ms is the score of the first that is not due. */
static enum status read_due(struct redis *redis, const char *key, int64_t now_ms, char *ret_members[RESUME_MAX],
                            size_t *ret_n, int64_t *ret_next_ms, struct err *err)
{
    const struct redis_reply *members, *next;
    char now[24], after[32], score[32];
    enum status status;
    size_t len;

    (void)snprintf(now, sizeof now, "%lld", (long long)now_ms);
    (void)snprintf(after, sizeof after, "(%lld", (long long)now_ms);
    redis_append_words(redis, "WATCH", key, NULL);
    redis_append_words(redis, "ZRANGEBYSCORE", key, "-inf", now, "LIMIT", "0", "32", NULL);
    redis_append_words(redis, "ZRANGEBYSCORE", key, after, "+inf", "WITHSCORES", "LIMIT", "0", "1", NULL);
    *ret_n = 0;
    *ret_next_ms = INT64_MAX;
    status = job_flush(redis, err);
    if (status != STATUS_OK)
        return status;
    members = redis_reply_at(redis, 1);
    next = redis_reply_at(redis, 2);
    if (redis_reply_length(next) == 2 && job_copy_text(redis_reply_element(next, 1), score, sizeof score))
        *ret_next_ms = strtoll(score, NULL, 10);
    for (size_t i = 0; i < redis_reply_length(members) && *ret_n < RESUME_MAX; i++) {
        const char *bytes = redis_reply_bytes(redis_reply_element(members, i), &len);

        ret_members[*ret_n] = strndup(bytes, len);
        if (ret_members[*ret_n] != NULL)
            ++*ret_n;
    }
    return STATUS_OK;
}

/* A member that is no job goes with the others, into nothing. */
static enum status move_due(struct redis *redis, const char *later, const char *jobs, char *members[], size_t n,
                            struct err *err)
{
    char error[512];
    struct job job;

    redis_append_words(redis, "MULTI", NULL);
    for (size_t i = 0; i < n; i++) {
        if (job_read_later(members[i], &job, error, sizeof error))
            job_append_again(redis, jobs, &job);
        redis_append_words(redis, "ZREM", later, members[i], NULL);
    }
    return end_transaction(redis, err);
}

enum status job_stream_resume(struct cache *cache, struct redis *redis, int64_t now_ms, int64_t *ret_next_ms,
                              struct err *err)
{
    struct buf later = BUF_INIT, jobs = BUF_INIT;
    char *members[RESUME_MAX];
    size_t n = 0;
    enum status status = job_make_key(cache, "jobs:later", &later, err);

    if (status == STATUS_OK)
        status = job_make_key(cache, "jobs", &jobs, err);
    if (status == STATUS_OK)
        status = read_due(redis, later.data, now_ms, members, &n, ret_next_ms, err);
    if (status == STATUS_OK && n > 0)
        status = move_due(redis, later.data, jobs.data, members, n, err);
    else if (status == STATUS_OK) {
        redis_append_words(redis, "UNWATCH", NULL);
        status = job_flush(redis, err);
    }
    if (status == STATUS_CONFLICT || n == RESUME_MAX) {
        *ret_next_ms = now_ms;
        status = status == STATUS_CONFLICT ? STATUS_OK : status;
    }
    for (size_t i = 0; i < n; i++)
        free(members[i]);
    buf_release(&later);
    buf_release(&jobs);
    return status;
}

/* --- the dead ------------------------------------------------------------------------------- */

/* The dead letter first: if it cannot be written the job stays pending and is buried by the next attempt. */
enum status job_stream_bury(struct cache *cache, struct redis *redis, const struct job *job, const char *error,
                            struct err *err)
{
    const struct redis_reply *reply;
    struct buf dead = BUF_INIT;
    char attempts[24], born[24];
    enum status status = job_make_key(cache, "jobs:dead", &dead, err);

    (void)snprintf(attempts, sizeof attempts, "%lld", (long long)job->attempts);
    (void)snprintf(born, sizeof born, "%lld", (long long)job->born_ms);
    if (status == STATUS_OK)
        status = redis_command(redis, &reply, err, "XADD", dead.data, "MAXLEN", "~", DEAD_MAX, "*", "job", job->id,
                               "kind", job->kind, "user", job->user_id, "reason", job->reason, "attempts", attempts,
                               "born", born, "error", error, NULL);
    buf_release(&dead);
    return status == STATUS_OK ? job_stream_finish(cache, redis, &job, 1, err) : status;
}

/* DIGITS-DIGITS */
static bool is_stream_id(const char *id)
{
    size_t first = strspn(id, "0123456789"), second = id[first] == '-' ? strspn(id + first + 1, "0123456789") : 0;

    return first > 0 && second > 0 && id[first + 1 + second] == '\0';
}

/* The one letter with this id. */
static enum status read_letter(struct redis *redis, const char *dead, const char *id, struct job *ret_job,
                               struct err *err)
{
    const struct redis_reply *reply, *entry;
    enum status status;

    if (!is_stream_id(id))
        return err_fail(err, STATUS_INVALID,
                        "'%s' is not the id of a dead letter; see 'pnlcache-worker jobs list --dead'", id);
    status = redis_command(redis, &reply, err, "XRANGE", dead, id, id, NULL);
    if (status != STATUS_OK)
        return status;
    if (redis_reply_length(reply) == 0)
        return err_fail(err, STATUS_NOT_FOUND, "there is no dead letter %s; see 'pnlcache-worker jobs list --dead'",
                        id);
    entry = redis_reply_element(reply, 0);
    *ret_job = (struct job){.id = ""};
    if (!job_read_fields(redis_reply_element(entry, 1), ret_job))
        return err_fail(err, STATUS_INTERNAL, "the entry %s of jobs:dead is no job; drop it", id);
    return STATUS_OK;
}

enum status job_dead_retry(struct cache *cache, struct redis *redis, const char *dead_id, struct err *err)
{
    struct buf dead = BUF_INIT, jobs = BUF_INIT;
    struct job job;
    enum status status = job_make_key(cache, "jobs:dead", &dead, err);

    if (status == STATUS_OK)
        status = job_make_key(cache, "jobs", &jobs, err);
    if (status == STATUS_OK)
        status = read_letter(redis, dead.data, dead_id, &job, err);
    if (status == STATUS_OK) {
        job.attempts = 0;
        redis_append_words(redis, "MULTI", NULL);
        job_append_again(redis, jobs.data, &job);
        redis_append_words(redis, "XDEL", dead.data, dead_id, NULL);
        status = end_transaction(redis, err);
    }
    buf_release(&dead);
    buf_release(&jobs);
    return status;
}

enum status job_dead_drop(struct cache *cache, struct redis *redis, const char *dead_id, struct err *err)
{
    const struct redis_reply *reply;
    struct buf dead = BUF_INIT;
    enum status status = job_make_key(cache, "jobs:dead", &dead, err);
    struct job job;

    if (status == STATUS_OK)
        status = read_letter(redis, dead.data, dead_id, &job, err);
    if (status == STATUS_OK || status == STATUS_INTERNAL) /* what is no job can be dropped all the same */
        status = redis_command(redis, &reply, err, "XDEL", dead.data, dead_id, NULL);
    buf_release(&dead);
    return status;
}
