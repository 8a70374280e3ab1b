#include "jobs/rollover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/account_reader.h"
#include "lib/base/parse_number.h"

#define MARK_TTL_S "172800" /* past a day everybody's day has begun anyway */

bool rollover_day_began(const struct account *account, struct instant since, struct instant now)
{
    struct date today = trading_day(account->zone, account->trading_day_start, now);
    struct instant began = trading_day_begin(account->zone, account->trading_day_start, today);

    return began.us > since.us && began.us <= now.us;
}

/* --- many users ------------------------------------------------------------------------------------- */

struct candidate {
    const char *id;
    size_t position;
};

static int compare_candidates(const void *a, const void *b)
{
    return strcmp(((const struct candidate *)a)->id, ((const struct candidate *)b)->id);
}

static enum status read_settings(struct db *db, const struct candidate *users, size_t n, struct account_reader *reader,
                                 struct err *err)
{
    const char **ids = malloc(n * sizeof *ids);
    struct buf array = BUF_INIT;
    enum status status;

    if (ids == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for %zu users", n);
    for (size_t i = 0; i < n; i++)
        ids[i] = users[i].id;
    db_append_text_array(&array, n, ids);
    status = buf_status(&array);
    if (status == STATUS_OK)
        status = account_reader_open(reader, db, array.data, err);
    buf_release(&array);
    free(ids);
    return status;
}

/* users: ascending by id. */
static enum status select_batch(struct db *db, const struct candidate *users, size_t n, struct instant since,
                                struct instant now, bool *ret_began, struct err *err)
{
    struct account_reader reader = {0};
    enum status status = read_settings(db, users, n, &reader, err);

    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        struct account account;

        status = account_reader_get(&reader, users[i].id, &account, err);
        ret_began[users[i].position] = status == STATUS_OK && rollover_day_began(&account, since, now);
        if (status == STATUS_INVALID)
            status = STATUS_OK;
    }
    account_reader_release(&reader);
    return status;
}

enum status rollover_select(struct db *db, size_t n, const char *const *user_ids, size_t batch, struct instant since,
                            struct instant now, const atomic_bool *stop, bool *ret_began, struct err *err)
{
    struct candidate *users = malloc((n + 1) * sizeof *users);
    enum status status = STATUS_OK;

    if (users == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for %zu users", n);
    for (size_t i = 0; i < n; i++)
        users[i] = (struct candidate){user_ids[i], i};
    qsort(users, n, sizeof *users, compare_candidates);
    memset(ret_began, false, n);
    for (size_t i = 0; i < n && status == STATUS_OK && !(stop != NULL && atomic_load(stop)); i += batch)
        status = select_batch(db, users + i, n - i < batch ? n - i : batch, since, now, ret_began, err);
    free(users);
    return status;
}

/* --- the mark --------------------------------------------------------------------------------------- */

static enum status make_key(const struct cache *cache, struct buf *key, struct err *err)
{
    cache_append_prefix(cache, key);
    buf_append_string(key, "schedule:rollover");
    return buf_status(key) == STATUS_OK ? STATUS_OK : err_fail(err, STATUS_NO_MEMORY, "out of memory");
}

enum status rollover_read_mark(const struct cache *cache, struct redis *redis, struct instant *ret_mark,
                               struct err *err)
{
    const struct redis_reply *reply;
    struct buf key = BUF_INIT;
    enum status status = make_key(cache, &key, err);

    if (status == STATUS_OK)
        status = redis_command(redis, &reply, err, "GET", key.data, NULL);
    if (status == STATUS_OK) {
        size_t len = 0;
        const char *text = redis_reply_type_of(reply) == REDIS_STRING ? redis_reply_bytes(reply, &len) : "";

        if (parse_int64_bytes(text, len, 0, INT64_MAX, &ret_mark->us) != STATUS_OK)
            *ret_mark = (struct instant){-INSTANT_NEVER.us};
    }
    buf_release(&key);
    return status;
}

enum status rollover_write_mark(const struct cache *cache, struct redis *redis, struct instant mark, struct err *err)
{
    const struct redis_reply *reply;
    struct buf key = BUF_INIT;
    char text[24];
    enum status status = make_key(cache, &key, err);

    (void)snprintf(text, sizeof text, "%lld", (long long)mark.us);
    if (status == STATUS_OK)
        status = redis_command(redis, &reply, err, "SET", key.data, text, "EX", MARK_TTL_S, NULL);
    buf_release(&key);
    return status;
}
