#include "lib/store/activity_hours.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/store/job_stream_internal.h"

#define US_PER_HOUR (3600 * US_PER_SECOND)
#define WEIGHTS_FROM_US                                                                                                \
    (INT64_C(20089) * US_PER_DAY) /* 2025-01-01; a double holds the weights of 4,000 years from there */
#define DOUBLING_US (28 * US_PER_DAY)
#define KEY_TTL_S "9676800" /* sixteen weeks: an hour in which nobody comes any more */

int activity_hour_of_week(struct instant t)
{
    int64_t hours = t.us / US_PER_HOUR + 72; /* 1970-01-01 was a Thursday */

    return (int)(hours % ACTIVITY_HOURS);
}

/* What a minute seen at `t` adds. */
static double activity_weight(struct instant t)
{
    return exp2((double)(t.us - WEIGHTS_FROM_US) / (double)DOUBLING_US);
}

static enum status make_key(const struct cache *cache, int hour, struct buf *key, struct err *err)
{
    buf_clear(key);
    cache_append_prefix(cache, key);
    buf_append_format(key, "activity:hours:%03d", hour);
    return buf_status(key) == STATUS_OK ? STATUS_OK : err_fail(err, STATUS_NO_MEMORY, "out of memory");
}

enum status activity_hours_append_note(const struct cache *cache, struct redis *redis, const char *user_id,
                                       struct instant now, struct err *err)
{
    struct buf key = BUF_INIT;
    char weight[32];
    enum status status = make_key(cache, activity_hour_of_week(now), &key, err);

    if (status == STATUS_OK) {
        (void)snprintf(weight, sizeof weight, "%.9g", activity_weight(now));
        redis_append_words(redis, "ZINCRBY", key.data, weight, user_id, NULL);
        redis_append_words(redis, "EXPIRE", key.data, KEY_TTL_S, NULL);
    }
    buf_release(&key);
    return status;
}

/* --- who is likely ---------------------------------------------------------------------------------------- */

struct likely {
    char *id;
    double score;
};

static int compare_ids(const void *a, const void *b)
{
    return strcmp(((const struct likely *)a)->id, ((const struct likely *)b)->id);
}

static int compare_scores(const void *a, const void *b)
{
    double x = ((const struct likely *)a)->score, y = ((const struct likely *)b)->score;

    return (x < y) - (x > y);
}

/* Adds [member, score, ...] times `part`. */
static enum status take(const struct redis_reply *pairs, double part, struct likely *users, size_t *n, struct err *err)
{
    for (size_t i = 0; i + 1 < redis_reply_length(pairs); i += 2) {
        size_t id_len, score_len;
        const char *id = redis_reply_bytes(redis_reply_element(pairs, i), &id_len);
        const char *score = redis_reply_bytes(redis_reply_element(pairs, i + 1), &score_len);
        char *copy = strndup(id, id_len);

        if (copy == NULL)
            return err_fail(err, STATUS_NO_MEMORY, "out of memory");
        users[(*n)++] = (struct likely){copy, strtod(score, NULL) * part};
    }
    return STATUS_OK;
}

/* Users of both hours become one; those whose id is not valid go. Gives the new number. */
static size_t merge(struct likely *users, size_t n)
{
    size_t kept = 0;

    qsort(users, n, sizeof *users, compare_ids);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && strcmp(users[kept - 1].id, users[i].id) == 0) {
            users[kept - 1].score += users[i].score;
            free(users[i].id);
        } else if (user_id_is_valid(users[i].id)) {
            users[kept++] = users[i];
        } else {
            free(users[i].id);
        }
    }
    qsort(users, kept, sizeof *users, compare_scores);
    return kept;
}

static enum status read_hours(const struct cache *cache, struct redis *redis, int hour, size_t max, struct err *err)
{
    struct buf key = BUF_INIT;
    char last[24];
    enum status status = STATUS_OK;

    (void)snprintf(last, sizeof last, "%zu", max - 1);
    for (int i = 0; i < 2 && status == STATUS_OK; i++) {
        status = make_key(cache, (hour + i) % ACTIVITY_HOURS, &key, err);
        if (status == STATUS_OK)
            redis_append_words(redis, "ZREVRANGE", key.data, "0", last, "WITHSCORES", NULL);
    }
    buf_release(&key);
    return status == STATUS_OK ? job_flush(redis, err) : status;
}

static enum status to_ids(struct likely *users, size_t n, size_t max, char ***ret_ids, size_t *ret_n, struct err *err)
{
    char **ids = calloc(max + 1, sizeof *ids);

    if (ids == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    *ret_n = n < max ? n : max;
    for (size_t i = 0; i < *ret_n; i++) {
        ids[i] = users[i].id;
        users[i].id = NULL;
    }
    *ret_ids = ids;
    return STATUS_OK;
}

static enum status find_likely(const struct cache *cache, struct redis *redis, struct instant now, size_t max,
                               struct likely *users, size_t *n, struct err *err)
{
    double part = (double)(now.us % US_PER_HOUR) / (double)US_PER_HOUR; /* of the present hour that is over */
    enum status status = read_hours(cache, redis, activity_hour_of_week(now), max, err);

    if (status == STATUS_OK)
        status = take(redis_reply_at(redis, 0), 1 - part, users, n, err);
    if (status == STATUS_OK)
        status = take(redis_reply_at(redis, 1), part, users, n, err);
    if (status == STATUS_OK)
        *n = merge(users, *n);
    return status;
}

enum status activity_hours_likely(const struct cache *cache, struct redis *redis, struct instant now, size_t max,
                                  char ***ret_ids, size_t *ret_n, struct err *err)
{
    struct likely *users = calloc(2 * max, sizeof *users);
    size_t n = 0;
    enum status status;

    if (users == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    status = find_likely(cache, redis, now, max, users, &n, err);
    if (status == STATUS_OK)
        status = to_ids(users, n, max, ret_ids, ret_n, err);
    for (size_t i = 0; i < n; i++)
        free(users[i].id);
    free(users);
    return status;
}

/* --- forgetting --------------------------------------------------------------------------------------------- */

/* One command for each hour; *ret_n: the sum of what they answer. */
static enum status for_each_hour(const struct cache *cache, struct redis *redis, const char *command, const char *first,
                                 const char *second, int64_t *ret_n, struct err *err)
{
    struct buf key = BUF_INIT;
    enum status status = STATUS_OK;

    for (int hour = 0; hour < ACTIVITY_HOURS && status == STATUS_OK; hour++) {
        status = make_key(cache, hour, &key, err);
        if (status == STATUS_OK)
            redis_append_words(redis, command, key.data, first, second, NULL);
    }
    buf_release(&key);
    if (status == STATUS_OK)
        status = job_flush(redis, err);
    *ret_n = 0;
    for (size_t i = 0; i < ACTIVITY_HOURS && status == STATUS_OK; i++)
        *ret_n += redis_reply_integer(redis_reply_at(redis, i));
    return status;
}

enum status activity_hours_prune(const struct cache *cache, struct redis *redis, struct instant now, int64_t age_s,
                                 int64_t *ret_n, struct err *err)
{
    char below[32];

    (void)snprintf(below, sizeof below, "(%.9g", activity_weight((struct instant){now.us - age_s * US_PER_SECOND}));
    return for_each_hour(cache, redis, "ZREMRANGEBYSCORE", "-inf", below, ret_n, err);
}

enum status activity_hours_forget(const struct cache *cache, struct redis *redis, const char *user_id, struct err *err)
{
    int64_t ignored;

    return for_each_hour(cache, redis, "ZREM", user_id, NULL, &ignored, err);
}
