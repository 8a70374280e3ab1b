#include <assert.h>
#include <string.h>

#include "jobs/dataset.h"
#include "jobs/dataset_value.h"
#include "jobs/event.h"

void dataset_request_begin(struct dataset_request *r, const struct dataset *dataset)
{
    if (r->text.data == NULL)
        buf_init(&r->text);
    buf_clear(&r->text);
    r->given = 0;
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
    return r->given >> param & 1 ? r->text.data + r->at[param] : r->dataset->params[param].fallback;
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
    r->at[param] = start;
    r->given |= UINT32_C(1) << param;
    return STATUS_OK;
}

static enum status set_cursor(struct dataset_request *r, const char *value, struct err *err)
{
    if (r->cursor_at > 0)
        return err_fail(err, STATUS_CONFLICT, "is given twice");
    r->cursor_at = r->text.len + 1;
    buf_append(&r->text, value, strlen(value) + 1);
    return buf_status(&r->text) == STATUS_OK ? STATUS_OK : err_fail(err, STATUS_NO_MEMORY, "out of memory");
}

enum status dataset_request_set(struct dataset_request *r, const char *name, const char *value, bool path_too,
                                struct err *err)
{
    const struct dataset *d = r->dataset;
    int i = dataset_param_find(d, name, strlen(name));

    if (i < 0 && d->n_cursor > 0 && strcmp(name, "cursor") == 0)
        return set_cursor(r, value, err);
    if (i >= 0 && (r->given >> i & 1))
        return err_fail(err, STATUS_CONFLICT, "is given twice");
    if (i < 0 || d->params[i].of_cursor || (d->params[i].in_path && !path_too))
        return err_fail(err, STATUS_NOT_FOUND, "is not a parameter here");
    return dataset_request_put(r, (size_t)i, value, err);
}

enum status dataset_request_take_path(struct dataset_request *r, const char *pattern, const char *path, struct err *err)
{
    enum status status = STATUS_OK;

    if (strchr(pattern, '{') == NULL)
        return STATUS_OK;
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
    const char *skipped = offset >= 0 ? dataset_request_value(r, (size_t)offset) : NULL;
    if (skipped != NULL && strcmp(skipped, "0") != 0)
        return err_fail(err, STATUS_INVALID, "goes without offset");
    assert(r->text.data != NULL); /* it holds the cursor; the analyser cannot know */
    buf_append_string(&cursor, r->text.data + r->cursor_at - 1);
    status = buf_status(&cursor) == STATUS_OK ? dataset_cursor_take(r, cursor.data, err)
                                              : err_fail(err, STATUS_NO_MEMORY, "out of memory");
    buf_release(&cursor);
    return status;
}

enum status dataset_request_complete(struct dataset_request *r, const char **ret_field, struct err *err)
{
    uint32_t missing = r->dataset->required & ~r->given;

    if (missing != 0) {
        *ret_field = r->dataset->params[__builtin_ctz(missing)].name;
        return err_fail(err, STATUS_INVALID, "is needed");
    }
    settle_tags(r);
    return r->cursor_at > 0 ? take_cursor(r, ret_field, err) : STATUS_OK;
}

enum status dataset_request_begin_collection(struct dataset_request *r, const struct dataset *dataset, struct err *err)
{
    const char *field;
    enum status status;

    dataset_request_begin(r, dataset);
    status = dataset_request_set(r, "limit", DATASET_ALL, false, err);
    return status == STATUS_OK ? dataset_request_complete(r, &field, err) : status;
}

bool dataset_request_is_collection(const struct dataset_request *r)
{
    const struct dataset *d = r->dataset;

    if (d->collection == NULL || (d->never_whole & ~r->given) != 0)
        return false;
    for (uint32_t given = r->given; given != 0; given &= given - 1) {
        size_t i = (size_t)__builtin_ctz(given);
        const char *whole = d->params[i].or_all ? DATASET_ALL : d->params[i].fallback;
        if (whole == NULL || strcmp(dataset_request_value(r, i), whole) != 0)
            return false;
    }
    return true;
}

/* --- canonical text -------------------------------------------------------------------------- */

/* One "name=value" of `len` bytes. */
static enum status take_line(struct dataset_request *r, const char *line, size_t len)
{
    const char *equals = memchr(line, '=', len);
    struct buf value = BUF_INIT;
    enum status status = STATUS_INVALID;
    int param = equals != NULL ? dataset_param_find(r->dataset, line, (size_t)(equals - line)) : -1;

    if (param >= 0 && !(r->given >> param & 1) && !r->dataset->params[param].of_cursor) {
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
