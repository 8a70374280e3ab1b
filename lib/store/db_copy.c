/* The stream is a header, rows and a trailer; the server sends one row a message, the header in front of the
 * first and the trailer as the last. It is complete only when the trailer has been seen, nothing followed it,
 * and the server then reported success: a connection cut anywhere, even right behind the trailer, is a
 * failure and never a short result. */
#include "lib/store/db_copy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/db_internal.h"

#define SIGNATURE "PGCOPY\n\377\r\n" /* and its NUL: 11 bytes */
#define SIGNATURE_LEN 11
#define HEADER_LEN (SIGNATURE_LEN + 8)

enum copy_state {
    COPY_HEADER, /* nothing has been read */
    COPY_ROWS,
    COPY_TRAILER, /* the trailer was seen, the command's end was not */
    COPY_ENDED,   /* in order */
    COPY_FAILED
};

struct db_copy {
    struct db *db;
    enum copy_state state;
    enum status failure; /* in COPY_FAILED */
    size_t n_fields;
    char *message; /* libpq's; the last row's fields point into it */
};

/* --- format -------------------------------------------------------------------------------- */

static uint32_t read32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

enum status db_copy_parse_header(const unsigned char *bytes, size_t len, size_t *ret_len)
{
    uint32_t extension;

    if (len < HEADER_LEN || memcmp(bytes, SIGNATURE, SIGNATURE_LEN) != 0)
        return STATUS_INVALID;
    /* Flags: bit 16 announces object ids (before version 12); the upper bits are critical by
     * definition, the lower ones can be ignored but have never been used. */
    extension = read32(bytes + SIGNATURE_LEN + 4);
    if (read32(bytes + SIGNATURE_LEN) != 0 || extension > len - HEADER_LEN)
        return STATUS_INVALID;
    *ret_len = HEADER_LEN + extension;
    return STATUS_OK;
}

enum status db_copy_parse_row(const unsigned char *bytes, size_t len, struct db_row *ret_row, bool *ret_end)
{
    const unsigned char *p = bytes + 2, *end = bytes + len;
    unsigned n;

    if (len < 2)
        return STATUS_INVALID;
    n = (unsigned)bytes[0] << 8 | bytes[1];
    if (n == 0xFFFF) {
        ret_row->n_fields = 0;
        *ret_end = true;
        return len == 2 ? STATUS_OK : STATUS_INVALID;
    }
    if (n > DB_COPY_MAX_FIELDS)
        return STATUS_INVALID;
    for (unsigned i = 0; i < n; i++) {
        uint32_t size;
        if (end - p < 4)
            return STATUS_INVALID;
        size = read32(p);
        p += 4;
        if (size == UINT32_MAX) {
            ret_row->fields[i] = (struct db_field){NULL, 0};
            continue;
        }
        if (size > (size_t)(end - p))
            return STATUS_INVALID;
        ret_row->fields[i] = (struct db_field){p, size};
        p += size;
    }
    if (p != end)
        return STATUS_INVALID;
    ret_row->n_fields = n;
    *ret_end = false;
    return STATUS_OK;
}

/* --- stream -------------------------------------------------------------------------------- */

/* After a failure that left the connection usable: until it is ready for the next statement. */
static void skip_results(struct db *db, int64_t deadline_ms)
{
    PGresult *result = NULL;

    while (db->conn != NULL && db_next_result(db, deadline_ms, &result, NULL) == STATUS_OK && result != NULL)
        PQclear(result);
}

static enum status start_copy(struct db *db, const char *query, size_t *ret_n_fields, struct err *err)
{
    int64_t deadline_ms = db_query_deadline(db);
    struct buf sql = BUF_INIT;
    PGresult *result = NULL;
    enum status status;

    buf_append_string(&sql, "COPY (");
    buf_append_string(&sql, query);
    buf_append_string(&sql, ") TO STDOUT (FORMAT binary)");
    status = buf_status(&sql) == STATUS_OK ? db_send_simple(db, sql.data, deadline_ms, err)
                                           : err_fail(err, STATUS_NO_MEMORY, "out of memory");
    buf_release(&sql);
    if (status == STATUS_OK)
        status = db_next_result(db, deadline_ms, &result, err);
    if (status != STATUS_OK)
        return status;
    if (result == NULL)
        return db_fail_lost(db, err);
    status = db_judge(db, result, err);
    if (status != STATUS_OK) {
        skip_results(db, deadline_ms);
    } else if (PQresultStatus(result) != PGRES_COPY_OUT || !PQbinaryTuples(result) ||
               PQnfields(result) > DB_COPY_MAX_FIELDS) {
        db_disconnect(db);
        status = err_fail(err, STATUS_INTERNAL, "PostgreSQL: the answer to COPY is not a binary stream we can read");
    }
    *ret_n_fields = (size_t)PQnfields(result);
    PQclear(result);
    return status;
}

enum status db_copy_open(struct db *db, const char *query, struct db_copy **ret_copy, struct err *err)
{
    enum status status = db_connect(db, err);
    struct db_copy *copy;

    if (status != STATUS_OK)
        return status;
    copy = calloc(1, sizeof *copy);
    if (copy == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    status = start_copy(db, query, &copy->n_fields, err);
    if (status != STATUS_OK) {
        free(copy);
        return status;
    }
    copy->db = db;
    copy->state = COPY_HEADER;
    db->copying = true;
    *ret_copy = copy;
    return STATUS_OK;
}

static enum status fail_stream(struct db_copy *copy, enum status status)
{
    db_disconnect(copy->db);
    copy->state = COPY_FAILED;
    copy->failure = status;
    return status;
}

static enum status fail_damaged(struct db_copy *copy, struct err *err)
{
    return fail_stream(copy, err_fail(err, STATUS_INTERNAL, "PostgreSQL: the COPY stream is damaged"));
}

/* The server has stopped sending data: because it is done, or because something failed. */
static enum status finish_stream(struct db_copy *copy, struct err *err)
{
    enum status status = db_finish_command(copy->db, db_query_deadline(copy->db), NULL, err);

    if (status != STATUS_OK) {
        copy->state = COPY_FAILED;
        copy->failure = status;
        return status;
    }
    if (copy->state != COPY_TRAILER)
        return fail_damaged(copy, err);
    copy->state = COPY_ENDED;
    return STATUS_NOT_FOUND;
}

/* The next data message, STATUS_NOT_FOUND when there are no more. */
static enum status next_message(struct db_copy *copy, size_t *ret_len, struct err *err)
{
    int64_t deadline_ms = 0;

    PQfreemem(copy->message);
    copy->message = NULL;
    for (;;) {
        int n = PQgetCopyData(copy->db->conn, &copy->message, 1);
        enum status status;

        if (n > 0) {
            *ret_len = (size_t)n;
            return STATUS_OK;
        }
        if (n == -1)
            return STATUS_NOT_FOUND;
        if (n < -1)
            return db_fail_lost(copy->db, err);
        if (deadline_ms == 0)
            deadline_ms = db_query_deadline(copy->db);
        status = db_wait_input(copy->db, deadline_ms, err);
        if (status != STATUS_OK)
            return status;
    }
}

static enum status skip_header(struct db_copy *copy, const unsigned char **bytes, size_t *len)
{
    size_t header_len;

    if (copy->state != COPY_HEADER)
        return STATUS_OK;
    if (db_copy_parse_header(*bytes, *len, &header_len) != STATUS_OK)
        return STATUS_INVALID;
    *bytes += header_len;
    *len -= header_len;
    copy->state = COPY_ROWS;
    return STATUS_OK;
}

enum status db_copy_next(struct db_copy *copy, struct db_row *ret_row, struct err *err)
{
    while (copy->state < COPY_ENDED) {
        const unsigned char *bytes;
        enum status status;
        bool end;
        size_t len = 0;

        status = next_message(copy, &len, err);
        if (status == STATUS_NOT_FOUND)
            return finish_stream(copy, err);
        if (status != STATUS_OK)
            return fail_stream(copy, status);
        bytes = (const unsigned char *)copy->message;
        if (copy->state == COPY_TRAILER || skip_header(copy, &bytes, &len) != STATUS_OK)
            return fail_damaged(copy, err);
        if (len == 0)
            continue; /* a message of only the header */
        if (db_copy_parse_row(bytes, len, ret_row, &end) != STATUS_OK || (!end && ret_row->n_fields != copy->n_fields))
            return fail_damaged(copy, err);
        if (!end)
            return STATUS_OK;
        copy->state = COPY_TRAILER;
    }
    if (copy->state == COPY_ENDED)
        return STATUS_NOT_FOUND;
    return err_fail(err, copy->failure, "PostgreSQL: the COPY stream has failed before");
}

void db_copy_close(struct db_copy **copy)
{
    struct db_copy *c = *copy;

    if (c == NULL)
        return;
    PQfreemem(c->message);
    c->db->copying = false;
    if (c->state < COPY_ENDED)
        db_disconnect(c->db);
    free(c);
    *copy = NULL;
}
