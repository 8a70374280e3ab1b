/* The socket does not block: when libpq's buffer is full its contents are sent, by the statement's deadline. */
#include <string.h>

#include "lib/store/db_copy.h"
#include "lib/store/db_internal.h"

#define PIECE 65536

void db_append_copy_text(struct buf *out, const char *text)
{
    if (text == NULL) {
        buf_append_string(out, "\\N");
        return;
    }
    for (; *text != '\0'; text++) {
        const char *special = strchr("\b\f\n\r\t\v\\", *text);
        if (special != NULL)
            buf_append_char(out, '\\');
        buf_append_char(out, special != NULL ? "bfnrtv\\"[special - "\b\f\n\r\t\v\\"] : *text);
    }
}

/* Waits until the server is ready for rows. */
static enum status await_start(struct db *db, int64_t deadline_ms, struct err *err)
{
    PGresult *result = NULL;
    enum status status = db_next_result(db, deadline_ms, &result, err);

    if (status != STATUS_OK)
        return status;
    if (result == NULL)
        return db_fail_lost(db, err);
    if (PQresultStatus(result) == PGRES_COPY_IN) {
        PQclear(result);
        return STATUS_OK;
    }
    status = db_judge(db, result, err);
    PQclear(result);
    if (db->conn != NULL)
        (void)!db_finish_command(db, deadline_ms, NULL, NULL);
    return status != STATUS_OK ? status : err_fail(err, STATUS_INTERNAL, "PostgreSQL: COPY does not ask for rows");
}

static enum status send_rows(struct db *db, const char *rows, size_t len, int64_t deadline_ms, struct err *err)
{
    while (len > 0) {
        size_t n = len < PIECE ? len : PIECE;
        int sent = PQputCopyData(db->conn, rows, (int)n);
        enum status status;
        if (sent < 0)
            return db_fail_lost(db, err);
        status = db_flush_output(db, deadline_ms, err);
        if (status != STATUS_OK)
            return status;
        rows += sent > 0 ? n : 0;
        len -= sent > 0 ? n : 0;
    }
    return STATUS_OK;
}

static enum status send_end(struct db *db, int64_t deadline_ms, struct err *err)
{
    int sent;

    while ((sent = PQputCopyEnd(db->conn, NULL)) == 0) {
        enum status status = db_flush_output(db, deadline_ms, err);
        if (status != STATUS_OK)
            return status;
    }
    return sent < 0 ? db_fail_lost(db, err) : db_flush_output(db, deadline_ms, err);
}

enum status db_copy_in(struct db *db, const char *into, const char *rows, size_t len, struct err *err)
{
    int64_t deadline_ms = db_query_deadline(db);
    struct buf sql = BUF_INIT;
    enum status status = db_connect(db, err);

    buf_append_format(&sql, "COPY %s FROM STDIN", into);
    if (status == STATUS_OK)
        status = buf_status(&sql) == STATUS_OK ? db_send_simple(db, sql.data, deadline_ms, err)
                                               : err_fail(err, STATUS_NO_MEMORY, "out of memory");
    buf_release(&sql);
    if (status == STATUS_OK)
        status = await_start(db, deadline_ms, err);
    if (status == STATUS_OK)
        status = send_rows(db, rows, len, deadline_ms, err);
    if (status == STATUS_OK)
        status = send_end(db, deadline_ms, err);
    return status == STATUS_OK ? db_finish_command(db, deadline_ms, NULL, err) : status;
}
