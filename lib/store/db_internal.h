/* What the db_* files share, and their tests may see. Nobody else includes this. */
#ifndef PNLCACHE_STORE_DB_INTERNAL_H
#define PNLCACHE_STORE_DB_INTERNAL_H

#include <libpq-fe.h>

#include "lib/store/db.h"

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

    struct breaker *breaker, *own_breaker; /* own_breaker: NULL when it is shared */
    bool probes;
    uint64_t silences; /* of the breaker when this connection was begun */
};

/* By class, see the table in db.c. NULL (libpq itself failed): STATUS_UNAVAILABLE. */
enum status db_sqlstate_status(const char *sqlstate);

/* A usable connection, or the reason why not; refuses inside a transaction whose connection is lost. */
enum status db_require(struct db *db, struct err *err) MUST_CHECK;
int64_t db_query_deadline(const struct db *db);

/* What every statement is to run under: "SET name = value;"..., or "SET LOCAL" for one transaction. */
void db_append_settings(const struct db *db, bool local, struct buf *sql);
/* Whether the connection just made goes through a pooler. */
enum status db_detect_pooler(struct db *db, int64_t deadline_ms, struct err *err) MUST_CHECK;

/* All of these drop the connection when it is lost or the deadline (monotonic ms) passes. */
enum status db_run_simple(struct db *db, const char *sql, int64_t deadline_ms, PGresult **ret_last,
                          struct err *err) MUST_CHECK;
enum status db_send_simple(struct db *db, const char *sql, int64_t deadline_ms, struct err *err) MUST_CHECK;
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
