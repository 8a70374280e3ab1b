#include <string.h>

#include "jobs/dataset.h"
#include "jobs/dataset_indicators.h"
#include "jobs/dataset_value.h"
#include "lib/store/db_field.h"

void dataset_request_begin(struct dataset_request *r, const struct dataset *dataset)
{
    if (r->text.data == NULL)
        buf_init(&r->text);
    buf_clear(&r->text);
    memset(r->at, 0, sizeof r->at);
    r->dataset = dataset;
}

void dataset_request_release(struct dataset_request *r)
{
    if (r->text.data != NULL)
        buf_release(&r->text);
    r->dataset = NULL;
}

const char *dataset_request_value(const struct dataset_request *r, size_t param)
{
    return r->at[param] > 0 ? r->text.data + r->at[param] - 1 : NULL;
}

enum status dataset_request_put(struct dataset_request *r, size_t param, const char *value, struct err *err)
{
    size_t start = r->text.len;
    enum status status = dataset_value_parse(&r->dataset->params[param], value, &r->text, err);

    if (status != STATUS_OK) {
        buf_truncate(&r->text, start);
        return status;
    }
    buf_append_char(&r->text, '\0');
    if (buf_status(&r->text) != STATUS_OK)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    r->at[param] = start + 1;
    return STATUS_OK;
}

enum status dataset_request_set(struct dataset_request *r, const char *name, const char *value, struct err *err)
{
    int param = dataset_param_find(r->dataset, name, strlen(name));

    if (param < 0 || r->dataset->params[param].in_path)
        return err_fail(err, STATUS_NOT_FOUND, "is not a parameter here");
    return dataset_request_put(r, (size_t)param, value, err);
}

enum status dataset_request_take_path(struct dataset_request *r, const char *pattern, const char *path, struct err *err)
{
    enum status status = STATUS_OK;

    while (*pattern && *path && status == STATUS_OK) {
        size_t len = strcspn(++pattern, "/"), n = strcspn(++path, "/");
        if (*pattern == '{') {
            struct buf value = BUF_INIT;
            buf_append(&value, path, n);
            status =
                dataset_request_put(r, (size_t)dataset_param_find(r->dataset, pattern + 1, len - 2), value.data, err);
            buf_release(&value);
        }
        pattern += len;
        path += n;
    }
    return status;
}

bool dataset_request_complete(struct dataset_request *r, const char **ret_missing)
{
    for (size_t i = 0; i < r->dataset->n_params; i++) {
        const struct dataset_param *p = &r->dataset->params[i];
        if (r->at[i] > 0)
            continue;
        if (p->required) {
            *ret_missing = p->name;
            return false;
        }
        if (p->fallback != NULL) {
            r->at[i] = r->text.len + 1;
            buf_append(&r->text, p->fallback, strlen(p->fallback) + 1);
        }
    }
    return true;
}

/* --- canonical text, key --------------------------------------------------------------------- */

void dataset_request_append_text(const struct dataset_request *r, struct buf *out)
{
    buf_append_format(out, "%s\n", r->dataset->name);
    for (size_t i = 0; i < r->dataset->n_params; i++)
        if (r->at[i] > 0)
            buf_append_format(out, "%s=%s\n", r->dataset->params[i].name, dataset_request_value(r, i));
}

/* One "name=value" of `len` bytes. */
static enum status take_line(struct dataset_request *r, const char *line, size_t len)
{
    const char *equals = memchr(line, '=', len);
    struct buf value = BUF_INIT;
    enum status status = STATUS_INVALID;
    int param = equals != NULL ? dataset_param_find(r->dataset, line, (size_t)(equals - line)) : -1;

    if (param >= 0 && r->at[param] == 0) {
        buf_append(&value, equals + 1, (size_t)(line + len - equals - 1));
        status = dataset_request_put(r, (size_t)param, value.data, NULL);
    }
    buf_release(&value);
    return status;
}

enum status dataset_request_parse_text(struct dataset_request *r, const struct dataset_set *set, const char *text)
{
    size_t len = strcspn(text, "\n");
    char name[DATASET_NAME_MAX + 1] = "";
    const struct dataset *d;
    const char *missing;
    struct buf again = BUF_INIT;
    bool same;

    if (len > DATASET_NAME_MAX || text[len] == '\0')
        return STATUS_INVALID;
    memcpy(name, text, len);
    d = dataset_set_find(set, name);
    if (d == NULL)
        return STATUS_INVALID;
    dataset_request_begin(r, d);
    for (const char *at = text + len + 1; *at != '\0'; at += len + (at[len] == '\n')) {
        len = strcspn(at, "\n");
        if (take_line(r, at, len) != STATUS_OK)
            return STATUS_INVALID;
    }
    if (!dataset_request_complete(r, &missing))
        return STATUS_INVALID;
    dataset_request_append_text(r, &again);
    same = buf_status(&again) == STATUS_OK && strcmp(again.data, text) == 0;
    buf_release(&again);
    return same ? STATUS_OK : STATUS_INVALID;
}

/* Of the file too: another version of it may answer otherwise. */
static void append_hash(const struct dataset_request *r, struct buf *key)
{
    struct buf text = BUF_INIT;

    buf_append_format(&text, "%s\n", r->dataset->version);
    dataset_request_append_text(r, &text);
    cache_append_hash(key, text.data, text.len);
    key->failed = key->failed || text.failed;
    buf_release(&text);
}

static void append_pattern(const struct dataset_request *r, const char *user_id, struct buf *key)
{
    const struct dataset *d = r->dataset;

    for (const char *c = d->key; *c != '\0'; c++) {
        size_t len = *c == '$' ? strspn(c + 1, "abcdefghijklmnopqrstuvwxyz0123456789_") : 0;
        int param = len > 0 ? dataset_param_find(d, c + 1, len) : -1;
        if (param >= 0) {
            cache_append_user(key, dataset_request_value(r, (size_t)param));
            c += len;
        } else if (strncmp(c, "$H", 2) == 0) {
            append_hash(r, key);
            c++;
        } else if (strncmp(c, "{U}", 3) == 0) {
            buf_append_char(key, '{');
            cache_append_user(key, user_id);
            buf_append_char(key, '}');
            c += 2;
        } else {
            buf_append_char(key, *c);
        }
    }
}

void dataset_request_append_key(const struct cache *cache, const struct dataset_request *r, const char *user_id,
                                struct buf *key)
{
    cache_append_prefix(cache, key);
    if (r->dataset->key != NULL) {
        append_pattern(r, user_id, key);
        return;
    }
    buf_append_format(key, "data:%s:", r->dataset->name);
    if (!r->dataset->shared) {
        buf_append_char(key, '{');
        cache_append_user(key, user_id);
        buf_append_string(key, "}:");
    }
    append_hash(r, key);
}

/* --- computing ------------------------------------------------------------------------------- */

/* A list travels as the text of an array. */
static const char *bind_value(const struct dataset_request *r, size_t param, struct buf *array)
{
    const char *value = dataset_request_value(r, param), *items[DATASET_LIST_MAX];
    struct buf copy = BUF_INIT;
    size_t n = 0;

    if (value == NULL || r->dataset->params[param].list_max == 0)
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
    struct buf arrays[DATASET_MAX_PARAMS + 1];
    const char *params[DATASET_MAX_PARAMS + 1];
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
    const char *params[DATASET_MAX_PARAMS + 1] = {NULL};
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
        if (param >= 0 && r->dataset->params[param].type == DATASET_INTEGER && r->at[param] > 0)
            buf_append_format(out, "\"%s\":%s,", names[i], dataset_request_value(r, (size_t)param));
    }
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

static enum status write_body(const struct dataset_request *r, const struct db_result *result, struct buf *out,
                              struct cache_body *body, struct err *err)
{
    size_t start = out->len;
    char text[INSTANT_TEXT_SIZE];
    int64_t count;
    enum status status;

    buf_append_string(out, "{\"success\":true,\"data\":");
    status = append_rows(r, result, out, &count, err);
    if (status != STATUS_OK)
        return status;
    buf_append_string(out, ",\"meta\":{");
    if (!r->dataset->one_row)
        buf_append_format(out, "\"count\":%lld,", (long long)count);
    append_paging(r, out);
    buf_append_string(out, "\"valid_until\":null,\"computed_at\":\"");
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
    body.valid_until = (struct instant){body.computed_at.us + r->dataset->ttl_s * US_PER_SECOND};
    body.bytes = out->data + start;
    body.len = out->len - start;
    if (status == STATUS_OK)
        *ret_body = body;
    return status;
}
