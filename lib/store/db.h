/* A PostgreSQL connection with deadlines. Together with the other db_* files the only code that
 * includes libpq. A struct db belongs to one thread. After any lost connection the next use
 * reconnects, with back-off; a call never blocks beyond its deadline (connecting has its own).
 * One exception, by design: libpq looks host names up before the deadline applies; use addresses or
 * sockets where DNS is not to be trusted. */
#ifndef PNLCACHE_STORE_DB_H
#define PNLCACHE_STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/store/breaker.h"

struct db;

struct db_options {
    const char *url;              /* copied */
    const char *application_name; /* copied; shown in pg_stat_activity unless the url names another */
    int64_t connect_timeout_ms;
    int64_t query_timeout_ms; /* statement_timeout of the session is a tenth, at most 500 ms, shorter,
                                   * so that the server normally ends a slow query and the connection stays */
    bool read_only;           /* default_transaction_read_only=on */
    struct breaker *breaker;  /* borrowed; NULL: one of its own */
    bool probes;              /* tries a shared breaker's server when its pause is over */
};

/* Prepares a connection object; does not connect yet. STATUS_INVALID: not a connection string (it is
 * not repeated in the text: it may hold a password). */
enum status db_new(const struct db_options *options, struct db **ret_db, struct err *err) MUST_CHECK;
void db_free(struct db **db);

/* Connects if there is no usable connection. STATUS_UNAVAILABLE: down, or the breaker is open. The first attempt after
 * a lost connection is made at once; a failed one opens the breaker (its own: pauses from 100 ms to 5 s), and then calls
 * fail at once. A query without an answer costs its connection only: each has a server process of its own. */
enum status db_connect(struct db *db, struct err *err) MUST_CHECK;
bool db_is_connected(const struct db *db);
/* Drops the connection at once (no back-off); the next use connects anew. */
void db_disconnect(struct db *db);
/* The socket of the present connection for poll(), -1 when there is none. */
int db_socket(const struct db *db);
int db_server_version(const struct db *db); /* as 150020; 0 when not connected */

/* Whether a connection pooler is in between (noticed when connecting): then nothing is kept in the session. Statements run
 * unprepared, each transaction carries its settings, and there are no notifications. Works with poolers in any mode. */
bool db_is_pooled(const struct db *db);
/* For people: asks the pooler what it is, over a connection of its own; "PgBouncer 1.18.0", or what can be said otherwise.
 * May take some seconds. */
void db_name_pooler(const struct db *db, char *name, size_t size);

struct db_result;

/* Runs one statement (extended protocol, text parameters, BINARY results), with the given name
 * prepared once per connection; name "" runs it unprepared. One name always means the same text.
 * A parameter is text that is sent as is, or NULL for SQL NULL. STATUS_TIMEOUT, STATUS_UNAVAILABLE
 * (lost, refused, read-only after a failover), STATUS_CONFLICT (serialization, deadlock, lock timeout,
 * a prepared statement that has become invalid), STATUS_INVALID (SQLSTATE class 22, 23, 42), STATUS_LIMIT (53, 54),
 * else STATUS_INTERNAL. */
enum status db_query(struct db *db, const char *name, const char *sql, size_t n_params, const char *const *params,
                     struct db_result **ret_result, struct err *err) MUST_CHECK;
/* The byte of `sql` at which PostgreSQL found what was wrong with it, when this was the statement that failed last; false: it does not say. */
bool db_find_fault(const struct db *db, const char *sql, size_t *ret_offset);
/* One or more statements without parameters or results (simple protocol); statuses as db_query(). */
enum status db_execute(struct db *db, const char *sql, struct err *err) MUST_CHECK;
void db_result_free(struct db_result **result);
size_t db_result_rows(const struct db_result *result);
size_t db_result_columns(const struct db_result *result);
/* Borrowed until the result is freed. */
const char *db_result_column_name(const struct db_result *result, size_t column);
/* As in pg_type.oid; those of PostgreSQL's own types never change. */
uint32_t db_result_column_type(const struct db_result *result, size_t column);

/* One binary field, borrowed until the result is freed (or, from COPY, until the next row). */
struct db_field {
    const unsigned char *bytes; /* NULL: SQL NULL */
    size_t len;
};
struct db_field db_result_field(const struct db_result *result, size_t row, size_t column);

/* Transactions. When the connection is lost inside one, every call fails with STATUS_UNAVAILABLE until
 * db_end() or db_commit(): nothing is ever run outside the transaction it was meant for. */

/* Opens ONE repeatable-read, read-only snapshot; *ret_as_of is the database's clock when it opened
 * (design section 2). End it with db_end(). */
enum status db_begin_snapshot(struct db *db, struct instant *ret_as_of, struct err *err) MUST_CHECK;
/* Opens a read-write, read-committed transaction (also where read_only was asked for). */
enum status db_begin(struct db *db, struct err *err) MUST_CHECK;
/* Commits. The transaction is over whatever the status; after STATUS_TIMEOUT and STATUS_UNAVAILABLE nobody
 * knows whether it took effect. */
enum status db_commit(struct db *db, struct err *err) MUST_CHECK;
/* Ends the transaction, if there is one, without keeping its changes. Never fails visibly: a
 * connection that does not obey is dropped. */
void db_end(struct db *db);

/* Appends `text` to `out` as an SQL literal, quotes included. */
void db_append_literal(struct buf *out, const char *text);
/* Appends the text form of an array, {"a","b"}: for a parameter, or for db_append_literal(). */
void db_append_text_array(struct buf *out, size_t n, const char *const *texts);

/* LISTEN/NOTIFY on one channel per connection object; reconnecting listens again. STATUS_INVALID: not through a pooler. */
enum status db_listen(struct db *db, const char *channel, struct err *err) MUST_CHECK;
/* Reads what has arrived, without waiting; true when at least one notification did, and once after each
 * reconnect, because some may have been missed. Notifications can also arrive during any other call, and then
 * db_socket() does not become readable for them: call this after each use of the connection. */
enum status db_take_notifications(struct db *db, bool *ret_any, struct err *err) MUST_CHECK;

#endif
