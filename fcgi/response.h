/* One HTTP response, in the CGI form that web servers read: header lines, then the body. */
#ifndef PNLCACHE_FCGI_RESPONSE_H
#define PNLCACHE_FCGI_RESPONSE_H

#include "fcgi/request.h"

/* Where a cached answer came from. */
enum response_tier { TIER_NONE, TIER_L1, TIER_REDIS, TIER_STORED, TIER_MISS, TIER_BYPASS, TIER_STALE, RESPONSE_TIERS };

/* What the header lines of a hit were made of: for the same request and document, at a moment in between, they are the same but for
 * two values. */
struct head_origin {
    int64_t from_us, until_us; /* since 1970; until: 0 when the lines are none of these */
    char etag[33];
    int64_t computed_us, end_us;
    size_t id_at, timing_at; /* where in the lines */
    bool gzip, with_body;
};

struct response {
    int http_status;
    enum response_tier tier; /* TIER_NONE: it is no document */
    struct buf head;         /* header lines and the empty line */
    struct buf storage;      /* a body of our own */
    const char *body;        /* what is sent; in `storage`, or borrowed until the response is written */
    size_t body_len;
    struct head_origin origin; /* http_respond_document()'s */
};

void response_init(struct response *r);
void response_release(struct response *r);

/* Starts anew: Status, X-Request-Id, nosniff. Without Status an answer is 200 (RFC 3875, 6.3.3), and the web server has a line less
 * to read, which costs it as much as a twentieth of the responder's whole work. */
void response_begin(struct response *r, const struct request *request, int http_status);
/* Whatever is answered next is made anew, as for another request. */
static inline void response_forget(struct response *r)
{
    r->origin.until_us = 0;
}
/* A whole line, or what is left of one; must be free of CR and LF. */
static inline void response_line(struct response *r, const char *text)
{
    buf_append_string(&r->head, text);
    buf_append(&r->head, "\r\n", 2);
}
/* One more header line; the value must be free of CR and LF. */
static inline void response_header(struct response *r, const char *name, const char *value)
{
    buf_append_string(&r->head, name);
    buf_append(&r->head, ": ", 2);
    buf_append_string(&r->head, value);
    buf_append(&r->head, "\r\n", 2);
}
/* Ends the header; body_len bytes follow, unless `send_body` is false (HEAD). */
void response_finish(struct response *r, const char *content_type, const char *body, size_t body_len, bool send_body);
/* Ends a header that has no body and says nothing of one (304). */
void response_finish_empty(struct response *r);

/* Fields that a validation problem lists. */
#define PROBLEM_MAX_FIELDS 16
struct problem_field {
    char field[64];
    char message[128];
};
struct problem_fields {
    size_t n;
    struct problem_field fields[PROBLEM_MAX_FIELDS];
};
/* Remembers one more offending field; past the last place it is left out. */
void problem_add(struct problem_fields *fields, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A whole problem document (RFC 9457, api.md 1). `detail`: NULL repeats the title. `fields`: may be NULL. `headers`: more
 * header lines, each ended by CR LF; may be NULL. 503 says Retry-After: 1. */
void response_problem(struct response *r, const struct request *request, int http_status, const char *detail,
                      const struct problem_fields *fields, const char *headers);
/* The same with any number of fields. */
void response_problem_list(struct response *r, const struct request *request, int http_status, const char *detail,
                           const struct problem_field *fields, size_t n);
/* ONE table: what a failure of ours means in HTTP. */
int status_to_http(enum status status);

#endif
