#include "fcgi/dataset_query.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/answer.h"
#include "lib/json/json_reader.h"
#include "lib/json/json_writer.h"

#define EXACT_BELOW 1e7 /* a double holds eight decimals of numbers up to here */

struct reading {
    struct exchange *x;
    bool path_too;
    struct dataset_user *user;
    struct problem_fields *problems;
};

static void take_user(const struct reading *r, const char *value)
{
    if (r->user->named)
        problem_add(r->problems, "user_id", "is given twice");
    r->user->named = true;
    (void)snprintf(r->user->id, sizeof r->user->id, "%s", value);
}

static void take(const struct reading *r, const char *name, const char *value)
{
    struct err err;

    if (!answer_is_shared(r->x) && strcmp(name, "user_id") == 0)
        take_user(r, value);
    else if (dataset_request_set(&r->x->dataset, name, value, r->path_too, &err) != STATUS_OK)
        problem_add(r->problems, name, "%s", err.text);
}

/* --- the body ------------------------------------------------------------------------------------ */

static bool append_number(const struct json_value *value, struct buf *out)
{
    struct json_writer w;
    int64_t whole;
    double number;

    if (json_get_int(value, &whole) == STATUS_OK) {
        buf_append_int(out, whole);
        return true;
    }
    if (json_get_double(value, &number) != STATUS_OK || fabs(number) >= EXACT_BELOW)
        return false;
    json_init(&w, out);
    json_double(&w, number, 8);
    return true;
}

/* A text, number or truth as a query would say it. False: it is something else. */
static bool append_value(const struct json_value *value, struct buf *out)
{
    bool truth;

    switch (json_type_of(value)) {
    case JSON_STRING: buf_append_string(out, json_get_string(value)); return true;
    case JSON_NUMBER: return append_number(value, out);
    case JSON_BOOL:
        buf_append_string(out, json_get_bool(value, &truth) == STATUS_OK && truth ? "true" : "false");
        return true;
    case JSON_NULL:
    case JSON_ARRAY:
    case JSON_OBJECT: break;
    }
    return false;
}

/* An element with a comma would be two. */
static bool append_list(const struct json_value *list, struct buf *out)
{
    for (const struct json_value *v = json_first_child(list); v; v = json_next_sibling(v)) {
        size_t start;
        if (v != json_first_child(list))
            buf_append_char(out, ',');
        start = out->len;
        if (!append_value(v, out) || memchr(out->data + start, ',', out->len - start))
            return false;
    }
    return true;
}

static void read_member(const struct reading *r, const struct json_value *member)
{
    struct buf text = BUF_INIT;
    bool good;

    if (json_type_of(member) == JSON_NULL)
        return;
    good = json_type_of(member) == JSON_ARRAY ? append_list(member, &text) : append_value(member, &text);
    if (good && buf_status(&text) == STATUS_OK)
        take(r, json_child_name(member), text.data);
    else
        problem_add(r->problems, json_child_name(member),
                    "must be a text, a number, true, false or a list of these; "
                    "a number with decimals of ten million or more is written as a text");
    buf_release(&text);
}

static enum status read_body(const struct reading *r, const struct buf *body, struct err *err)
{
    struct json_document *document = NULL;
    enum status status = json_parse(body->data, body->len, &document, err);

    if (status != STATUS_OK)
        return status;
    if (json_type_of(json_root(document)) == JSON_OBJECT)
        for (const struct json_value *v = json_first_child(json_root(document)); v; v = json_next_sibling(v))
            read_member(r, v);
    else
        status = err_fail(err, STATUS_INVALID, "the body is not a JSON object");
    json_document_free(&document);
    return status;
}

enum status dataset_query_read(struct exchange *x, bool path_too, struct dataset_user *user,
                               struct problem_fields *problems, struct err *err)
{
    const struct reading r = {x, path_too, user, problems};
    const struct request *request = &x->request;
    const char *field;
    struct err why;
    enum status status = STATUS_OK;

    for (size_t i = 0; i < request->n_query; i++)
        take(&r, request_query_name(request, i), request_query_value(request, i));
    if (request->body.len > 0 && request->method != METHOD_GET && request->method != METHOD_HEAD)
        status = read_body(&r, &request->body, err);
    if (status == STATUS_OK && problems->n == 0 && dataset_request_complete(&x->dataset, &field, &why) != STATUS_OK)
        problem_add(problems, field, "%s", why.text);
    return status;
}
