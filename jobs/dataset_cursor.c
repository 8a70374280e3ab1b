/* Cursors: where in a list a page ended. One is base64url of a check and the last row's values, as the database's JSON; the check ties
 * it to the dataset, the filters and the order. It is no secret and needs none: its values are typed and bound like any other
 * parameter's, and the rows are the caller's own. */
#include <string.h>

#include "jobs/dataset.h"
#include "jobs/dataset_value.h"
#include "lib/base/text.h"
#include "lib/json/json_reader.h"

#define CHECK_DIGITS 16

/* Of the values and of all parameters but those that tell one page from another. */
static void append_check(const struct dataset_request *r, const char *row, size_t len, struct buf *out)
{
    struct buf text = BUF_INIT, hash = BUF_INIT;

    buf_append_format(&text, "%s\n", r->dataset->name);
    for (size_t i = 0; i < r->dataset->n_params; i++) {
        const struct dataset_param *p = &r->dataset->params[i];
        const char *value = dataset_request_value(r, i);
        if (value != NULL && !p->of_cursor && strcmp(p->name, "limit") != 0 && strcmp(p->name, "offset") != 0)
            buf_append_format(&text, "%s=%s\n", p->name, value);
    }
    buf_append(&text, row, len);
    cache_append_hash(&hash, text.data, text.len);
    buf_append(out, hash.data, CHECK_DIGITS);
    out->failed = out->failed || text.failed || hash.failed;
    buf_release(&text);
    buf_release(&hash);
}

void dataset_cursor_append(const struct dataset_request *r, const char *row, size_t len, struct buf *out)
{
    struct buf plain = BUF_INIT;

    append_check(r, row, len, &plain);
    buf_append(&plain, row, len);
    base64url_append(out, plain.data, plain.len);
    out->failed = out->failed || plain.failed;
    buf_release(&plain);
}

/* Puts the values into the parameters of the cursor, in their order. */
static enum status put_values(struct dataset_request *r, const struct json_value *row, struct err *err)
{
    const struct json_value *value = json_first_child(row);
    enum status status = STATUS_OK;

    if (json_type_of(row) != JSON_ARRAY || json_length(row) != r->dataset->n_cursor)
        return STATUS_INVALID;
    for (size_t i = 0; i < r->dataset->n_params && status == STATUS_OK; i++) {
        if (!r->dataset->params[i].of_cursor)
            continue;
        if (json_get_string(value) != NULL)
            status = dataset_request_put(r, i, json_get_string(value), err);
        else if (json_type_of(value) != JSON_NULL)
            status = STATUS_INVALID;
        value = json_next_sibling(value);
    }
    return status;
}

static enum status take(struct dataset_request *r, const struct buf *plain, struct err *err)
{
    const char *row = plain->data + CHECK_DIGITS;
    struct json_document *document = NULL;
    struct buf check = BUF_INIT;
    enum status status = STATUS_INVALID;

    if (plain->len <= CHECK_DIGITS)
        return STATUS_INVALID;
    append_check(r, row, plain->len - CHECK_DIGITS, &check);
    if (buf_status(&check) != STATUS_OK)
        status = STATUS_NO_MEMORY;
    else if (memcmp(check.data, plain->data, CHECK_DIGITS) == 0)
        status = json_parse(row, plain->len - CHECK_DIGITS, &document, err);
    if (status == STATUS_OK)
        status = put_values(r, json_root(document), err);
    json_document_free(&document);
    buf_release(&check);
    return status;
}

enum status dataset_cursor_take(struct dataset_request *r, const char *cursor, struct err *err)
{
    struct buf plain = BUF_INIT;
    enum status status = base64url_decode(cursor, strlen(cursor), &plain);

    if (status == STATUS_OK)
        status = buf_status(&plain) == STATUS_OK ? take(r, &plain, err) : STATUS_NO_MEMORY;
    buf_release(&plain);
    if (status == STATUS_NO_MEMORY)
        return err_fail(err, status, "out of memory");
    return status == STATUS_OK
               ? status
               : err_fail(err, STATUS_INVALID, "is not a cursor of this list with these filters and order");
}
