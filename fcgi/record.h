/* FastCGI records, screened before anything else sees them and framed for the way back.
 *
 * libfcgi blocks on half a request, and management or multiplexed records confuse it. So the connection
 * looks at the bytes that have arrived and asks here: is a whole, well-formed request of one id
 * there? Everything else is answered from here or closes the connection. Pure: no sockets, no
 * allocation; may be called again with more bytes at any time. */
#ifndef PNLCACHE_FCGI_RECORD_H
#define PNLCACHE_FCGI_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_HEADER_SIZE 8
#define RECORD_MAX_CONTENT 65528 /* of what we send: the largest multiple of 8, so that it needs no padding */
#define RECORD_END_SIZE 16
#define RECORD_MAX_PARAMS 1000 /* pairs of one request */
#define RECORD_REPLY_SIZE 128

struct record_limits {
    size_t max_params; /* bytes of all parameters together */
    size_t max_body;   /* bytes of standard input */
};

enum record_verdict {
    RECORD_PARTIAL,          /* well so far; wait for more bytes */
    RECORD_REQUEST,          /* bytes [0, offset) are one whole request within the limits */
    RECORD_PARAMS_TOO_LARGE, /* bytes [0, offset) are one whole request with too many or too long parameters */
    RECORD_BODY_TOO_LARGE,   /* the same, with a body over the limit */
    RECORD_EXTRACT,          /* bytes [offset, offset + extract_len) do not belong to the request: remove them
                              * and send `reply`; then screen on */
    RECORD_ABORTED,          /* bytes [0, offset) are a request that its sender took back: remove them, send `reply` */
    RECORD_CLOSE,            /* not FastCGI, or not as the specification has it */
};

struct record_screen {
    enum { SCREEN_BEGIN, SCREEN_PARAMS, SCREEN_STDIN } state;
    size_t offset; /* where the next record starts */
    size_t extract_len;
    uint16_t id;
    bool keep;                 /* FCGI_KEEP_CONN of the request (of the refused one on RECORD_EXTRACT with close) */
    bool close;                /* with RECORD_EXTRACT: close once the reply is sent */
    bool odd_padding;          /* padding after an empty record, which libfcgi cannot read: strip it first */
    bool seeks_nul, found_nul; /* of record_params_hold_nul() */
    size_t params_len, body_len, n_params;
    struct { /* inside the name-value pairs, which may be cut anywhere */
        enum { PAIR_NAME_LENGTH, PAIR_VALUE_LENGTH, PAIR_BYTES } at;
        unsigned digits_left; /* bytes of a four-byte length still to come */
        uint64_t length, skip;
    } pair;
    unsigned char reply[RECORD_REPLY_SIZE];
    size_t reply_len; /* 0: nothing to send */
};

/* Ready for the first byte of the next message. */
void record_screen_reset(struct record_screen *s);
/* `bytes` start where the message started, whatever was seen of it before. */
enum record_verdict record_screen(struct record_screen *s, const unsigned char *bytes, size_t len,
                                  const struct record_limits *limits);

/* Name-value pairs. */
struct record_params {
    const unsigned char *at, *end;
};
/* A name or a value; borrowed bytes that no NUL ends. */
struct record_text {
    const char *bytes;
    size_t len;
};
/* The next pair; false: there is none, and when `at` is not the end, what is there is none. */
bool record_params_next_long(struct record_params *params, struct record_text *ret_name, struct record_text *ret_value);
/* In the header, because every request is made of these: nearly all lengths take one byte. */
static inline bool record_params_next(struct record_params *params, struct record_text *ret_name,
                                      struct record_text *ret_value)
{
    const unsigned char *p = params->at;
    size_t left = (size_t)(params->end - p);

    if (left < 2 || ((p[0] | p[1]) & 0x80) != 0 || left - 2 < (size_t)p[0] + p[1])
        return record_params_next_long(params, ret_name, ret_value);
    *ret_name = (struct record_text){(const char *)p + 2, p[0]};
    *ret_value = (struct record_text){(const char *)p + 2 + p[0], p[1]};
    params->at = p + 2 + p[0] + p[1];
    return true;
}

/* A request in its plainest form: all parameters in one record, and no body. */
struct record_plain {
    uint16_t id;
    bool keep;                   /* as in struct record_screen */
    struct record_params params; /* borrowed; nothing inside them was judged */
};
/* Whether these bytes are that, and nothing else; if also the pairs are sound and within the limits, record_screen() calls them a
 * whole request. Costs less. */
bool record_plain_open(const unsigned char *bytes, size_t len, struct record_plain *ret_plain);

/* Whether a name or a value in one whole request, of any form, holds a NUL, at which libfcgi's texts would end. */
bool record_params_hold_nul(const unsigned char *bytes, size_t len);

/* Takes the padding out of whole records; the new length. */
size_t record_strip_padding(unsigned char *bytes, size_t len);

/* A STDOUT record's header; content_len at most RECORD_MAX_CONTENT. */
void record_stdout_header(unsigned char header[RECORD_HEADER_SIZE], uint16_t id, size_t content_len,
                          size_t padding_len);
/* The END_REQUEST record of a completed request. */
void record_end(unsigned char record[RECORD_END_SIZE], uint16_t id);

#endif
