/* Taking a user out of the queue: the streams jobs and jobs:dead by pages, jobs:later by a scan. And taking out consumers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/settings.h"
#include "lib/store/job_stream_internal.h"
#include "lib/store/key_walk.h"

#define PAGE "1000"

struct forgetting {
    struct redis *redis;
    const char *user_id, *but;
};

static bool is_wanted(const struct forgetting *f, const struct redis_reply *fields)
{
    char user_id[USER_ID_MAX + 1], kind[32];

    return job_copy_field(fields, "user", user_id, sizeof user_id) && strcmp(user_id, f->user_id) == 0 &&
           !(job_copy_field(fields, "kind", kind, sizeof kind) && strcmp(kind, f->but) == 0);
}

/* One page of a stream from *start on, which moves behind its last entry. *ret_more: there may be others. */
static enum status forget_page(const struct forgetting *f, const char *key, char start[64], bool *ret_more,
                               struct err *err)
{
    const struct redis_reply *entries;
    enum status status = redis_command(f->redis, &entries, err, "XRANGE", key, start, "+", "COUNT", PAGE, NULL);
    char id[48] = "";

    if (status != STATUS_OK)
        return status;
    *ret_more = redis_reply_length(entries) > 0;
    for (size_t i = 0; i < redis_reply_length(entries); i++) {
        const struct redis_reply *entry = redis_reply_element(entries, i);

        if (redis_reply_length(entry) != 2 || !job_copy_text(redis_reply_element(entry, 0), id, sizeof id))
            return err_fail(err, STATUS_INTERNAL, "XRANGE gave an answer of another shape");
        if (!is_wanted(f, redis_reply_element(entry, 1)))
            continue;
        redis_append_words(f->redis, "XACK", key, JOB_GROUP, id, NULL);
        redis_append_words(f->redis, "XDEL", key, id, NULL);
    }
    (void)snprintf(start, 64, "(%s", id);
    /* XACK may say NOGROUP where there is none: only the transport counts. */
    return redis_appended(f->redis) > 0 ? redis_flush(f->redis, err) : STATUS_OK;
}

static enum status forget_in_stream(const struct forgetting *f, const char *key, struct err *err)
{
    enum status status = STATUS_OK;
    char start[64] = "-";
    bool more = true;

    while (status == STATUS_OK && more)
        status = forget_page(f, key, start, &more, err);
    return status;
}

/* Members whose job is the user's; their scores, every other element, are none. */
static void append_removals(const struct forgetting *f, const char *key, const struct redis_reply *elements)
{
    char error[512];
    struct job job;

    for (size_t i = 0; i < redis_reply_length(elements); i += 2) {
        size_t len;
        const char *bytes = redis_reply_bytes(redis_reply_element(elements, i), &len);
        char *member = strndup(bytes, len);

        if (member != NULL && job_read_later(member, &job, error, sizeof error) &&
            strcmp(job.user_id, f->user_id) == 0 && strcmp(job.kind, f->but) != 0)
            redis_append_words(f->redis, "ZREM", key, member, NULL);
        free(member);
    }
}

static enum status forget_in_later(const struct forgetting *f, const char *key, struct err *err)
{
    char cursor[KEY_WALK_CURSOR_SIZE] = KEY_WALK_START;
    enum status status;

    do {
        const struct redis_reply *reply;

        status = redis_command(f->redis, &reply, err, "ZSCAN", key, cursor, "COUNT", PAGE, NULL);
        if (status != STATUS_OK)
            return status;
        if (redis_reply_length(reply) != 2 || !job_copy_text(redis_reply_element(reply, 0), cursor, sizeof cursor))
            return err_fail(err, STATUS_INTERNAL, "ZSCAN gave an answer of another shape");
        append_removals(f, key, redis_reply_element(reply, 1));
        if (redis_appended(f->redis) > 0)
            status = redis_flush(f->redis, err);
    } while (status == STATUS_OK && !key_walk_is_over(cursor));
    return status;
}

enum status job_stream_forget(struct cache *cache, struct redis *redis, const char *user_id, const char *but,
                              struct err *err)
{
    static const char *const names[] = {"jobs", "jobs:dead", "jobs:later"};
    const struct forgetting f = {redis, user_id, but};
    enum status status = STATUS_OK;

    for (size_t i = 0; i < 3 && status == STATUS_OK; i++) {
        struct buf key = BUF_INIT;

        status = job_make_key(cache, names[i], &key, err);
        if (status == STATUS_OK)
            status = i < 2 ? forget_in_stream(&f, key.data, err) : forget_in_later(&f, key.data, err);
        buf_release(&key);
    }
    return status;
}

/* --- consumers ------------------------------------------------------------------------------- */

/* In one step, because deleting a consumer that was given a job meanwhile would lose the job. XINFO's fields come in
 * pairs. */
static const char consumers_script[] =
    "local removed = 0 "
    "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end "
    "for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do "
    "  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group[2])) do "
    "    local of = {} "
    "    for i = 1, #consumer, 2 do of[consumer[i]] = consumer[i + 1] end "
    "    if of.pending == 0 and of.idle >= tonumber(ARGV[1]) then "
    "      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], group[2], of.name) "
    "      removed = removed + 1 "
    "    end "
    "  end "
    "end "
    "return removed";

int64_t job_stream_consumer_idle_ms(const struct settings *settings)
{
    return settings->job_timeout_s * 4000;
}

enum status job_stream_drop_consumers(const struct cache *cache, struct redis *redis, int64_t idle_ms, int64_t *ret_n,
                                      struct err *err)
{
    const struct redis_reply *reply;
    struct buf key = BUF_INIT;
    char idle[24];
    enum status status = job_make_key(cache, "jobs", &key, err);

    (void)snprintf(idle, sizeof idle, "%lld", (long long)idle_ms);
    if (status == STATUS_OK)
        status = redis_command(redis, &reply, err, "EVAL", consumers_script, "1", key.data, idle, NULL);
    if (status == STATUS_OK)
        *ret_n = redis_reply_integer(reply);
    buf_release(&key);
    return status;
}
