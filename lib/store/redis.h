/* One Redis connection, kept by one thread. hiredis only formats commands and parses replies; the
 * socket, the deadlines and the set-up (AUTH, SELECT, CLIENT SETNAME, ROLE, instance) are ours, in
 * one place, with TLS beneath where the URL says so. A connection that saw a time-out or a broken reply is
 * thrown away, never reused: a late reply would answer the next command. Reconnects by itself, as far as
 * the circuit breaker lets it (breaker.h): one of its own, or one that a process shares. */
#ifndef PNLCACHE_STORE_REDIS_H
#define PNLCACHE_STORE_REDIS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/store/breaker.h"

struct redis;

struct redis_options {
    const char *url;         /* copied; redis://, rediss://, unix:// (settings_table.h) */
    const char *tls_ca;      /* read now; certificates to trust (redis_tls.h) */
    const char *client_name; /* copied; CLIENT SETNAME */
    int64_t timeout_ms;      /* one round trip, connecting included */
    struct breaker *breaker; /* borrowed; NULL: one of its own */
    bool probes;             /* tries a shared breaker's server when its pause is over */
};

enum status redis_new(const struct redis_options *options, struct redis **ret_redis, struct err *err) MUST_CHECK;
void redis_free(struct redis **redis);

/* Connects if needed. STATUS_UNAVAILABLE: down or backing off; the text says why. */
enum status redis_connect(struct redis *redis, struct err *err) MUST_CHECK;
bool redis_is_connected(const struct redis *redis);
void redis_disconnect(struct redis *redis);
int redis_socket(const struct redis *redis); /* -1 when not connected */

#define REDIS_INSTANCE_SIZE 41
/* master_replid of the server this connection talks to (40 hexadecimal digits), read at connect and
 * by redis_heartbeat(); "" when not connected. */
const char *redis_instance(const struct redis *redis);
/* Re-reads role and instance. STATUS_UNAVAILABLE also when the server is no longer a master. */
enum status redis_heartbeat(struct redis *redis, struct err *err) MUST_CHECK;
/* Whether the master had replicas when its role was last read. */
bool redis_has_replicas(const struct redis *redis);
int64_t redis_timeout_ms(const struct redis *redis);

/* What a reply means for us; by the error's first word (OOM, READONLY, MISCONF, ...). The connection of the classes
 * marked "anew" is not used again: its server is not, or no longer, one that can serve us. */
enum redis_error_class {
    REDIS_ERROR_NONE,
    REDIS_ERROR_RETRY,      /* BUSY, TRYAGAIN, CLUSTERDOWN, IOERR: soon, on this connection */
    REDIS_ERROR_RECONNECT,  /* LOADING, MASTERDOWN, UNBLOCKED, "ERR max number of clients": anew */
    REDIS_ERROR_REDISCOVER, /* READONLY, MOVED, ASK: anew */
    REDIS_ERROR_REFUSED,    /* OOM, MISCONF, NOREPLICAS, EXECABORT: writes are refused, reads work */
    REDIS_ERROR_AUTH,       /* NOAUTH, WRONGPASS, NOPERM, DENIED: for the operator */
    REDIS_ERROR_SCRIPT,     /* NOSCRIPT */
    REDIS_ERROR_TYPE,       /* WRONGTYPE: a foreign value under our key */
    REDIS_ERROR_BUG,        /* CROSSSLOT and anything else */
};
enum redis_error_class redis_classify_error(const char *error_text);
enum status redis_error_status(enum redis_error_class error_class);

/* Pipelines: append any number of commands, then redis_flush(), which writes them all and collects
 * exactly that many replies, in order, within one deadline. */
void redis_append(struct redis *redis, size_t argc, const char *const *argv, const size_t *lengths);
/* argv of NUL-terminated strings, ended by NULL: redis_append_words(r, "GET", key, NULL). */
void redis_append_words(struct redis *redis, ...) __attribute__((sentinel));
size_t redis_appended(const struct redis *redis);

enum redis_reply_type { REDIS_NIL, REDIS_STRING, REDIS_INTEGER, REDIS_ARRAY, REDIS_STATUS, REDIS_ERROR };

struct redis_reply; /* borrowed from the connection until the next flush, or disconnect */

/* Connects if needed, sends, waits. On failure nothing can be said about which commands took
 * effect (STATUS_TIMEOUT, STATUS_UNAVAILABLE); error replies are replies, not failures. The
 * appended commands are gone either way. */
enum status redis_flush(struct redis *redis, struct err *err) MUST_CHECK;
/* The same for commands that may run twice. When the connection ends, or its bytes are no replies, a new one gets all of
 * them once more, within the same deadline; the replies and redis_instance() are then the new connection's. */
enum status redis_flush_repeatable(struct redis *redis, struct err *err) MUST_CHECK;
/* The i-th reply of the last flush; never NULL for i below the number appended. */
const struct redis_reply *redis_reply_at(const struct redis *redis, size_t i);
enum redis_reply_type redis_reply_type_of(const struct redis_reply *reply);
const char *redis_reply_bytes(const struct redis_reply *reply, size_t *ret_len); /* STRING, STATUS, ERROR */
int64_t redis_reply_integer(const struct redis_reply *reply);
/* A STRING that is a number, such as a counter's, from 0 on; 0 for anything else. */
int64_t redis_reply_number(const struct redis_reply *reply);
size_t redis_reply_length(const struct redis_reply *reply); /* elements of an ARRAY */
const struct redis_reply *redis_reply_element(const struct redis_reply *reply, size_t i);

/* What the reply's error means; REDIS_ERROR_NONE when it is none. */
enum redis_error_class redis_reply_error_class(const struct redis_reply *reply);
/* STATUS_OK, or an error reply's status and text. */
enum status redis_reply_status(const struct redis_reply *reply, struct err *err) MUST_CHECK;
/* Takes a reply of INFO replication that was appended by the caller for what redis_heartbeat() reads. */
enum status redis_read_role(struct redis *redis, const struct redis_reply *reply, struct err *err) MUST_CHECK;

/* One command, one reply: append + flush + an error reply turned into its status and text. */
enum status redis_command(struct redis *redis, const struct redis_reply **ret_reply, struct err *err, ...)
    __attribute__((sentinel)) MUST_CHECK;

/* For a connection that subscribes: sends what is appended without waiting. From then on it is only for redis_receive(),
 * until it is disconnected. */
enum status redis_send(struct redis *redis, struct err *err) MUST_CHECK;
/* The next message (or the answer to a command sent so), borrowed until the next call. STATUS_TIMEOUT: none came by
 * deadline_ms (monotonic), the connection stands; any other failure: it is closed. Never connects. */
enum status redis_receive(struct redis *redis, int64_t deadline_ms, const struct redis_reply **ret_reply,
                          struct err *err) MUST_CHECK;

#endif
