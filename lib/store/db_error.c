/* What went wrong: libpq's texts and PostgreSQL's SQLSTATEs as ours, and whether the connection survives it. */
#include "lib/store/db_internal.h"

#include <stdlib.h>
#include <string.h>

/* The first entry that is a prefix of the SQLSTATE counts. */
static const struct {
    const char *prefix;
    enum status status;
} sqlstates[] = {
    {"08", STATUS_UNAVAILABLE},    /* connection exception */
    {"22", STATUS_INVALID},        /* data exception */
    {"23", STATUS_INVALID},        /* constraint violation */
    {"25006", STATUS_UNAVAILABLE}, /* read only: a standby after a failover */
    {"25P03", STATUS_UNAVAILABLE}, /* idle in transaction for too long */
    {"26", STATUS_CONFLICT},       /* prepared statement is gone: a pooler, DISCARD */
    {"28", STATUS_UNAVAILABLE},    /* authorization */
    {"40", STATUS_CONFLICT},       /* serialization failure, deadlock */
    {"42", STATUS_INVALID},        /* syntax, unknown object, privilege */
    {"53", STATUS_LIMIT},          /* resources */
    {"54", STATUS_LIMIT},          /* program limit */
    {"55006", STATUS_CONFLICT},    /* object in use */
    {"55P03", STATUS_CONFLICT},    /* lock timeout */
    {"57014", STATUS_TIMEOUT},     /* statement timeout, or cancelled by hand */
    {"57P", STATUS_UNAVAILABLE},   /* shutting down, starting up, terminated */
    {"72", STATUS_CONFLICT},       /* snapshot too old */
};

enum status db_sqlstate_status(const char *sqlstate)
{
    if (sqlstate == NULL)
        return STATUS_UNAVAILABLE;
    for (size_t i = 0; i < sizeof sqlstates / sizeof sqlstates[0]; i++)
        if (strncmp(sqlstate, sqlstates[i].prefix, strlen(sqlstates[i].prefix)) == 0)
            return sqlstates[i].status;
    return STATUS_INTERNAL;
}

/* libpq's texts end in newlines and may have several lines; ours have one. */
enum status db_fail_with_text(struct err *err, enum status status, const char *text, const char *sqlstate)
{
    size_t len;

    if (err == NULL)
        return status;
    len = strlen(text);
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
        len--;
    if (len > sizeof err->text / 2)
        len = sizeof err->text / 2;
    status = sqlstate == NULL ? err_fail(err, status, "PostgreSQL: %.*s", (int)len, text)
                              : err_fail(err, status, "PostgreSQL: %.*s (SQLSTATE %s)", (int)len, text, sqlstate);
    for (char *c = err->text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    return status;
}

enum status db_fail_lost(struct db *db, struct err *err)
{
    const char *text = PQerrorMessage(db->conn);
    enum status status =
        db_fail_with_text(err, STATUS_UNAVAILABLE, text[0] != '\0' ? text : "the connection was lost", NULL);

    db_disconnect(db);
    return status;
}

static bool ends_session(const char *sqlstate)
{
    enum status status = db_sqlstate_status(sqlstate);

    /* 26: whatever else was prepared is gone as well. */
    return status == STATUS_UNAVAILABLE || strncmp(sqlstate, "26", 2) == 0;
}

enum status db_judge(struct db *db, const PGresult *result, struct err *err)
{
    const char *sqlstate, *text, *position;
    enum status status;

    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
    case PGRES_COPY_OUT: return STATUS_OK;
    case PGRES_FATAL_ERROR:
    case PGRES_NONFATAL_ERROR: break;
    default:
        status = err_fail(err, STATUS_INTERNAL, "PostgreSQL: unexpected answer to a statement");
        db_disconnect(db);
        return status;
    }
    sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    db->fault_at = position != NULL ? strtoul(position, NULL, 10) : 0;
    strncpy(db->sqlstate, sqlstate != NULL ? sqlstate : "", sizeof db->sqlstate - 1);
    status = db_fail_with_text(err, db_sqlstate_status(sqlstate), text != NULL ? text : PQresultErrorMessage(result),
                               sqlstate);
    if (sqlstate == NULL || ends_session(sqlstate))
        db_disconnect(db);
    return status;
}

bool db_find_fault(const struct db *db, const char *sql, size_t *ret_offset)
{
    size_t left = db->fault_at, offset = 0;

    if (left == 0)
        return false;
    for (; sql[offset] != '\0'; offset++)
        if (((unsigned char)sql[offset] & 0xC0) != 0x80 && --left == 0) /* not inside a character */
            break;
    *ret_offset = offset;
    return true;
}
