/* Connection poolers. In transaction mode each transaction may run in another server session: prepared statements, SET and LISTEN
 * would reach sessions that belong to others, or none. So a pooler is noticed first thing after connecting, and nothing of
 * that kind is sent through it.
 *
 * It is noticed by the process number: at connecting a pooler hands out one of its own invention, while pg_backend_pid() is
 * asked of the server behind it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/db_internal.h"

enum status db_detect_pooler(struct db *db, int64_t deadline_ms, struct err *err)
{
    PGresult *result = NULL;
    enum status status = db_run_simple(db, "SELECT pg_backend_pid()", deadline_ms, &result, err);

    if (status != STATUS_OK)
        return status;
    if (PQntuples(result) == 1 && PQnfields(result) == 1)
        db->pooled = strtol(PQgetvalue(result, 0, 0), NULL, 10) != PQbackendPID(db->conn);
    else
        status = err_fail(err, STATUS_INTERNAL, "PostgreSQL did not tell its process number");
    PQclear(result);
    return status;
}

bool db_is_pooled(const struct db *db)
{
    return db->pooled;
}

/* PgBouncer and its kin answer questions about themselves in a database of this name. */
void db_name_pooler(const struct db *db, char *name, size_t size)
{
    const char *keywords[] = {"dbname", "dbname", "connect_timeout", NULL};
    const char *values[] = {db->url, "pgbouncer", "5", NULL};
    PGconn *console = PQconnectdbParams(keywords, values, 1);
    PGresult *result = NULL;

    if (PQstatus(console) == CONNECTION_OK)
        result = PQexec(console, "SHOW VERSION");
    if (result != NULL && PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
        (void)snprintf(name, size, "%s", PQgetvalue(result, 0, 0));
    else if (strstr(PQerrorMessage(console), "not allowed") != NULL)
        (void)snprintf(name, size, "PgBouncer (its version is told to stats_users only)");
    else
        (void)snprintf(name, size, "a pooler that does not tell its name");
    PQclear(result);
    PQfinish(console);
}
