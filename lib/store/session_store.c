#include "lib/store/session_store.h"

#include <stdio.h>

#include "lib/base/parse_number.h"
#include "lib/store/cache_internal.h"

#define FORMAT "1 "
#define FAMILY "session:"

/* --- keys and values ------------------------------------------------------------------------------ */

void session_append_prefix(const struct cache *cache, struct buf *key)
{
    cache_append_prefix(cache, key);
    buf_append_string(key, FAMILY);
}

bool session_parse_key(const struct cache *cache, const char *key, size_t len, char ret_name[SESSION_NAME_SIZE])
{
    struct buf prefix = BUF_INIT;

    session_append_prefix(cache, &prefix);
    bool ours = buf_status(&prefix) == STATUS_OK && len == prefix.len + SESSION_NAME_LEN &&
                memcmp(key, prefix.data, prefix.len) == 0;
    if (ours) {
        memcpy(ret_name, key + prefix.len, SESSION_NAME_LEN);
        ret_name[SESSION_NAME_LEN] = '\0';
    }
    buf_release(&prefix);
    return ours;
}

static void make_key(const struct cache *cache, struct buf *key, const char *name)
{
    buf_clear(key);
    session_append_prefix(cache, key);
    buf_append_string(key, name);
}

static void make_index_key(const struct cache *cache, struct buf *key, const char *user_id)
{
    buf_clear(key);
    cache_append_prefix(cache, key);
    buf_append_string(key, "sessions:{");
    cache_append_user(key, user_id);
    buf_append_char(key, '}');
}

static int64_t end_s(const struct session_terms *terms, int64_t created_s, int64_t now_s)
{
    int64_t idle_s = now_s + terms->idle_s, last_s = created_s + terms->lifetime_s;

    return idle_s < last_s ? idle_s : last_s;
}

static int64_t unix_s(struct instant now)
{
    return now.us / US_PER_SECOND;
}

/* Of a text that `end` ends: a number up to the next blank; moves on behind that. */
static bool take_number(const char **text, const char *end, int64_t max, int64_t *ret_number)
{
    const char *blank = memchr(*text, ' ', (size_t)(end - *text));

    if (!blank || parse_int64_bytes(*text, (size_t)(blank - *text), 0, max, ret_number) != STATUS_OK)
        return false;
    *text = blank + 1;
    return true;
}

static bool parse_value(const char *text, size_t len, struct session *session)
{
    const char *end = text + len;
    int64_t role;

    if (len < strlen(FORMAT) || memcmp(text, FORMAT, strlen(FORMAT)) != 0)
        return false;
    text += strlen(FORMAT);
    if (!take_number(&text, end, INT64_MAX / US_PER_SECOND, &session->created_s) ||
        !take_number(&text, end, 9, &role) || (size_t)(end - text) > USER_ID_MAX)
        return false;
    session->role = (unsigned)role;
    memcpy(session->user_id, text, (size_t)(end - text));
    session->user_id[end - text] = '\0';
    return user_id_is_valid(session->user_id);
}

/* --- ending --------------------------------------------------------------------------------------- */

/* Names given by a reply stay readable only until the next flush, which is ours. */
static void append_end(const struct cache *cache, struct redis *redis, struct buf *key, const char *index,
                       const char *name)
{
    make_key(cache, key, name);
    redis_append_words(redis, "UNLINK", key->data, NULL);
    redis_append_words(redis, "ZREM", index, name, NULL);
}

/* Sends the ends of n sessions that were appended; counts those that there were. */
static enum status carry_out_ends(struct redis *redis, size_t n, size_t *ret_n, struct err *err)
{
    size_t ended = 0;

    redis_append_words(redis, "INFO", "replication", NULL);
    enum status status = redis_flush_repeatable(redis, err);
    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        status = redis_reply_status(redis_reply_at(redis, 2 * i), err);
        ended += status == STATUS_OK && redis_reply_integer(redis_reply_at(redis, 2 * i)) > 0;
    }
    if (status == STATUS_OK)
        status = cache_wait_for_replicas(redis, redis_reply_at(redis, 2 * n), err);
    if (status == STATUS_OK)
        *ret_n = ended;
    return status;
}

struct ending {
    void (*forget)(void *context, const char *name); /* may be NULL */
    void *context;
};

/* Ends the sessions whose names a reply lists. */
static enum status end_listed(const struct cache *cache, struct redis *redis, const char *index,
                              const struct redis_reply *list, const struct ending *ending, size_t *ret_n,
                              struct err *err)
{
    size_t n = redis_reply_length(list);
    struct buf key = BUF_INIT, names = BUF_INIT; /* which outlive the reply */

    for (size_t i = 0; i < n; i++) {
        char name[SESSION_NAME_SIZE] = "";
        size_t len;
        const char *bytes = redis_reply_bytes(redis_reply_element(list, i), &len);

        memcpy(name, bytes, len < SESSION_NAME_LEN ? len : SESSION_NAME_LEN);
        buf_append(&names, name, sizeof name);
        append_end(cache, redis, &key, index, name);
    }
    enum status status = carry_out_ends(redis, n, ret_n, err);
    if (buf_status(&key) != STATUS_OK || buf_status(&names) != STATUS_OK)
        status = err_fail(err, STATUS_NO_MEMORY, "out of memory");
    for (size_t at = 0; ending->forget != NULL && at < names.len; at += SESSION_NAME_SIZE)
        ending->forget(ending->context, names.data + at);
    buf_release(&key);
    buf_release(&names);
    return status;
}

enum status session_end(const struct cache *cache, struct redis *redis, const char *name, const char *user_id,
                        size_t *ret_n, struct err *err)
{
    struct buf key = BUF_INIT, index = BUF_INIT;

    make_index_key(cache, &index, user_id);
    append_end(cache, redis, &key, index.data, name);
    enum status status = carry_out_ends(redis, 1, ret_n, err);
    if (status == STATUS_OK && (buf_status(&key) != STATUS_OK || buf_status(&index) != STATUS_OK))
        status = err_fail(err, STATUS_NO_MEMORY, "out of memory");
    buf_release(&key);
    buf_release(&index);
    return status;
}

enum status session_end_all(const struct cache *cache, struct redis *redis, const char *user_id,
                            void (*forget)(void *context, const char *name), void *context, size_t *ret_n,
                            struct err *err)
{
    const struct ending ending = {forget, context};
    struct buf index = BUF_INIT;

    make_index_key(cache, &index, user_id);
    redis_append_words(redis, "ZRANGE", index.data, "0", "-1", NULL);
    enum status status = redis_flush_repeatable(redis, err);
    if (status == STATUS_OK)
        status = redis_reply_status(redis_reply_at(redis, 0), err);
    if (status == STATUS_OK && buf_status(&index) != STATUS_OK)
        status = err_fail(err, STATUS_NO_MEMORY, "out of memory");
    if (status == STATUS_OK)
        status = end_listed(cache, redis, index.data, redis_reply_at(redis, 0), &ending, ret_n, err);
    buf_release(&index);
    return status;
}

/* --- beginning ------------------------------------------------------------------------------------ */

enum {
    CREATE_PURGED,
    CREATE_INDEXED,
    CREATE_INDEX_KEPT,
    CREATE_STORED,
    CREATE_ERASED,
    CREATE_TOO_MANY,
    CREATE_REPLIES
};

/* All or nothing, so that no session is without its place in the index, nor stored unseen by an erasure. */
static enum status append_create(const struct cache *cache, struct redis *redis, const char *name, const char *index,
                                 const struct session_terms *terms, const struct session *session)
{
    struct buf key = BUF_INIT, value = BUF_INIT, tombstone = BUF_INIT;
    char now[24], end[24], ttl[24], lifetime[24], rest[24];

    make_key(cache, &key, name);
    cache_append_tombstone_key(cache, &tombstone, session->user_id);
    buf_append_format(&value, FORMAT "%lld %u %s", (long long)session->created_s, session->role, session->user_id);
    enum status status =
        buf_status(&key) == STATUS_OK && buf_status(&tombstone) == STATUS_OK ? buf_status(&value) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        (void)snprintf(now, sizeof now, "%lld", (long long)session->created_s);
        (void)snprintf(end, sizeof end, "%lld", (long long)session->expires_s);
        (void)snprintf(ttl, sizeof ttl, "%lld", (long long)(session->expires_s - session->created_s));
        (void)snprintf(lifetime, sizeof lifetime, "%lld", (long long)terms->lifetime_s);
        (void)snprintf(rest, sizeof rest, "%d", -SESSIONS_PER_USER - 1);
        redis_append_words(redis, "MULTI", NULL);
        redis_append_words(redis, "ZREMRANGEBYSCORE", index, "-inf", now, NULL);
        redis_append_words(redis, "ZADD", index, end, name, NULL);
        redis_append_words(redis, "EXPIRE", index, lifetime, NULL);
        redis_append_words(redis, "SET", key.data, value.data, "EX", ttl, NULL);
        redis_append_words(redis, "EXISTS", tombstone.data, NULL);
        redis_append_words(redis, "ZRANGE", index, "0", rest, NULL);
        redis_append_words(redis, "EXEC", NULL);
    }
    buf_release(&key);
    buf_release(&value);
    buf_release(&tombstone);
    return status;
}

/* The reply of EXEC; a refusal of one of the commands is a failure of them all. */
static enum status take_created(struct redis *redis, const struct redis_reply **ret_replies, struct err *err)
{
    size_t n = redis_appended(redis);
    enum status status = redis_flush_repeatable(redis, err);

    for (size_t i = 0; i < n && status == STATUS_OK; i++) /* OOM is told where a command is queued, and again by EXEC */
        status = redis_reply_status(redis_reply_at(redis, i), err);
    if (status != STATUS_OK)
        return status;
    *ret_replies = redis_reply_at(redis, n - 1);
    if (redis_reply_length(*ret_replies) != CREATE_REPLIES)
        return err_fail(err, STATUS_UNAVAILABLE, "Redis answered a transaction with something else");
    for (size_t i = 0; i < CREATE_REPLIES && status == STATUS_OK; i++)
        status = redis_reply_status(redis_reply_element(*ret_replies, i), err);
    return status;
}

/* What was stored but must not stay: a session of an erased user, and those that are too many. */
static enum status tidy(const struct cache *cache, struct redis *redis, const char *name, const char *index,
                        const struct session *session, struct err *err)
{
    static const struct ending unnoticed; /* here; tracking tells */
    const struct redis_reply *replies = NULL;
    size_t n;
    enum status status = take_created(redis, &replies, err);

    if (status != STATUS_OK)
        return status;
    if (redis_reply_integer(redis_reply_element(replies, CREATE_ERASED)) > 0) {
        status = session_end(cache, redis, name, session->user_id, &n, err);
        return status == STATUS_OK ? err_fail(err, STATUS_CONFLICT, "the user was erased") : status;
    }
    if (redis_reply_length(redis_reply_element(replies, CREATE_TOO_MANY)) == 0)
        return STATUS_OK;
    return end_listed(cache, redis, index, redis_reply_element(replies, CREATE_TOO_MANY), &unnoticed, &n, err);
}

enum status session_create(const struct cache *cache, struct redis *redis, const char *name,
                           const struct session_terms *terms, struct session *session, struct err *err)
{
    struct buf index = BUF_INIT;

    session->expires_s = end_s(terms, session->created_s, session->created_s);
    make_index_key(cache, &index, session->user_id);
    enum status status = buf_status(&index);
    if (status == STATUS_OK)
        status = append_create(cache, redis, name, index.data, terms, session);
    status = status == STATUS_OK ? tidy(cache, redis, name, index.data, session, err)
                                 : err_fail(err, status, "out of memory");
    buf_release(&index);
    return status;
}

/* --- using ---------------------------------------------------------------------------------------- */

static enum status judge(const struct redis_reply *value, const struct redis_reply *ttl,
                         const struct session_terms *terms, struct instant now, struct session *ret_session)
{
    int64_t last_s, left_ms = redis_reply_integer(ttl);
    size_t len;

    if (redis_reply_error_class(value) != REDIS_ERROR_NONE || redis_reply_error_class(ttl) != REDIS_ERROR_NONE)
        return redis_reply_error_class(value) == REDIS_ERROR_TYPE ? STATUS_NOT_FOUND : STATUS_UNAVAILABLE;
    if (redis_reply_type_of(value) != REDIS_STRING)
        return STATUS_NOT_FOUND;
    const char *text = redis_reply_bytes(value, &len);
    if (!parse_value(text, len, ret_session))
        return STATUS_NOT_FOUND;
    last_s = ret_session->created_s + terms->lifetime_s;
    ret_session->expires_s = unix_s(now) + (left_ms > 0 ? left_ms / 1000 : left_ms);
    if (left_ms == -1 || ret_session->expires_s > last_s) /* somebody took its TTL away, or SESSION_LIFETIME was cut */
        ret_session->expires_s = last_s;
    return left_ms == -2 || unix_s(now) >= last_s ? STATUS_NOT_FOUND : STATUS_OK;
}

void session_read_many(const struct cache *cache, struct redis *redis, const struct session_terms *terms,
                       struct instant now, struct session_lookup *lookups, size_t n)
{
    struct buf key = BUF_INIT;
    struct err ignored;

    for (size_t i = 0; i < n; i++) {
        make_key(cache, &key, lookups[i].name);
        redis_append_words(redis, "GET", key.data, NULL);
        redis_append_words(redis, "PTTL", key.data, NULL);
    }
    enum status status = redis_flush_repeatable(redis, &ignored);
    if (status == STATUS_OK)
        status = buf_status(&key);
    buf_release(&key);
    for (size_t i = 0; i < n; i++)
        lookups[i].status = status != STATUS_OK ? status
                                                : judge(redis_reply_at(redis, 2 * i), redis_reply_at(redis, 2 * i + 1),
                                                        terms, now, &lookups[i].session);
}

enum status session_slide(const struct cache *cache, struct redis *redis, const char *name,
                          const struct session_terms *terms, const struct session *session, struct instant now,
                          struct err *err)
{
    int64_t now_s = unix_s(now), until_s = end_s(terms, session->created_s, now_s);
    struct buf key = BUF_INIT, index = BUF_INIT;
    char ttl[24], end[24], lifetime[24];

    (void)snprintf(ttl, sizeof ttl, "%lld", (long long)(until_s - now_s));
    (void)snprintf(end, sizeof end, "%lld", (long long)until_s);
    (void)snprintf(lifetime, sizeof lifetime, "%lld", (long long)terms->lifetime_s);
    make_key(cache, &key, name);
    make_index_key(cache, &index, session->user_id);
    enum status status = buf_status(&key) == STATUS_OK ? buf_status(&index) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        redis_append_words(redis, "EXPIRE", key.data, ttl, NULL);
        redis_append_words(redis, "ZADD", index.data, "XX", end, name, NULL); /* only where it is still indexed */
        redis_append_words(redis, "EXPIRE", index.data, lifetime, NULL);
        status = redis_flush_repeatable(redis, err);
    } else {
        status = err_fail(err, status, "out of memory");
    }
    if (status == STATUS_OK)
        status = redis_reply_status(redis_reply_at(redis, 0), err);
    if (status == STATUS_OK && redis_reply_integer(redis_reply_at(redis, 0)) == 0)
        status = err_fail(err, STATUS_NOT_FOUND, "the session has ended");
    buf_release(&key);
    buf_release(&index);
    return status;
}
