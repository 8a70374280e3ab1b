/* What the db_* files share, and their tests may see. Nobody else includes this. */
#ifndef PNLCACHE_STORE_DB_INTERNAL_H
#define PNLCACHE_STORE_DB_INTERNAL_H

#include "lib/store/db.h"
#include "lib/store/libpq.h"

#define DB_CHANNEL_MAX 63

struct db {
    char *url;
    char *application_name;
    int64_t connect_timeout_ms;
    int64_t query_timeout_ms;
    bool read_only;

    PGconn *conn;        /* NULL: not connected */
    bool in_transaction; /* between begin and end, also when the connection is gone */
    bool copying;        /* a struct db_copy owns the connection */
    bool pooled;         /* a pooler is in between, see db_pooler.c */

    char **prepared; /* names known to the present connection */
    size_t n_prepared, cap_prepared;

    char channel[DB_CHANNEL_MAX + 1]; /* listened to after every connect; "": none */
    bool missed_notifications;        /* connected anew since the last db_take_notifications() */

    char sqlstate[6]; /* of the last failure the server reported */
    size_t fault_at;  /* where in the statement it was, in characters from 1; 0: nowhere */

    struct breaker *breaker, *own_breaker; /* own_breaker: NULL when it is shared */
    bool probes;
    uint64_t silences; /* of the breaker when this connection was begun */
};

/* By class, see the table in db_error.c. NULL (libpq itself failed): STATUS_UNAVAILABLE. */
enum status db_sqlstate_status(const char *sqlstate);

/* Fails with a text of libpq's, made one line; sqlstate may be NULL. */
enum status db_fail_with_text(struct err *err, enum status status, const char *text, const char *sqlstate);

/* When a statement sent now has to be done (monotonic ms). */
int64_t db_query_deadline(const struct db *db);

/* What every statement is to run under: "SET name = value;"..., or "SET LOCAL" for one transaction. */
void db_append_settings(const struct db *db, bool local, struct buf *sql);
/* Gives a new connection its settings and its channel. */
enum status db_set_up_session(struct db *db, int64_t deadline_ms, struct err *err) MUST_CHECK;
/* Whether the connection just made goes through a pooler. */
enum status db_detect_pooler(struct db *db, int64_t deadline_ms, struct err *err) MUST_CHECK;

/* BEGIN, what a pooler makes part of it, and a first statement ("": none): one round trip. *ret_last (may be NULL) receives
 * the last result. */
enum status db_begin_with(struct db *db, const char *sql, const char *then, PGresult **ret_last,
                          struct err *err) MUST_CHECK;

/* A name in double quotes. */
void db_append_identifier(struct buf *out, const char *name);

/* Waits for poll(2) `events` on a socket. STATUS_TIMEOUT: the deadline (monotonic ms) passed. */
enum status db_wait_socket(int fd, short events, int64_t deadline_ms, struct err *err) MUST_CHECK;

/* All of these drop the connection when it is lost or the deadline (monotonic ms) passes. */
enum status db_run_simple(struct db *db, const char *sql, int64_t deadline_ms, PGresult **ret_last,
                          struct err *err) MUST_CHECK;
enum status db_send_simple(struct db *db, const char *sql, int64_t deadline_ms, struct err *err) MUST_CHECK;
/* Sends what libpq has buffered, reading meanwhile. */
enum status db_flush_output(struct db *db, int64_t deadline_ms, struct err *err) MUST_CHECK;
/* Waits for input and hands it to libpq. */
enum status db_wait_input(struct db *db, int64_t deadline_ms, struct err *err) MUST_CHECK;
/* The next result of what was sent; NULL: there are no more. PQclear() it. */
enum status db_next_result(struct db *db, int64_t deadline_ms, PGresult **ret_result, struct err *err) MUST_CHECK;
/* What a result says; a failure that ends the session drops the connection. */
enum status db_judge(struct db *db, const PGresult *result, struct err *err) MUST_CHECK;
/* Takes all remaining results; the first failure counts. *ret_last (may be NULL) receives the last
 * successful one. */
enum status db_finish_command(struct db *db, int64_t deadline_ms, PGresult **ret_last, struct err *err) MUST_CHECK;
/* For a failure libpq reports on the connection itself: drops it. */
enum status db_fail_lost(struct db *db, struct err *err) MUST_CHECK;

#endif
