/* What the redis_* files of one connection share. Nobody else includes this. */
#ifndef PNLCACHE_STORE_REDIS_INTERNAL_H
#define PNLCACHE_STORE_REDIS_INTERNAL_H

#include <hiredis/hiredis.h>

#include "lib/base/buf.h"
#include "lib/store/redis.h"
#include "lib/store/redis_tls.h"
#include "lib/store/redis_url.h"

/* What hiredis's reader makes of a reply. */
struct redis_reply {
    enum redis_reply_type type;
    int64_t integer;
    size_t n;                      /* bytes, or elements */
    const char *bytes;             /* of STRING, STATUS, ERROR; followed by a NUL */
    struct redis_reply **elements; /* of ARRAY */
};

/* The memory of replies, which all end together: a hit from Redis has five objects in ten pieces, and to allocate and free each
 * costs more than to read it. */
struct reply_block;
struct reply_arena {
    struct reply_block *first; /* the one in use */
    size_t used;               /* of its bytes */
};

struct redis {
    struct redis_url url;
    char where[300]; /* for messages */
    char client_name[64];
    int64_t timeout_ms;

    struct redis_tls *tls;             /* NULL: plain */
    struct redis_transport *transport; /* NULL: not connected */
    redisReader *reader;
    char instance[REDIS_INSTANCE_SIZE];
    bool has_replicas;
    bool role_in_doubt; /* a reply said READONLY, LOADING or the like: connect anew */
    int64_t used_at_ms;

    struct buf out;
    size_t n_appended;
    struct redis_reply **replies;
    size_t n_replies, cap_replies;
    struct reply_arena arena;

    struct breaker *breaker, *own_breaker; /* own_breaker: NULL when it is shared */
    bool probes;
    uint64_t silences; /* of the breaker when this connection was begun */
};

/* Commands on their way and the replies they are to get. */
struct exchange {
    const char *out;
    size_t out_len, written;
    struct redis_reply **replies;
    size_t n, n_read;
    size_t unparsed; /* bytes since the last whole reply */
};

/* In redis_reply.c. A reader that makes its replies in the arena; NULL: no memory. */
redisReader *reply_reader_new(struct reply_arena *arena);
/* Ends all replies in it; keeps some memory for the next ones. */
void reply_arena_clear(struct reply_arena *arena);
void reply_arena_release(struct reply_arena *arena);

/* In redis.c. Ends the replies of the last flush. */
void redis_free_replies(struct redis *r);
/* Room for n of them; false: no memory. */
bool redis_reserve_replies(struct redis *r, size_t n) MUST_CHECK;
/* Appends a command as RESP has it; lengths NULL: the words end at their NUL. */
void redis_format(struct buf *out, size_t argc, const char *const *argv, const size_t *lengths);

/* In redis_connect.c. A usable connection by deadline_ms (monotonic), or the reason why not. */
enum status redis_connect_by(struct redis *r, int64_t deadline_ms, struct err *err) MUST_CHECK;
/* Tells the breaker. */
void redis_report_failure(struct redis *r, enum status status, const char *why);

/* In redis_exchange.c. After a failure of any of these the stream is in an unknown state: disconnect.
 * Sends x->out and collects the x->n replies. */
enum status redis_run_exchange(struct redis *r, struct exchange *x, int64_t deadline_ms, struct err *err) MUST_CHECK;
/* Writes what the socket takes. */
enum status redis_write_some(struct redis *r, struct exchange *x, struct err *err) MUST_CHECK;
/* One reply out of what has arrived; *ret_reply is NULL when none is whole. Never waits. */
enum status redis_take_message(struct redis *r, struct redis_reply **ret_reply, struct err *err) MUST_CHECK;

#endif
