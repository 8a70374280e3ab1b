/* Runs a dataset's statement. PostgreSQL makes the JSON of the rows; here they get their envelope. */
#include <string.h>

#include "jobs/dataset.h"
#include "jobs/dataset_indicators.h"
#include "jobs/dataset_value.h"
#include "lib/store/db_field.h"

/* A list travels as the text of an array. */
static const char *bind_value(const struct dataset_request *r, size_t param, struct buf *array)
{
    const char *value = dataset_request_value(r, param), *items[DATASET_LIST_MAX];
    struct buf copy = BUF_INIT;
    size_t n = 0;

    if (value == NULL)
        return NULL;
    if (r->dataset->params[param].or_all && strcmp(value, DATASET_ALL) == 0)
        return r->dataset->all_rows;
    if (r->dataset->params[param].list_max == 0)
        return value;
    buf_append_string(&copy, value);
    for (char *at = copy.data; at != NULL && n < DATASET_LIST_MAX; n++) {
        items[n] = at;
        at = strchr(at, ',');
        if (at != NULL)
            *at++ = '\0';
    }
    db_append_text_array(array, n, items);
    array->failed = array->failed || copy.failed;
    buf_release(&copy);
    return array->data;
}

static enum status query(struct db *db, const char *name, const char *sql, const struct dataset_request *r,
                         const char *user_id, struct db_result **ret_result, struct err *err)
{
    const struct dataset *d = r->dataset;
    struct buf arrays[DATASET_MAX_VALUES + 1];
    const char *params[DATASET_MAX_VALUES + 1];
    enum status status = STATUS_OK;

    for (size_t i = 0; i < d->n_bound; i++) {
        buf_init(&arrays[i]);
        params[i] = d->bound[i] == DATASET_USER ? user_id : bind_value(r, (size_t)d->bound[i], &arrays[i]);
        if (buf_status(&arrays[i]) != STATUS_OK)
            status = err_fail(err, STATUS_NO_MEMORY, "out of memory");
    }
    if (status == STATUS_OK)
        status = db_query(db, name, sql, d->n_bound, params, ret_result, err);
    for (size_t i = 0; i < d->n_bound; i++)
        buf_release(&arrays[i]);
    return status;
}

enum status dataset_explain(struct db *db, const struct dataset_request *r, const char *user_id,
                            struct db_result **ret_plan, struct err *err)
{
    struct buf sql = BUF_INIT;
    enum status status;

    buf_append_format(&sql, "EXPLAIN (VERBOSE) %s", r->dataset->sql);
    status = buf_status(&sql) == STATUS_OK ? query(db, "", sql.data, r, user_id, ret_plan, err)
                                           : err_fail(err, STATUS_NO_MEMORY, "out of memory");
    buf_release(&sql);
    return status;
}

enum status dataset_describe(struct db *db, const struct dataset *d, struct db_result **ret_columns, struct err *err)
{
    const char *params[DATASET_MAX_VALUES + 1] = {NULL};
    struct buf sql = BUF_INIT;
    enum status status;

    if (d->indicators)
        return db_query(db, "", dataset_indicators_columns, 0, NULL, ret_columns, err);
    buf_append_format(&sql, "SELECT * FROM (\n%.*s\n) AS r LIMIT 0", (int)d->select_len, d->sql + d->select_at);
    status = buf_status(&sql) == STATUS_OK ? db_query(db, "", sql.data, d->n_bound, params, ret_columns, err)
                                           : err_fail(err, STATUS_NO_MEMORY, "out of memory");
    if (status == STATUS_INVALID)
        err_prefix(err, "%s", d->file);
    buf_release(&sql);
    return status;
}

static void append_paging(const struct dataset_request *r, struct buf *out)
{
    static const char *const names[] = {"limit", "offset"};

    for (size_t i = 0; i < 2; i++) {
        int param = dataset_param_find(r->dataset, names[i], strlen(names[i]));
        const char *value = param >= 0 ? dataset_request_value(r, (size_t)param) : NULL, *quote;
        if (value == NULL || r->dataset->params[param].type != DATASET_INTEGER)
            continue;
        quote = strcmp(value, DATASET_ALL) == 0 ? "\"" : "";
        buf_append_format(out, "\"%s\":%s%s%s,", names[i], quote, value, quote);
    }
}

/* The cursor of the next page; null: this was the last one. */
static void append_next(const struct dataset_request *r, struct db_field position, struct buf *out)
{
    buf_append_string(out, "\"next_cursor\":");
    if (db_field_is_null(position)) {
        buf_append_string(out, "null,");
        return;
    }
    buf_append_char(out, '"');
    dataset_cursor_append(r, (const char *)position.bytes, position.len, out);
    buf_append_string(out, "\",");
}

static bool asks_for_all(const struct dataset_request *r)
{
    int limit = dataset_param_find(r->dataset, "limit", 5);

    return limit >= 0 && r->dataset->params[limit].or_all &&
           strcmp(dataset_request_value(r, (size_t)limit), DATASET_ALL) == 0;
}

static enum status append_rows(const struct dataset_request *r, const struct db_result *result, struct buf *out,
                               int64_t *ret_count, struct err *err)
{
    struct db_field rows;

    if (r->dataset->indicators)
        return dataset_indicators_write(r, result, out, ret_count, err);
    rows = db_result_field(result, 0, 0);
    if (db_field_is_null(rows) || db_field_int64(db_result_field(result, 0, 1), ret_count) != STATUS_OK)
        return err_fail(err, STATUS_INTERNAL, "dataset %s: the answer is not what was asked for", r->dataset->name);
    buf_append(out, rows.bytes, rows.len);
    return STATUS_OK;
}

static struct instant end_of_ttl(const struct dataset *d, const struct cache_body *body)
{
    return (struct instant){body->computed_at.us + d->ttl_s * US_PER_SECOND};
}

/* Sets the end of a body. True: it is when the rows change by themselves, as the statement tells, not the end of the TTL. */
static bool set_end(const struct dataset *d, const struct db_result *result, struct cache_body *body)
{
    struct db_field field;
    struct instant at;

    body->valid_until = end_of_ttl(d, body);
    if (d->until == NULL)
        return false;
    field = db_result_field(result, 0, 3 + (d->n_cursor > 0));
    if (db_field_is_null(field) || db_field_instant(field, &at) != STATUS_OK || at.us <= body->computed_at.us ||
        at.us >= body->valid_until.us)
        return false;
    body->valid_until = at;
    return true;
}

static void append_until(struct buf *out, bool changes, struct instant until)
{
    char text[INSTANT_TEXT_SIZE];

    if (!changes) {
        buf_append_string(out, "\"valid_until\":null,");
        return;
    }
    instant_format(until, text);
    buf_append_format(out, "\"valid_until\":\"%s\",", text);
}

static void refuse_size(const struct dataset *d, size_t start, struct buf *out, struct cache_body *body)
{
    body->too_large = true;
    buf_truncate(out, start);
    buf_append_format(out, "more than %lld rows: read them in pages, with limit and %s", (long long)d->max_rows,
                      d->n_cursor > 0 ? "cursor" : "offset");
}

static enum status write_body(const struct dataset_request *r, const struct db_result *result, struct buf *out,
                              struct cache_body *body, struct err *err)
{
    size_t start = out->len;
    bool changes = set_end(r->dataset, result, body);
    char text[INSTANT_TEXT_SIZE];
    int64_t count = 0;
    enum status status;

    buf_append_string(out, "{\"success\":true,\"data\":");
    status = append_rows(r, result, out, &count, err);
    if (status != STATUS_OK)
        return status;
    if (count > r->dataset->max_rows && asks_for_all(r)) {
        refuse_size(r->dataset, start, out, body);
        return STATUS_OK;
    }
    buf_append_string(out, ",\"meta\":{");
    if (!r->dataset->one_row)
        buf_append_format(out, "\"count\":%lld,", (long long)count);
    append_paging(r, out);
    if (r->dataset->n_cursor > 0)
        append_next(r, db_result_field(result, 0, 3), out);
    append_until(out, changes, body->valid_until);
    buf_append_string(out, "\"computed_at\":\"");
    body->volatile_start = out->len - start;
    instant_format(body->computed_at, text);
    buf_append_string(out, text);
    body->volatile_end = out->len - start;
    buf_append_string(out, "\"}}");
    return STATUS_OK;
}

enum status dataset_compute(struct db *db, const struct dataset_request *r, const char *user_id, struct buf *out,
                            struct cache_body *ret_body, struct err *err)
{
    struct cache_body body = {.len = 0};
    struct db_result *result = NULL;
    size_t start = out->len;
    enum status status = query(db, r->dataset->statement_name, r->dataset->sql, r, user_id, &result, err);

    if (status != STATUS_OK)
        return status;
    body.not_found = body.nothing_there = db_result_rows(result) == 0 && !r->dataset->indicators;
    body.computed_at = clock_now();
    body.valid_until = end_of_ttl(r->dataset, &body);
    if (body.not_found)
        buf_append_format(out, "there is no such %s", r->dataset->name);
    else if (db_result_rows(result) > 0 &&
             db_field_instant(db_result_field(result, 0, 2), &body.computed_at) != STATUS_OK)
        status = err_fail(err, STATUS_INTERNAL, "dataset %s: the database's clock is not what was asked for",
                          r->dataset->name);
    else
        status = write_body(r, result, out, &body, err);
    db_result_free(&result);
    if (status == STATUS_OK && buf_status(out) != STATUS_OK)
        status = err_fail(err, STATUS_NO_MEMORY, "out of memory");
    body.bytes = out->data + start;
    body.len = out->len - start;
    if (status == STATUS_OK)
        *ret_body = body;
    return status;
}
