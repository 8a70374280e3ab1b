#include "jobs/dataset_refresh.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/store/job_stream.h"

#define AHEAD_MARKET_S 120

/* The canonical texts of the requests, in the order of their worth. */
struct texts {
    size_t n, max;
    char **items;
};

/* --- what was asked ------------------------------------------------------------------------------ */

static void append_key(const struct cache *cache, struct buf *key)
{
    cache_append_prefix(cache, key);
    buf_append_string(key, "wanted:shared");
}

static void append_note(struct redis *redis, const struct settings *settings, const char *key, const char *text)
{
    char now[24], oldest[24], last[24], ttl[24];

    (void)snprintf(now, sizeof now, "%lld", (long long)(clock_now().us / US_PER_SECOND));
    (void)snprintf(oldest, sizeof oldest, "(%lld",
                   (long long)(clock_now().us / US_PER_SECOND - settings->active_window_s));
    (void)snprintf(last, sizeof last, "%lld", (long long)(-settings->wanted_datasets - 1));
    (void)snprintf(ttl, sizeof ttl, "%lld", (long long)settings->active_window_s);
    redis_append_words(redis, "ZADD", key, now, text, NULL);
    redis_append_words(redis, "ZREMRANGEBYSCORE", key, "-inf", oldest, NULL);
    redis_append_words(redis, "ZREMRANGEBYRANK", key, "0", last, NULL);
    redis_append_words(redis, "EXPIRE", key, ttl, NULL);
}

enum status dataset_note_wanted(struct cache *cache, struct redis *redis, const struct settings *settings,
                                const struct dataset_request *r, struct err *err)
{
    struct buf key = BUF_INIT, text = BUF_INIT;
    enum status status = STATUS_OK;

    if (!r->dataset->shared || r->dataset->refresh == REFRESH_NONE || r->cursor_at > 0 ||
        settings->wanted_datasets == 0)
        return STATUS_OK;
    append_key(cache, &key);
    dataset_request_append_text(r, &text);
    if (buf_status(&key) != STATUS_OK || buf_status(&text) != STATUS_OK) {
        status = err_fail(err, STATUS_NO_MEMORY, "out of memory");
    } else {
        append_note(redis, settings, key.data, text.data);
        status = redis_flush(redis, err);
        if (status == STATUS_OK)
            status = redis_reply_status(redis_reply_at(redis, 0), err);
    }
    buf_release(&key);
    buf_release(&text);
    return status;
}

/* --- what to do ---------------------------------------------------------------------------------- */

static enum status add_text(struct texts *texts, const char *text, size_t len, struct err *err)
{
    if (texts->n == texts->max)
        return STATUS_OK;
    texts->items[texts->n] = strndup(text, len);
    if (texts->items[texts->n] == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    texts->n++;
    return STATUS_OK;
}

static enum status add_request(struct texts *texts, const struct dataset_request *r, struct err *err)
{
    struct buf text = BUF_INIT;
    enum status status;

    dataset_request_append_text(r, &text);
    status = buf_status(&text) == STATUS_OK ? add_text(texts, text.data, text.len, err)
                                            : err_fail(err, STATUS_NO_MEMORY, "out of memory");
    buf_release(&text);
    return status;
}

static enum status add_asked(struct dataset_refresh *f, struct texts *texts, struct err *err)
{
    struct buf key = BUF_INIT;
    const struct redis_reply *reply = NULL;
    char last[24];
    enum status status;

    append_key(f->cache, &key);
    (void)snprintf(last, sizeof last, "%lld", (long long)f->settings->wanted_datasets - 1);
    status = buf_status(&key) == STATUS_OK
                 ? redis_command(f->redis, &reply, err, "ZREVRANGE", key.data, "0", last, NULL)
                 : err_fail(err, STATUS_NO_MEMORY, "out of memory");
    for (size_t i = 0; status == STATUS_OK && i < redis_reply_length(reply); i++) {
        size_t len;
        const char *bytes = redis_reply_bytes(redis_reply_element(reply, i), &len);
        status = add_text(texts, bytes, len, err);
    }
    buf_release(&key);
    return status;
}

int dataset_symbol_param(const struct dataset *d)
{
    int found = -1;

    for (size_t i = 0; i < d->n_params; i++) {
        if (!d->params[i].required)
            continue;
        if (found >= 0 || d->params[i].type != DATASET_SYMBOL || d->params[i].list_max > 0)
            return -1;
        found = (int)i;
    }
    return found;
}

static bool is_of_kind(const struct dataset_refresh *f, const struct dataset *d)
{
    return d->shared && d->refresh == f->kind;
}

static enum status add_plain(struct dataset_refresh *f, struct texts *texts, struct err *err)
{
    struct dataset_request r = {.dataset = NULL};
    enum status status = STATUS_OK;
    const char *field;

    for (size_t i = 0; i < dataset_set_count(f->set) && status == STATUS_OK; i++) {
        const struct dataset *d = dataset_set_at(f->set, i);
        if (!is_of_kind(f, d))
            continue;
        dataset_request_begin(&r, d);
        if (dataset_request_complete(&r, &field, NULL) == STATUS_OK)
            status = add_request(texts, &r, err);
    }
    dataset_request_release(&r);
    return status;
}

/* Of every dataset that is about one symbol. */
static enum status add_symbol(struct dataset_refresh *f, const char *symbol, struct texts *texts, struct err *err)
{
    struct dataset_request r = {.dataset = NULL};
    enum status status = STATUS_OK;
    const char *field;

    for (size_t i = 0; i < dataset_set_count(f->set) && status == STATUS_OK; i++) {
        const struct dataset *d = dataset_set_at(f->set, i);
        int param = is_of_kind(f, d) ? dataset_symbol_param(d) : -1;
        if (param < 0)
            continue;
        dataset_request_begin(&r, d);
        if (dataset_request_put(&r, (size_t)param, symbol, NULL) == STATUS_OK &&
            dataset_request_complete(&r, &field, NULL) == STATUS_OK)
            status = add_request(texts, &r, err);
    }
    dataset_request_release(&r);
    return status;
}

static enum status query_held(struct dataset_refresh *f, size_t n, const char *const *user_ids,
                              struct db_result **ret_result, struct err *err)
{
    static const char sql[] = "SELECT DISTINCT upper(symbol)::text FROM ("
                              "SELECT symbol FROM pnlcache.stock_trades WHERE user_id = ANY ($1::text[]) "
                              "AND (exit_date IS NULL OR exit_date > now()) UNION ALL "
                              "SELECT symbol FROM pnlcache.option_trades WHERE user_id = ANY ($1::text[]) "
                              "AND (exit_date IS NULL OR exit_date > now())) AS held LIMIT $2::bigint";
    struct buf ids = BUF_INIT;
    char limit[24];
    const char *params[] = {NULL, limit};
    enum status status;

    db_append_text_array(&ids, n, user_ids);
    (void)snprintf(limit, sizeof limit, "%lld", (long long)f->settings->wanted_datasets);
    params[0] = ids.data;
    status = buf_status(&ids) == STATUS_OK ? db_query(f->db, "held_symbols", sql, 2, params, ret_result, err)
                                           : err_fail(err, STATUS_NO_MEMORY, "out of memory");
    buf_release(&ids);
    return status;
}

static bool any_is_of_a_symbol(const struct dataset_refresh *f)
{
    for (size_t i = 0; i < dataset_set_count(f->set); i++)
        if (is_of_kind(f, dataset_set_at(f->set, i)) && dataset_symbol_param(dataset_set_at(f->set, i)) >= 0)
            return true;
    return false;
}

/* Symbols that active users hold open. */
static enum status add_held(struct dataset_refresh *f, struct texts *texts, struct err *err)
{
    struct db_result *result = NULL;
    char **ids = NULL;
    size_t n = 0;
    enum status status;

    if (!any_is_of_a_symbol(f))
        return STATUS_OK;
    status = active_users_list(f->cache, f->redis, f->settings->active_window_s, ACTIVE_USERS_MAX, &ids, &n, err);
    if (status != STATUS_OK)
        return status;
    if (n > 0)
        status = query_held(f, n, (const char *const *)ids, &result, err);
    for (size_t i = 0; result != NULL && status == STATUS_OK && i < db_result_rows(result); i++) {
        struct db_field field = db_result_field(result, i, 0);
        char symbol[DATASET_SYMBOL_MAX + 1];
        if (field.bytes == NULL || field.len >= sizeof symbol)
            continue;
        memcpy(symbol, field.bytes, field.len);
        symbol[field.len] = '\0';
        status = add_symbol(f, symbol, texts, err);
    }
    db_result_free(&result);
    text_array_free(ids, n);
    return status;
}

/* --- doing it ------------------------------------------------------------------------------------ */

static int64_t ahead_s(const struct dataset *d)
{
    return d->refresh == REFRESH_MARKET && d->ttl_s / 2 > AHEAD_MARKET_S ? AHEAD_MARKET_S : d->ttl_s / 2;
}

static enum status store(struct dataset_refresh *f, const struct dataset_request *r, const char *key,
                         const struct cache_epochs *epochs, const struct cache_body *body, struct err *err)
{
    struct cache_store one = {.key = key,
                              .tags = &r->tags,
                              .epochs = epochs,
                              .body = body,
                              .ttl_s = body->nothing_there ? f->settings->cache_ttl_not_found_s : r->dataset->ttl_s};
    enum status status;

    if (one.ttl_s == 0)
        return STATUS_OK;
    status = cache_store_many(f->cache, f->redis, &one, 1, err);
    if (status != STATUS_OK)
        return status;
    if (one.status == STATUS_LIMIT && f->on_too_large != NULL)
        f->on_too_large(f->context, r->dataset);
    f->refused += one.status != STATUS_OK && one.status != STATUS_CONFLICT && one.status != STATUS_LIMIT;
    f->stored += one.status == STATUS_OK;
    f->unchanged += one.status == STATUS_OK && one.unchanged;
    return STATUS_OK;
}

static enum status compute(struct dataset_refresh *f, const struct dataset_request *r, const char *key,
                           const struct cache_epochs *epochs, struct err *err)
{
    struct buf out = BUF_INIT;
    struct cache_body body;
    int64_t begin_us = clock_monotonic_us();
    enum status status = dataset_compute(f->db, r, "", &out, &body, err);

    if (status == STATUS_OK) {
        body.cost_us = clock_monotonic_us() - begin_us;
        status = store(f, r, key, epochs, &body, err);
    } else if (status != STATUS_UNAVAILABLE) { /* of this one alone */
        f->failed++;
        f->on_failed(f->context, r->dataset, status, err->text);
        status = STATUS_OK;
    }
    buf_release(&out);
    return status;
}

enum status dataset_refresh_one(struct dataset_refresh *f, const struct dataset_request *r, struct err *err)
{
    static const char *const nobody = "";
    struct buf key = BUF_INIT;
    struct cache_epochs epochs;
    struct cache_check check = {.tags = &r->tags, .epochs = &epochs, .ahead_s = ahead_s(r->dataset)};
    enum status status = cache_open_epochs(f->cache, f->redis, &r->tags, 1, &nobody, &epochs, err);

    dataset_request_append_key(f->cache, r, NULL, &key);
    if (status == STATUS_OK && buf_status(&key) != STATUS_OK)
        status = err_fail(err, STATUS_NO_MEMORY, "out of memory");
    check.key = key.data;
    if (status == STATUS_OK)
        status = cache_check_many(f->cache, f->redis, &check, 1, err);
    f->considered++;
    if (status == STATUS_OK && check.verdict == CACHE_HIT)
        f->valid++;
    else if (status == STATUS_OK)
        status = compute(f, r, key.data, &epochs, err);
    buf_release(&key);
    return status;
}

static enum status renew_all(struct dataset_refresh *f, const struct texts *texts, struct err *err)
{
    struct dataset_request r = {.dataset = NULL};
    enum status status = STATUS_OK;

    for (size_t i = 0; i < texts->n && status == STATUS_OK && !atomic_load(f->stop); i++) {
        /* What is of another set, or was tampered with, ages out. */
        if (dataset_request_parse_text(&r, f->set, texts->items[i]) == STATUS_OK && is_of_kind(f, r.dataset))
            status = dataset_refresh_one(f, &r, err);
        f->on_progress(f->context, i + 1, texts->n);
    }
    dataset_request_release(&r);
    return status;
}

enum status dataset_refresh_run(struct dataset_refresh *f, struct err *err)
{
    struct texts texts = {.max = (size_t)f->settings->wanted_datasets};
    enum status status;

    if (texts.max == 0)
        return STATUS_OK;
    texts.items = calloc(texts.max + 1, sizeof *texts.items);
    if (texts.items == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    status = add_plain(f, &texts, err);
    if (status == STATUS_OK)
        status = add_asked(f, &texts, err);
    if (status == STATUS_OK)
        status = add_held(f, &texts, err);
    if (status == STATUS_OK)
        status = renew_all(f, &texts, err);
    text_array_free(texts.items, texts.n);
    return status;
}
