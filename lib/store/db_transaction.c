/* Transactions: while one is open its connection is never replaced, so nothing runs outside of it by accident. */
#include "lib/store/db_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum status db_begin_with(struct db *db, const char *sql, const char *then, PGresult **ret_last, struct err *err)
{
    struct buf whole = BUF_INIT;
    enum status status;

    assert(!db->in_transaction);
    status = db_connect(db, err);
    if (status != STATUS_OK)
        return status;
    buf_append_format(&whole, "%s; ", sql);
    if (db->pooled)
        db_append_settings(db, true, &whole);
    buf_append_string(&whole, then);
    db->in_transaction = true;
    status = buf_status(&whole);
    if (status == STATUS_OK)
        status = db_run_simple(db, whole.data, db_query_deadline(db), ret_last, err);
    buf_release(&whole);
    if (status != STATUS_OK)
        db_end(db);
    return status;
}

enum status db_begin_snapshot(struct db *db, struct instant *ret_as_of, struct err *err)
{
    PGresult *result = NULL;
    /* The SELECT is what takes the snapshot; in the same round trip. */
    enum status status =
        db_begin_with(db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                      "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint", &result, err);

    if (status != STATUS_OK)
        return status;
    if (PQntuples(result) == 1 && PQnfields(result) == 1)
        ret_as_of->us = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    else
        status = err_fail(err, STATUS_INTERNAL, "PostgreSQL did not tell the time");
    PQclear(result);
    if (status != STATUS_OK)
        db_end(db);
    return status;
}

enum status db_begin(struct db *db, struct err *err)
{
    return db_begin_with(db, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", "", NULL, err);
}

enum status db_commit(struct db *db, struct err *err)
{
    PGresult *result = NULL;
    enum status status;

    assert(db->in_transaction);
    status = db_connect(db, err);
    if (status == STATUS_OK)
        status = db_run_simple(db, "COMMIT", db_query_deadline(db), &result, err);
    db->in_transaction = false;
    /* A failed transaction answers COMMIT with ROLLBACK, and that is no error. */
    if (status == STATUS_OK && strcmp(PQcmdStatus(result), "COMMIT") != 0)
        status = err_fail(err, STATUS_CONFLICT, "PostgreSQL: the transaction had failed and was rolled back");
    PQclear(result);
    if (db->conn != NULL && PQtransactionStatus(db->conn) != PQTRANS_IDLE)
        db_disconnect(db);
    return status;
}

void db_end(struct db *db)
{
    assert(!db->copying);
    if (!db->in_transaction)
        return;
    db->in_transaction = false;
    if (db->conn != NULL && db_run_simple(db, "ROLLBACK", db_query_deadline(db), NULL, NULL) != STATUS_OK)
        db_disconnect(db);
}
