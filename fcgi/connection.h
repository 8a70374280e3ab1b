/* One FastCGI connection from a web server. It is never waited for: bytes are taken and screened as they arrive, a whole
 * request is parsed, and what cannot be written at once waits for the socket.
 *
 *   READING --whole request--> BUSY --response--> READING, or WRITING while the socket is full, or closed
 */
#ifndef PNLCACHE_FCGI_CONNECTION_H
#define PNLCACHE_FCGI_CONNECTION_H

#include "fcgi/known_requests.h"
#include "fcgi/record.h"

#define CONNECTION_SCRATCH 65536

enum connection_state {
    CONNECTION_READING,
    CONNECTION_BUSY,    /* an exchange is being answered */
    CONNECTION_WRITING, /* the rest of an answer is in `out` */
};

struct connection {
    int fd;
    enum connection_state state;
    struct record_screen screen;
    bool keep;       /* keep it open after the present answer */
    bool hung_up;    /* the peer will send nothing more */
    bool look_again; /* something arrived while we could not look */
    bool served;     /* had an answer before */
    bool partial;    /* part of a message has arrived */
    uint16_t request_id;
    int64_t since_ms; /* monotonic: when the state began, or the first byte of a request came */
    bool spooling;    /* what arrives is collected in `spool` */
    bool drained;     /* the socket was empty at the last look */
    struct buf spool;
    struct buf out;
    size_t out_sent;
    struct connection *prev, *next; /* in its loop */
    struct connection *next_again;
    bool queued_again;
};

/* What a look at the arrived bytes came to. */
enum intake {
    INTAKE_WAIT,             /* nothing to do before more arrives */
    INTAKE_REQUEST,          /* the exchange holds a request; the connection is BUSY */
    INTAKE_KNOWN,            /* it came before: *ret_known is the exchange of then, x still clear; BUSY */
    INTAKE_PARAMS_TOO_LARGE, /* answer 431; the connection is BUSY */
    INTAKE_BODY_TOO_LARGE,   /* answer 413; the connection is BUSY */
    INTAKE_CLOSE,            /* the peer is gone or does not speak FastCGI */
};

void connection_init(struct connection *c, int fd, int64_t now_ms);
void connection_release(struct connection *c); /* closes the socket */

/* Looks at what has arrived. `scratch` has CONNECTION_SCRATCH bytes; a request that is to be known again lies in it. The exchange must be
 * clear. */
enum intake connection_take(struct connection *c, unsigned char *scratch, const struct record_limits *limits,
                            struct known_requests *known, struct exchange *x, struct exchange **ret_known,
                            struct err *err);
/* Sends the response of the present request: as much as the socket takes, the rest is copied. False: the peer is gone. */
bool connection_answer(struct connection *c, const struct response *response) MUST_CHECK;
/* Sends more of what is waiting. False: the peer is gone. */
bool connection_flush(struct connection *c) MUST_CHECK;
static inline bool connection_is_flushed(const struct connection *c)
{
    return c->out_sent == c->out.len;
}
/* True when it holds so much of an unfinished request that there must not be many like it. */
bool connection_is_heavy(const struct connection *c);
/* True when it is between requests. */
bool connection_is_idle(const struct connection *c);

#endif
