/* Single statements, prepared once per connection where there is no pooler, and their results. */
#include "lib/store/db_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct db_result {
    PGresult *pg;
};

static bool is_prepared(const struct db *db, const char *name)
{
    for (size_t i = 0; i < db->n_prepared; i++)
        if (strcmp(db->prepared[i], name) == 0)
            return true;
    return false;
}

static enum status remember_prepared(struct db *db, const char *name, struct err *err)
{
    char *copy = strdup(name);

    if (copy != NULL && db->n_prepared == db->cap_prepared) {
        size_t cap = db->cap_prepared == 0 ? 16 : 2 * db->cap_prepared;
        char **grown = realloc(db->prepared, cap * sizeof *grown);
        if (grown != NULL) {
            db->prepared = grown;
            db->cap_prepared = cap;
        }
    }
    if (copy == NULL || db->n_prepared == db->cap_prepared) {
        free(copy);
        /* The server knows the name and we cannot keep it. */
        db_disconnect(db);
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    }
    db->prepared[db->n_prepared++] = copy;
    return STATUS_OK;
}

static enum status prepare(struct db *db, const char *name, const char *sql, int64_t deadline_ms, struct err *err)
{
    enum status status;

    if (!PQsendPrepare(db->conn, name, sql, 0, NULL))
        return db_fail_lost(db, err);
    status = db_flush_output(db, deadline_ms, err);
    if (status == STATUS_OK)
        status = db_finish_command(db, deadline_ms, NULL, err);
    return status == STATUS_OK ? remember_prepared(db, name, err) : status;
}

static enum status send_query(struct db *db, const char *name, const char *sql, size_t n_params,
                              const char *const *params, int64_t deadline_ms, struct err *err)
{
    enum status status;
    int sent;

    if (name[0] == '\0') {
        sent = PQsendQueryParams(db->conn, sql, (int)n_params, NULL, params, NULL, NULL, 1);
    } else {
        if (!is_prepared(db, name) && (status = prepare(db, name, sql, deadline_ms, err)) != STATUS_OK)
            return status;
        sent = PQsendQueryPrepared(db->conn, name, (int)n_params, params, NULL, NULL, 1);
    }
    return sent ? db_flush_output(db, deadline_ms, err) : db_fail_lost(db, err);
}

/* "cached plan must not change result type": a view was redefined under a prepared statement. On a new
 * connection it is prepared anew. */
static enum status forget_stale_plan(struct db *db, enum status status, struct err *err)
{
    if (status != STATUS_INTERNAL || strcmp(db->sqlstate, "0A000") != 0)
        return status;
    db_disconnect(db);
    err_prefix(err, "a prepared statement has become stale");
    return STATUS_CONFLICT;
}

static enum status query(struct db *db, const char *name, const char *sql, size_t n_params, const char *const *params,
                         struct db_result **ret_result, struct err *err)
{
    int64_t deadline_ms = db_query_deadline(db);
    struct db_result *result = calloc(1, sizeof *result);
    enum status status;

    if (result == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    status = send_query(db, name, sql, n_params, params, deadline_ms, err);
    if (status == STATUS_OK)
        status = db_finish_command(db, deadline_ms, &result->pg, err);
    if (status != STATUS_OK) {
        free(result);
        return name[0] != '\0' ? forget_stale_plan(db, status, err) : status;
    }
    *ret_result = result;
    return STATUS_OK;
}

/* Through a pooler: unprepared, because the next transaction may meet another server connection; and in a transaction,
 * because the settings hold in one only. */
static enum status query_pooled(struct db *db, const char *sql, size_t n_params, const char *const *params,
                                struct db_result **ret_result, struct err *err)
{
    struct db_result *result = NULL;
    enum status status;

    if (db->in_transaction)
        return query(db, "", sql, n_params, params, ret_result, err);
    status = db_begin_with(db, db->read_only ? "BEGIN READ ONLY" : "BEGIN READ WRITE", "", NULL, err);
    if (status != STATUS_OK)
        return status;
    status = query(db, "", sql, n_params, params, &result, err);
    if (status == STATUS_OK)
        status = db_commit(db, err);
    else
        db_end(db);
    if (status == STATUS_OK)
        *ret_result = result;
    else
        db_result_free(&result);
    return status;
}

enum status db_query(struct db *db, const char *name, const char *sql, size_t n_params, const char *const *params,
                     struct db_result **ret_result, struct err *err)
{
    enum status status = db_connect(db, err);

    if (status != STATUS_OK)
        return status;
    if (db->pooled)
        return query_pooled(db, sql, n_params, params, ret_result, err);
    return query(db, name, sql, n_params, params, ret_result, err);
}

enum status db_execute(struct db *db, const char *sql, struct err *err)
{
    enum status status = db_connect(db, err);

    return status == STATUS_OK ? db_run_simple(db, sql, db_query_deadline(db), NULL, err) : status;
}

/* --- results ------------------------------------------------------------------------------- */

void db_result_free(struct db_result **result)
{
    if (*result == NULL)
        return;
    PQclear((*result)->pg);
    free(*result);
    *result = NULL;
}

size_t db_result_rows(const struct db_result *result)
{
    return (size_t)PQntuples(result->pg);
}

size_t db_result_columns(const struct db_result *result)
{
    return (size_t)PQnfields(result->pg);
}

const char *db_result_column_name(const struct db_result *result, size_t column)
{
    assert(column < db_result_columns(result));
    return PQfname(result->pg, (int)column);
}

uint32_t db_result_column_type(const struct db_result *result, size_t column)
{
    assert(column < db_result_columns(result));
    return PQftype(result->pg, (int)column);
}

struct db_field db_result_field(const struct db_result *result, size_t row, size_t column)
{
    int r = (int)row, c = (int)column;

    assert(row < db_result_rows(result) && column < db_result_columns(result));
    if (PQgetisnull(result->pg, r, c))
        return (struct db_field){NULL, 0};
    return (struct db_field){(const unsigned char *)PQgetvalue(result->pg, r, c),
                             (size_t)PQgetlength(result->pg, r, c)};
}
