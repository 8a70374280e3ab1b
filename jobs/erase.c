#include "jobs/erase.h"

#include <string.h>

#include "lib/store/job_stream.h"
#include "lib/store/key_walk.h"
#include "lib/store/session_store.h"

struct walk {
    struct redis *redis;
    struct buf pattern, tombstone;
    char cursor[KEY_WALK_CURSOR_SIZE];
    size_t n_unlinked;
};

static bool is(const char *bytes, size_t len, const struct buf *text)
{
    return len == text->len && memcmp(bytes, text->data, len) == 0;
}

static enum status step(struct walk *w, struct err *err)
{
    const struct redis_reply *keys;
    enum status status = key_walk_step(w->redis, w->pattern.data, w->cursor, &keys, err);

    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < redis_reply_length(keys); i++) {
        size_t len;
        const char *bytes = redis_reply_bytes(redis_reply_element(keys, i), &len);

        if (!is(bytes, len, &w->tombstone))
            redis_append(w->redis, 2, (const char *const[]){"UNLINK", bytes}, (const size_t[]){6, len});
    }
    w->n_unlinked += redis_appended(w->redis);
    return redis_appended(w->redis) > 0 ? redis_flush(w->redis, err) : STATUS_OK;
}

/* The hash tag ends every id, so no other user's keys hold it; SCAN's pattern gives a meaning to none of the bytes that
 * an encoded id or KEY_PREFIX may have. */
static enum status prepare(struct walk *w, const struct cache *cache, const char *user_id, struct err *err)
{
    buf_init(&w->pattern);
    buf_init(&w->tombstone);
    cache_append_prefix(cache, &w->pattern);
    buf_append_string(&w->pattern, "*{");
    cache_append_user(&w->pattern, user_id);
    buf_append_string(&w->pattern, "}*");
    cache_append_tombstone_key(cache, &w->tombstone, user_id);
    if (buf_status(&w->pattern) != STATUS_OK || buf_status(&w->tombstone) != STATUS_OK)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    return STATUS_OK;
}

enum status erase_user(struct cache *cache, struct redis *redis, const char *user_id, bool (*go_on)(void *context),
                       void *context, size_t *ret_keys, struct err *err)
{
    struct walk w = {.redis = redis, .cursor = KEY_WALK_START};
    size_t n_sessions = 0;
    enum status status = prepare(&w, cache, user_id, err);

    if (status == STATUS_OK)
        status = active_users_forget(cache, redis, user_id, err);
    if (status == STATUS_OK) /* their keys do not name the user */
        status = session_end_all(cache, redis, user_id, NULL, NULL, &n_sessions, err);
    if (status == STATUS_OK)
        status = job_stream_forget(cache, redis, user_id, ERASE_JOB, err);
    while (status == STATUS_OK) {
        status = step(&w, err);
        if (key_walk_is_over(w.cursor))
            break;
        if (status == STATUS_OK && go_on != NULL && !go_on(context))
            status = err_fail(err, STATUS_UNAVAILABLE, "stopped during the erasure of a user");
    }
    if (status == STATUS_OK)
        *ret_keys = w.n_unlinked + n_sessions;
    buf_release(&w.pattern);
    buf_release(&w.tombstone);
    return status;
}
