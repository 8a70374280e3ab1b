/* One HTTP request, copied out of its records: what a handler may know about it. All text lies in one
 * buffer owned by the request, which is reused for the next one. */
#ifndef PNLCACHE_FCGI_REQUEST_H
#define PNLCACHE_FCGI_REQUEST_H

#include "fcgi/record.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

#include <stdint.h>

/* CGI parameters we look at; every other one is ignored. */
enum request_param {
    PARAM_REQUEST_METHOD,
    PARAM_REQUEST_URI,
    PARAM_QUERY_STRING,
    PARAM_SCRIPT_NAME,
    PARAM_PATH_INFO,
    PARAM_REMOTE_ADDR,
    PARAM_REMOTE_USER,
    PARAM_CONTENT_TYPE,
    PARAM_CONTENT_LENGTH,
    PARAM_AUTHORIZATION,
    PARAM_ACCEPT,
    PARAM_ACCEPT_ENCODING,
    PARAM_CACHE_CONTROL,
    PARAM_IF_NONE_MATCH,
    PARAM_IF_MODIFIED_SINCE,
    PARAM_ORIGIN,
    PARAM_COOKIE,
    PARAM_X_CSRF_TOKEN,
    PARAM_X_REQUEST_ID,
    PARAM_WEBHOOK_ID,
    PARAM_WEBHOOK_TIMESTAMP,
    PARAM_WEBHOOK_SIGNATURE,
    REQUEST_PARAMS
};

enum method {
    METHOD_GET = 1,
    METHOD_HEAD = 2,
    METHOD_POST = 4,
    METHOD_OPTIONS = 8,
    METHOD_DELETE = 16,
    METHOD_PUT = 32,
    METHOD_OTHER = 0
};

/* What a browser is told about a page of another origin (fcgi/cors.h). */
enum cors { CORS_OFF, CORS_REFUSED, CORS_ALLOWED, CORS_ANYBODY };

#define REQUEST_MAX_QUERY 16
#define REQUEST_ID_SIZE 65

struct request {
    struct buf text; /* every string below; offset 0 means absent */
    uint32_t params[REQUEST_PARAMS];
    const char *repeated; /* name of a parameter that came twice; NULL: none */
    bool holds_nul;       /* in a parameter, whose text ends there */
    struct buf body;
    enum cors cors;

    /* Set by request_parse(). */
    enum method method;
    uint32_t path;
    size_t n_query;
    struct {
        uint32_t name, value;
    } query[REQUEST_MAX_QUERY];
    char id[REQUEST_ID_SIZE]; /* X-Request-Id: the caller's when it is short and plain, else ours */

    /* Set by request_arrive(). */
    struct instant arrived_at;
    int64_t arrived_us; /* monotonic */
};

void request_init(struct request *r);
void request_release(struct request *r);
/* Empty again, memory kept. */
void request_clear(struct request *r);

/* The request is here, now. */
void request_arrive(struct request *r);
/* The request, which was parsed, is here once more: another one, with an id of its own. */
void request_arrive_again(struct request *r);

/* Takes one CGI parameter; copies the value when it is one of ours. */
void request_add_param(struct request *r, const char *name, size_t name_len, const char *value, size_t value_len);
/* Takes all parameters of a request, copied in one piece. False: they are not sound, or too many; `r` must be cleared. */
bool request_add_params(struct request *r, struct record_params params) MUST_CHECK;

/* NULL: absent. Borrowed until the request changes. */
const char *request_param(const struct request *r, enum request_param param);
const char *request_path(const struct request *r);
const char *request_query_name(const struct request *r, size_t i);
const char *request_query_value(const struct request *r, size_t i);

/* Method, path (percent-decoded), query, body length and request id. STATUS_INVALID: the text may be shown to the
 * caller; the id is set even then. */
enum status request_parse(struct request *r, struct err *err) MUST_CHECK;

#endif
