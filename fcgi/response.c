#include "fcgi/response.h"

#include <stdarg.h>
#include <stdio.h>

#include "lib/json/json_writer.h"

void response_init(struct response *r)
{
    r->http_status = 0;
    r->tier = TIER_NONE;
    buf_init(&r->head);
    buf_init(&r->storage);
    r->body = NULL;
    r->body_len = 0;
    response_forget(r);
}

void response_release(struct response *r)
{
    buf_release(&r->head);
    buf_release(&r->storage);
}

static const char *http_reason(int http_status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == http_status)
            return reasons[i].reason;
    return "Unknown";
}

int status_to_http(enum status status)
{
    switch (status) {
    case STATUS_OK: return 200;
    case STATUS_INVALID: return 400;
    case STATUS_NOT_FOUND: return 404;
    case STATUS_CONFLICT:
    case STATUS_UNAVAILABLE:
    case STATUS_TIMEOUT:
    case STATUS_LIMIT:
    case STATUS_NO_MEMORY: return 503;
    case STATUS_INTERNAL: return 500;
    }
    return 500;
}

/* The origin is one of the configured ones, letter by letter. */
static void add_cors_headers(struct response *r, const struct request *request)
{
    if (request->cors == CORS_OFF)
        return;
    if (request->cors != CORS_ANYBODY)
        response_header(r, "Vary", "Origin");
    if (request->cors == CORS_REFUSED)
        return;
    response_header(r, "Access-Control-Allow-Origin",
                    request->cors == CORS_ANYBODY ? "*" : request_param(request, PARAM_ORIGIN));
    response_header(r, "Access-Control-Expose-Headers",
                    "Age, Cache-Status, ETag, RateLimit, RateLimit-Policy, Retry-After, Server-Timing, X-Request-Id");
}

void response_begin(struct response *r, const struct request *request, int http_status)
{
    r->http_status = http_status;
    r->tier = TIER_NONE;
    buf_clear(&r->head);
    buf_clear(&r->storage);
    r->body = NULL;
    r->body_len = 0;
    response_forget(r);
    if (http_status != 200) {
        buf_append_string(&r->head, "Status: ");
        buf_append_int(&r->head, http_status);
        buf_append_char(&r->head, ' ');
        response_line(r, http_reason(http_status));
    }
    response_line(r, "X-Content-Type-Options: nosniff");
    if (request->id[0]) {
        buf_append_string(&r->head, "X-Request-Id: ");
        r->origin.id_at = r->head.len;
        response_line(r, request->id);
    }
    add_cors_headers(r, request);
}

void response_finish(struct response *r, const char *content_type, const char *body, size_t body_len, bool send_body)
{
    buf_append_string(&r->head, "Content-Type: ");
    response_line(r, content_type);
    buf_append_string(&r->head, "Content-Length: ");
    buf_append_int(&r->head, (int64_t)body_len);
    buf_append_string(&r->head, "\r\n\r\n");
    r->body = send_body ? body : NULL;
    r->body_len = send_body ? body_len : 0;
}

void response_finish_empty(struct response *r)
{
    buf_append(&r->head, "\r\n", 2);
}

void problem_add(struct problem_fields *fields, const char *field, const char *format, ...)
{
    va_list args;

    if (fields->n == PROBLEM_MAX_FIELDS)
        return;
    snprintf(fields->fields[fields->n].field, sizeof(fields->fields[0].field), "%s", field);
    va_start(args, format);
    vsnprintf(fields->fields[fields->n].message, sizeof(fields->fields[0].message), format, args);
    va_end(args);
    fields->n++;
}

static void write_fields(struct json_writer *w, const struct problem_field *fields, size_t n)
{
    json_key(w, "errors");
    json_array_begin(w);
    for (size_t i = 0; i < n; i++) {
        json_object_begin(w);
        json_key(w, "field");
        json_string(w, fields[i].field);
        json_key(w, "message");
        json_string(w, fields[i].message);
        json_object_end(w);
    }
    json_array_end(w);
}

static void write_problem(struct response *r, const struct request *request, int http_status, const char *detail,
                          const struct problem_field *fields, size_t n)
{
    const char *path = request_path(request);
    struct json_writer w;

    json_init(&w, &r->storage);
    json_object_begin(&w);
    json_key(&w, "type");
    json_string(&w, "about:blank");
    json_key(&w, "title");
    json_string(&w, http_reason(http_status));
    json_key(&w, "status");
    json_int(&w, http_status);
    json_key(&w, "detail");
    json_string(&w, detail);
    if (path && *path) {
        json_key(&w, "instance");
        json_string(&w, path);
    }
    json_key(&w, "success");
    json_bool(&w, false);
    json_key(&w, "error");
    json_string(&w, detail);
    json_key(&w, "request_id");
    json_string(&w, request->id);
    if (n > 0)
        write_fields(&w, fields, n);
    json_object_end(&w);
}

static void finish_problem(struct response *r, const struct request *request, int http_status, const char *detail,
                           const struct problem_field *fields, size_t n, const char *headers)
{
    response_begin(r, request, http_status);
    response_header(r, "Cache-Control", "no-store");
    if (http_status == 503)
        response_header(r, "Retry-After", "1");
    if (headers)
        buf_append_string(&r->head, headers);
    write_problem(r, request, http_status, detail ? detail : http_reason(http_status), fields, n);
    response_finish(r, "application/problem+json", r->storage.data, r->storage.len, request->method != METHOD_HEAD);
}

void response_problem(struct response *r, const struct request *request, int http_status, const char *detail,
                      const struct problem_fields *fields, const char *headers)
{
    finish_problem(r, request, http_status, detail, fields ? fields->fields : NULL, fields ? fields->n : 0, headers);
}

void response_problem_list(struct response *r, const struct request *request, int http_status, const char *detail,
                           const struct problem_field *fields, size_t n)
{
    finish_problem(r, request, http_status, detail, fields, n, NULL);
}
