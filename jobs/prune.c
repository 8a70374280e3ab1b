#include "jobs/prune.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/key_census.h"
#include "lib/base/log.h"
#include "lib/base/parse_number.h"
#include "lib/base/text.h"
#include "lib/store/activity_hours.h"
#include "lib/store/job_stream.h"
#include "lib/store/key_walk.h"

#define STEP_TEXT "1000"
#define STEP_LAST_TEXT "999"
#define HOURS_AGE_S (INT64_C(112) * 86400)
#define WALK_KEYS_MAX 1000000 /* of one run; the next goes on from there */
#define WALK_TTL_S "604800"   /* how long the walk's position is kept */

struct pruning {
    const struct prune_options *options;
    struct prune_counts *counts;
};

static enum status make_key(const struct pruning *p, const char *name, struct buf *key, struct err *err)
{
    cache_append_prefix(p->options->cache, key);
    buf_append_string(key, name);
    return buf_status(key) == STATUS_OK ? STATUS_OK : err_fail(err, STATUS_NO_MEMORY, "out of memory");
}

/* After a step; true: go on. */
static bool goes_on(const struct pruning *p)
{
    const struct prune_options *o = p->options;

    if (o->on_progress != NULL)
        o->on_progress(o->context, p->counts);
    return o->stop == NULL || !atomic_load(o->stop);
}

/* --- users -------------------------------------------------------------------------------------------- */

/* The highest score of the next step, so that one command removes about STEP members: that of the STEP-th user, but
 * at most `last_s`. */
static enum status find_step(struct redis *redis, const char *key, int64_t last_s, int64_t *ret_highest_s,
                             struct err *err)
{
    const struct redis_reply *reply;
    enum status status =
        redis_command(redis, &reply, err, "ZRANGE", key, STEP_LAST_TEXT, STEP_LAST_TEXT, "WITHSCORES", NULL);
    const char *score;
    size_t len;

    if (status != STATUS_OK)
        return status;
    *ret_highest_s = last_s;
    if (redis_reply_length(reply) == 2) {
        score = redis_reply_bytes(redis_reply_element(reply, 1), &len);
        if (parse_int64_bytes(score, len, 0, last_s, ret_highest_s) != STATUS_OK)
            *ret_highest_s = last_s; /* seen later, or no score of ours */
    }
    return STATUS_OK;
}

/* By score, so that a user who is seen again meanwhile stays. */
static enum status prune_users(struct pruning *p, struct err *err)
{
    int64_t last_s = clock_now().us / US_PER_SECOND - p->options->settings->active_window_s - 1, highest_s = 0;
    struct redis *redis = p->options->redis;
    const struct redis_reply *reply;
    struct buf key = BUF_INIT;
    char highest[24];
    enum status status = make_key(p, "active:users", &key, err);

    while (status == STATUS_OK && highest_s < last_s && goes_on(p)) {
        status = find_step(redis, key.data, last_s, &highest_s, err);
        if (status != STATUS_OK)
            break;
        (void)snprintf(highest, sizeof highest, "%lld", (long long)highest_s);
        status = redis_command(redis, &reply, err, "ZREMRANGEBYSCORE", key.data, "-inf", highest, NULL);
        if (status == STATUS_OK)
            p->counts->users += redis_reply_integer(reply);
    }
    buf_release(&key);
    return status;
}

static enum status prune_hours(struct pruning *p, struct err *err)
{
    return activity_hours_prune(p->options->cache, p->options->redis, clock_now(), HOURS_AGE_S, &p->counts->hours, err);
}

/* --- the queue ---------------------------------------------------------------------------------------- */

/* A stream's id begins with its birth in milliseconds. The stream holds at most 10,000. */
static enum status prune_dead_letters(struct pruning *p, struct err *err)
{
    int64_t before_ms = clock_now().us / 1000 - p->options->settings->dead_letter_age_s * 1000;
    const struct redis_reply *reply;
    struct buf key = BUF_INIT;
    char oldest[24];
    enum status status = make_key(p, "jobs:dead", &key, err);

    (void)snprintf(oldest, sizeof oldest, "%lld", (long long)before_ms);
    if (status == STATUS_OK)
        status = redis_command(p->options->redis, &reply, err, "XTRIM", key.data, "MINID", oldest, NULL);
    if (status == STATUS_OK)
        p->counts->dead_letters = redis_reply_integer(reply);
    buf_release(&key);
    return status;
}

static enum status prune_consumers(struct pruning *p, struct err *err)
{
    return job_stream_drop_consumers(p->options->cache, p->options->redis, p->options->consumer_idle_ms,
                                     &p->counts->consumers, err);
}

/* --- keys without a TTL --------------------------------------------------------------------------------- */

/* Where a connection was cut between a write and its EXPIRE, a value or a user's epochs stay for ever. */
static bool should_have_ttl(const char *key, size_t len, size_t prefix_len)
{
    static const char *const families[] = {"analytics:", "epoch:"};

    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        size_t width = strlen(families[i]);

        if (len > prefix_len + width && memcmp(key + prefix_len, families[i], width) == 0)
            return true;
    }
    return false;
}

/* Names of keys, NUL-terminated, one after the other. */
struct names {
    struct buf bytes;
    size_t n;
};

/* Appends COMMAND key [argument] for each. */
static void append_for_each(struct redis *redis, const struct names *names, const char *command, const char *argument)
{
    const char *name = names->bytes.data;

    for (size_t i = 0; i < names->n; i++, name += strlen(name) + 1)
        redis_append_words(redis, command, name, argument, NULL);
}

static void names_add(struct names *names, const char *name, size_t len)
{
    buf_append(&names->bytes, name, len);
    buf_append_char(&names->bytes, '\0');
    names->n++;
}

static enum status find_unbounded(struct pruning *p, const struct redis_reply *keys, size_t prefix_len,
                                  struct names *ret_names, struct err *err)
{
    struct redis *redis = p->options->redis;
    struct names ours = {.bytes = BUF_INIT};
    enum status status;
    const char *name;

    for (size_t i = 0; i < redis_reply_length(keys); i++) {
        size_t len;
        const char *key = redis_reply_bytes(redis_reply_element(keys, i), &len);

        if (should_have_ttl(key, len, prefix_len) && memchr(key, '\0', len) == NULL)
            names_add(&ours, key, len);
    }
    p->counts->keys_seen += (int64_t)redis_reply_length(keys);
    status = buf_status(&ours.bytes);
    if (status == STATUS_OK && ours.n > 0) {
        append_for_each(redis, &ours, "TTL", NULL);
        status = redis_flush(redis, err);
    }
    name = ours.bytes.data;
    for (size_t i = 0; i < ours.n && status == STATUS_OK; i++, name += strlen(name) + 1)
        if (redis_reply_type_of(redis_reply_at(redis, i)) == REDIS_INTEGER &&
            redis_reply_integer(redis_reply_at(redis, i)) == -1) /* -2: gone meanwhile */
            names_add(ret_names, name, strlen(name));
    buf_release(&ours.bytes);
    return status == STATUS_OK ? buf_status(&ret_names->bytes) : status;
}

/* The longest of our TTLs; a value is judged by its header anyway. */
static enum status bound_keys(struct pruning *p, const struct redis_reply *keys, size_t prefix_len, struct err *err)
{
    struct names names = {.bytes = BUF_INIT};
    char ttl[24];
    enum status status = find_unbounded(p, keys, prefix_len, &names, err);

    (void)snprintf(ttl, sizeof ttl, "%lld", (long long)p->options->settings->cache_ttl_epoch_s);
    if (status == STATUS_OK && names.n > 0) {
        append_for_each(p->options->redis, &names, "EXPIRE", ttl);
        status = redis_flush(p->options->redis, err);
    }
    for (size_t i = 0; i < names.n && status == STATUS_OK; i++) {
        status = redis_reply_status(redis_reply_at(p->options->redis, i), err);
        p->counts->keys_bounded += status == STATUS_OK ? redis_reply_integer(redis_reply_at(p->options->redis, i)) : 0;
    }
    buf_release(&names.bytes);
    return status;
}

/* --- the walk ------------------------------------------------------------------------------------------- */

static enum status read_cursor(struct redis *redis, const char *key, char cursor[KEY_WALK_CURSOR_SIZE], struct err *err)
{
    const struct redis_reply *reply;
    enum status status = redis_command(redis, &reply, err, "GET", key, NULL);
    uint64_t number;
    size_t len;

    (void)snprintf(cursor, KEY_WALK_CURSOR_SIZE, "%s", KEY_WALK_START);
    if (status == STATUS_OK && redis_reply_type_of(reply) == REDIS_STRING) {
        const char *bytes = redis_reply_bytes(reply, &len);

        if (parse_hex64(bytes, len, &number) == STATUS_OK)
            (void)snprintf(cursor, KEY_WALK_CURSOR_SIZE, "%" PRIu64, number);
    }
    return status;
}

/* A cursor is an unsigned number of 64 bits. At the end of the walk there is none to keep. */
static enum status write_cursor(struct redis *redis, const char *key, const char *cursor, struct err *err)
{
    const struct redis_reply *reply;
    char text[17];

    if (key_walk_is_over(cursor))
        return redis_command(redis, &reply, err, "DEL", key, NULL);
    hex64_format(strtoull(cursor, NULL, 10), text);
    return redis_command(redis, &reply, err, "SET", key, text, "EX", WALK_TTL_S, NULL);
}

static void count(const struct redis_reply *keys, size_t prefix_len, struct key_census *census)
{
    for (size_t i = 0; i < redis_reply_length(keys); i++) {
        size_t len;
        const char *key = redis_reply_bytes(redis_reply_element(keys, i), &len);
        key_census_count(census, key + prefix_len, len - prefix_len);
    }
}

/* A full Redis takes no census; pruning it matters more. */
static void keep_census(struct pruning *p, const struct key_census *census, bool begins, bool is_over)
{
    struct err err;

    if (key_census_add(p->options->cache, p->options->redis, census, begins, is_over, &err) != STATUS_OK)
        log_warn("the keys of this walk are not counted", LOG_STR("reason", err.text));
}

static enum status walk(struct pruning *p, const char *pattern, size_t prefix_len, const char *cursor_key,
                        struct err *err)
{
    struct redis *redis = p->options->redis;
    const struct redis_reply *keys;
    struct key_census census = {.n = 0};
    char cursor[KEY_WALK_CURSOR_SIZE];
    enum status status = read_cursor(redis, cursor_key, cursor, err);
    bool begins = key_walk_is_over(cursor); /* which is how a walk starts, too */

    while (status == STATUS_OK) {
        status = key_walk_step(redis, pattern, cursor, &keys, err);
        if (status == STATUS_OK) {
            count(keys, prefix_len, &census);
            status = bound_keys(p, keys, prefix_len, err);
        }
        if (key_walk_is_over(cursor) || p->counts->keys_seen >= WALK_KEYS_MAX || !goes_on(p))
            break;
    }
    if (status == STATUS_OK)
        keep_census(p, &census, begins, key_walk_is_over(cursor));
    return status == STATUS_OK ? write_cursor(redis, cursor_key, cursor, err) : status;
}

static enum status prune_keys(struct pruning *p, struct err *err)
{
    struct buf prefix = BUF_INIT, pattern = BUF_INIT, cursor_key = BUF_INIT;
    enum status status = make_key(p, "", &prefix, err);

    if (status == STATUS_OK)
        status = make_key(p, "schedule:prune", &cursor_key, err);
    if (status == STATUS_OK) {
        glob_append_escaped(&pattern, prefix.data);
        buf_append_char(&pattern, '*');
        status = buf_status(&pattern);
    }
    if (status == STATUS_OK)
        status = walk(p, pattern.data, prefix.len, cursor_key.data, err);
    buf_release(&prefix);
    buf_release(&pattern);
    buf_release(&cursor_key);
    return status;
}

enum status prune(const struct prune_options *options, struct prune_counts *ret_counts, struct err *err)
{
    static enum status (*const parts[])(struct pruning *, struct err *) = {prune_users, prune_hours, prune_dead_letters,
                                                                           prune_consumers, prune_keys};
    struct pruning p = {options, ret_counts};
    enum status status = STATUS_OK;

    *ret_counts = (struct prune_counts){0};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && status == STATUS_OK && goes_on(&p); i++)
        status = parts[i](&p, err);
    return status;
}
