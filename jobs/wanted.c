#include "jobs/wanted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/collection.h"
#include "jobs/document_text.h"
#include "jobs/event.h"
#include "lib/base/text.h"

#define COLLECTION "collection:"

static enum status append_key(const struct cache *cache, const char *user_id, struct buf *key, struct err *err)
{
    cache_append_prefix(cache, key);
    buf_append_string(key, "wanted:{");
    cache_append_user(key, user_id);
    buf_append_char(key, '}');
    return buf_status(key) == STATUS_OK ? STATUS_OK : err_fail(err, STATUS_NO_MEMORY, "out of memory");
}

static void format_number(char text[24], int64_t number)
{
    (void)snprintf(text, 24, "%lld", (long long)number);
}

/* Scores are milliseconds, so that requests of one second keep their order. */
static int64_t now_ms(void)
{
    return clock_now().us / 1000;
}

static int64_t oldest_ms(const struct settings *settings)
{
    return now_ms() - settings->active_window_s * 1000;
}

/* --- noting ------------------------------------------------------------------------------------- */

static void append_note(struct redis *redis, const struct settings *settings, const char *key, const char *text)
{
    char now[24], oldest[24], surplus[24], window[24];

    format_number(now, now_ms());
    format_number(oldest, oldest_ms(settings));
    format_number(surplus, -settings->wanted_documents - 1);
    format_number(window, settings->active_window_s);
    redis_append_words(redis, "ZADD", key, now, text, NULL);
    redis_append_words(redis, "ZREMRANGEBYRANK", key, "0", surplus, NULL);
    redis_append_words(redis, "ZREMRANGEBYSCORE", key, "-inf", oldest, NULL);
    redis_append_words(redis, "EXPIRE", key, window, NULL);
}

/* What is in the way (another type) is deleted; the next note is taken. */
static enum status flush_notes(struct redis *redis, const char *key, struct err *err)
{
    const struct redis_reply *reply;
    enum status status = redis_flush(redis, err);

    if (status != STATUS_OK)
        return status;
    if (redis_reply_error_class(redis_reply_at(redis, 0)) != REDIS_ERROR_TYPE)
        return redis_reply_status(redis_reply_at(redis, 0), err);
    return redis_command(redis, &reply, err, "DEL", key, NULL);
}

static enum status note(struct redis *redis, const struct settings *settings, const char *key, const char *text,
                        struct err *err)
{
    append_note(redis, settings, key, text);
    return flush_notes(redis, key, err);
}

enum status wanted_note_collections(struct cache *cache, struct redis *redis, const struct settings *settings,
                                    const char *user_id, size_t n, const char *const *names, struct err *err)
{
    struct buf key = BUF_INIT, text = BUF_INIT;
    enum status status = STATUS_OK;

    if (settings->wanted_documents > 0 && n > 0)
        status = append_key(cache, user_id, &key, err);
    for (size_t i = 0; i < n && status == STATUS_OK && key.len > 0; i++) {
        buf_clear(&text);
        buf_append_format(&text, COLLECTION "%s", names[i]);
        append_note(redis, settings, key.data, text.data);
    }
    if (status == STATUS_OK && key.len > 0)
        status = flush_notes(redis, key.data, err);
    buf_release(&key);
    buf_release(&text);
    return status;
}

enum status wanted_note_all_collections(struct cache *cache, struct redis *redis, const struct settings *settings,
                                        const struct dataset_set *datasets, const char *user_id, struct err *err)
{
    const char **names;
    enum status status;

    if (datasets == NULL)
        return STATUS_OK;
    names = calloc(dataset_set_count(datasets) + 1, sizeof *names);
    if (names == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    status = wanted_note_collections(cache, redis, settings, user_id, collection_names(datasets, names), names, err);
    free(names);
    return status;
}

enum status wanted_note(struct cache *cache, struct redis *redis, const struct settings *settings, const char *user_id,
                        const struct document_request *request, struct err *err)
{
    struct buf key = BUF_INIT, text = BUF_INIT;
    enum status status;

    if (settings->wanted_documents == 0 || document_is_precomputed(request))
        return STATUS_OK;
    document_append_text(request, &text);
    status = append_key(cache, user_id, &key, err);
    if (status == STATUS_OK)
        status = buf_status(&text) == STATUS_OK ? note(redis, settings, key.data, text.data, err)
                                                : err_fail(err, STATUS_NO_MEMORY, "out of memory");
    buf_release(&key);
    buf_release(&text);
    return status;
}

/* --- reading ------------------------------------------------------------------------------------ */

void wanted_release(struct wanted *wanted)
{
    for (size_t i = 0; i < wanted->n; i++)
        free(wanted->texts[i]);
    free(wanted->texts);
    free(wanted->requests);
    text_array_free(wanted->collections, wanted->n_collections);
    *wanted = (struct wanted){0};
}

/* A member that is one of our texts; false: it is not. */
static enum status take_member(const char *bytes, size_t len, struct wanted *wanted, bool *ret_taken)
{
    char *text = strndup(bytes, len);

    if (text == NULL)
        return STATUS_NO_MEMORY;
    if (strncmp(text, COLLECTION, sizeof COLLECTION - 1) == 0) {
        *ret_taken = true;
        memmove(text, text + sizeof COLLECTION - 1, strlen(text) - sizeof COLLECTION + 2);
        wanted->collections[wanted->n_collections++] = text;
        return STATUS_OK;
    }
    *ret_taken = strlen(text) == len && document_parse_text(text, &wanted->requests[wanted->n]) == STATUS_OK &&
                 !document_is_precomputed(&wanted->requests[wanted->n]);
    if (*ret_taken)
        wanted->texts[wanted->n++] = text;
    else
        free(text);
    return STATUS_OK;
}

/* Takes one user's record, and appends the removal of what is none of ours. */
static enum status take_members(struct redis *redis, const char *key, const struct redis_reply *members,
                                struct wanted *wanted)
{
    size_t n = redis_reply_length(members);
    enum status status = STATUS_OK;

    wanted->requests = calloc(n + 1, sizeof *wanted->requests);
    wanted->texts = calloc(n + 1, sizeof *wanted->texts);
    wanted->collections = calloc(n + 1, sizeof *wanted->collections);
    if (wanted->requests == NULL || wanted->texts == NULL || wanted->collections == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        const char *zrem[] = {"ZREM", key, NULL};
        size_t lengths[] = {4, strlen(key), 0};
        bool taken = false;

        zrem[2] = redis_reply_bytes(redis_reply_element(members, i), &lengths[2]);
        status = take_member(zrem[2], lengths[2], wanted, &taken);
        if (status != STATUS_OK || taken)
            continue;
        wanted->n_dropped++;
        redis_append(redis, 3, zrem, lengths);
    }
    return status;
}

static enum status take_record(struct redis *redis, const char *key, const struct redis_reply *reply,
                               struct wanted *wanted, struct err *err)
{
    if (redis_reply_error_class(reply) == REDIS_ERROR_TYPE) {
        wanted->n_dropped = 1;
        redis_append_words(redis, "DEL", key, NULL);
        return STATUS_OK;
    }
    if (redis_reply_error_class(reply) != REDIS_ERROR_NONE)
        return redis_reply_status(reply, err);
    if (redis_reply_length(reply) == 0)
        return STATUS_OK;
    return take_members(redis, key, reply, wanted) == STATUS_OK ? STATUS_OK
                                                                : err_fail(err, STATUS_NO_MEMORY, "out of memory");
}

static enum status ask(const struct cache *cache, struct redis *redis, const struct settings *settings, size_t n_users,
                       const char *const *user_ids, struct buf *key, struct err *err)
{
    char oldest[24], most[24];
    enum status status = STATUS_OK;

    format_number(oldest, oldest_ms(settings));
    format_number(most, settings->wanted_documents);
    for (size_t i = 0; i < n_users && status == STATUS_OK; i++) {
        buf_clear(key);
        status = append_key(cache, user_ids[i], key, err);
        redis_append_words(redis, "ZREVRANGEBYSCORE", key->data, "+inf", oldest, "LIMIT", "0", most, NULL);
    }
    if (status == STATUS_OK)
        return redis_flush(redis, err);
    (void)!redis_flush(redis, NULL); /* reads only: they must not stay in the queue */
    return status;
}

/* The removal of damaged members: failing to is no failure. */
static void flush_removals(struct redis *redis)
{
    if (redis_appended(redis) > 0)
        (void)!redis_flush(redis, NULL);
}

enum status wanted_read(struct cache *cache, struct redis *redis, const struct settings *settings, size_t n_users,
                        const char *const *user_ids, struct wanted *ret_wanted, struct err *err)
{
    struct buf key = BUF_INIT;
    enum status status;

    if (settings->wanted_documents == 0 || n_users == 0)
        return STATUS_OK;
    status = ask(cache, redis, settings, n_users, user_ids, &key, err);
    for (size_t i = 0; i < n_users && status == STATUS_OK; i++) {
        buf_clear(&key);
        status = append_key(cache, user_ids[i], &key, err);
        if (status == STATUS_OK)
            status = take_record(redis, key.data, redis_reply_at(redis, i), &ret_wanted[i], err);
    }
    flush_removals(redis);
    buf_release(&key);
    return status;
}

enum status wanted_forget(struct cache *cache, struct redis *redis, const char *user_id, const char *text,
                          struct err *err)
{
    const struct redis_reply *reply;
    struct buf key = BUF_INIT;
    enum status status = append_key(cache, user_id, &key, err);

    if (status == STATUS_OK)
        status = redis_command(redis, &reply, err, "ZREM", key.data, text, NULL);
    buf_release(&key);
    return status;
}

/* --- jobs --------------------------------------------------------------------------------------- */

/* The tags of `tags` that `known` has, but for shared ones. */
static struct cache_tags own_tags_in(const struct cache_tags *tags, const struct cache_tags *known)
{
    struct cache_tags in = {.n = 0};

    for (size_t i = 0; i < tags->n; i++)
        if (!tags->tags[i].shared && event_tags_hold(known, tags->tags[i].name))
            in.tags[in.n++] = tags->tags[i];
    return in;
}

enum status wanted_call_for_job(struct cache *cache, struct redis *redis, const struct settings *settings,
                                const struct dataset_set *datasets, const char *user_id, const struct cache_tags *tags,
                                bool *ret_needed, struct err *err)
{
    struct cache_tags own = own_tags_in(tags, document_tags_of_needs(DOCUMENT_TAG_SETS - 1));
    struct wanted wanted = {0};
    enum status status;
    bool needed = own_tags_in(tags, document_tags_of_needs(0)).n > 0;

    if (needed || (own.n == 0 && (datasets == NULL || !collections_depend_on(datasets, NULL, tags)))) {
        *ret_needed = needed;
        return STATUS_OK;
    }
    status = wanted_read(cache, redis, settings, 1, &user_id, &wanted, err);
    for (size_t i = 0; i < wanted.n && !needed; i++)
        needed = document_depends_on(&wanted.requests[i], &own);
    needed = needed || (datasets != NULL && collections_depend_on(datasets, &wanted, tags));
    wanted_release(&wanted);
    if (status == STATUS_OK)
        *ret_needed = needed;
    return status;
}
