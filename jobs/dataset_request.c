#include <string.h>

#include "jobs/dataset.h"
#include "jobs/dataset_value.h"
#include "jobs/event.h"

void dataset_request_begin(struct dataset_request *r, const struct dataset *dataset)
{
    if (r->text.data == NULL)
        buf_init(&r->text);
    buf_clear(&r->text);
    memset(r->at, 0, sizeof r->at);
    r->cursor_at = 0;
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

    if (r->dataset->n_cursor > 0 && strcmp(name, "cursor") == 0) {
        r->cursor_at = r->text.len + 1;
        buf_append(&r->text, value, strlen(value) + 1);
        return buf_status(&r->text) == STATUS_OK ? STATUS_OK : err_fail(err, STATUS_NO_MEMORY, "out of memory");
    }
    if (param < 0 || r->dataset->params[param].in_path || r->dataset->params[param].of_cursor)
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

/* A set has checked that there is room. */
static void settle_tags(struct dataset_request *r)
{
    const struct dataset *d = r->dataset;

    r->tags = d->tags;
    for (size_t i = 0; i < d->n_row_tags; i++)
        r->tags.n += event_tag_part(d->row_tags[i].name, dataset_request_value(r, (size_t)d->row_tags[i].param),
                                    &r->tags.tags[r->tags.n]);
}

static enum status take_cursor(struct dataset_request *r, const char **ret_field, struct err *err)
{
    int offset = dataset_param_find(r->dataset, "offset", 6);
    struct buf cursor = BUF_INIT; /* r->text may move */
    enum status status;

    *ret_field = "cursor";
    if (offset >= 0 && r->at[offset] > 0 && strcmp(dataset_request_value(r, (size_t)offset), "0") != 0)
        return err_fail(err, STATUS_INVALID, "goes without offset");
    buf_append_string(&cursor, r->text.data + r->cursor_at - 1);
    status = buf_status(&cursor) == STATUS_OK ? dataset_cursor_take(r, cursor.data, err)
                                              : err_fail(err, STATUS_NO_MEMORY, "out of memory");
    buf_release(&cursor);
    return status;
}

enum status dataset_request_complete(struct dataset_request *r, const char **ret_field, struct err *err)
{
    for (size_t i = 0; i < r->dataset->n_params; i++) {
        const struct dataset_param *p = &r->dataset->params[i];
        if (r->at[i] > 0)
            continue;
        if (p->required) {
            *ret_field = p->name;
            return err_fail(err, STATUS_INVALID, "is needed");
        }
        if (p->fallback != NULL) {
            r->at[i] = r->text.len + 1;
            buf_append(&r->text, p->fallback, strlen(p->fallback) + 1);
        }
    }
    settle_tags(r);
    return r->cursor_at > 0 ? take_cursor(r, ret_field, err) : STATUS_OK;
}

enum status dataset_request_begin_collection(struct dataset_request *r, const struct dataset *dataset, struct err *err)
{
    const char *field;
    enum status status;

    dataset_request_begin(r, dataset);
    status = dataset_request_set(r, "limit", DATASET_ALL, err);
    return status == STATUS_OK ? dataset_request_complete(r, &field, err) : status;
}

bool dataset_request_is_collection(const struct dataset_request *r)
{
    const struct dataset *d = r->dataset;

    if (d->collection == NULL)
        return false;
    for (size_t i = 0; i < d->n_params; i++) {
        const char *value = dataset_request_value(r, i),
                   *whole = d->params[i].or_all ? DATASET_ALL : d->params[i].fallback;
        if ((value == NULL) != (whole == NULL) || (value != NULL && strcmp(value, whole) != 0))
            return false;
    }
    return true;
}

/* --- canonical text, key --------------------------------------------------------------------- */

void dataset_request_append_text(const struct dataset_request *r, struct buf *out)
{
    buf_append_string(out, r->dataset->name);
    buf_append_char(out, '\n');
    for (size_t i = 0; i < r->dataset->n_params; i++) {
        if (r->at[i] == 0)
            continue;
        buf_append_string(out, r->dataset->params[i].name);
        buf_append_char(out, '=');
        if (r->dataset->params[i].of_cursor) /* any bytes */
            cache_append_user(out, dataset_request_value(r, i));
        else
            buf_append_string(out, dataset_request_value(r, i));
        buf_append_char(out, '\n');
    }
}

/* One "name=value" of `len` bytes. */
static enum status take_line(struct dataset_request *r, const char *line, size_t len)
{
    const char *equals = memchr(line, '=', len);
    struct buf value = BUF_INIT;
    enum status status = STATUS_INVALID;
    int param = equals != NULL ? dataset_param_find(r->dataset, line, (size_t)(equals - line)) : -1;

    if (param >= 0 && r->at[param] == 0 && !r->dataset->params[param].of_cursor) {
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
    const char *field;
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
    if (dataset_request_complete(r, &field, NULL) != STATUS_OK)
        return STATUS_INVALID;
    dataset_request_append_text(r, &again);
    same = buf_status(&again) == STATUS_OK && strcmp(again.data, text) == 0;
    buf_release(&again);
    return same ? STATUS_OK : STATUS_INVALID;
}

/* Of the file too: another version of it may answer otherwise. The text is made at the end of the key, which has the room, and gives
 * way to its hash. */
static void append_hash(const struct dataset_request *r, struct buf *key)
{
    size_t start = key->len, end;

    buf_append_string(key, r->dataset->version);
    buf_append_char(key, '\n');
    dataset_request_append_text(r, key);
    end = key->len;
    cache_append_hash(key, key->data + start, end - start);
    if (key->failed)
        return;
    memmove(key->data + start, key->data + end, key->len - end);
    buf_truncate(key, start + key->len - end);
}

static void append_pattern(const struct dataset_request *r, const char *pattern, const char *user_id, struct buf *key)
{
    const struct dataset *d = r->dataset;

    for (const char *c = pattern; *c != '\0'; c++) {
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
    const char *pattern = dataset_request_is_collection(r) ? r->dataset->collection : r->dataset->key;

    cache_append_prefix(cache, key);
    if (pattern != NULL) {
        append_pattern(r, pattern, user_id, key);
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
