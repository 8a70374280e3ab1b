/* Statements on the wire, each by its deadline. A query past it costs the connection: cancelling would need a second
 * one, possibly unencrypted and blocking. The server's own statement_timeout, a little shorter, normally comes first and
 * keeps the connection. */
#include "lib/store/db_internal.h"

#include <errno.h>
#include <poll.h>

enum status db_wait_socket(int fd, short events, int64_t deadline_ms, struct err *err)
{
    struct pollfd p = {.fd = fd, .events = events};

    for (;;) {
        int64_t left = deadline_ms - clock_monotonic_ms();
        int n;

        if (left < 0)
            left = 0;
        n = poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left);
        if (n > 0)
            return STATUS_OK;
        if (n < 0 && errno != EINTR)
            return err_fail(err, STATUS_INTERNAL, "poll: errno %d", errno);
        if (n == 0 && clock_monotonic_ms() >= deadline_ms)
            return err_fail(err, STATUS_TIMEOUT, "PostgreSQL: no answer within the time allowed");
    }
}

static enum status wait_or_drop(struct db *db, short events, int64_t deadline_ms, struct err *err)
{
    enum status status = db_wait_socket(PQsocket(db->conn), events, deadline_ms, err);

    if (status != STATUS_OK) {
        db_disconnect(db);
        return status;
    }
    if (!PQconsumeInput(db->conn))
        return db_fail_lost(db, err);
    return STATUS_OK;
}

enum status db_wait_input(struct db *db, int64_t deadline_ms, struct err *err)
{
    return wait_or_drop(db, POLLIN, deadline_ms, err);
}

/* Reading meanwhile, because a server that waits for us to read does not read. */
enum status db_flush_output(struct db *db, int64_t deadline_ms, struct err *err)
{
    int left;

    while ((left = PQflush(db->conn)) > 0) {
        enum status status = wait_or_drop(db, POLLIN | POLLOUT, deadline_ms, err);
        if (status != STATUS_OK)
            return status;
    }
    return left < 0 ? db_fail_lost(db, err) : STATUS_OK;
}

enum status db_next_result(struct db *db, int64_t deadline_ms, PGresult **ret_result, struct err *err)
{
    while (PQisBusy(db->conn)) {
        enum status status = db_wait_input(db, deadline_ms, err);
        if (status != STATUS_OK)
            return status;
    }
    *ret_result = PQgetResult(db->conn);
    return STATUS_OK;
}

enum status db_finish_command(struct db *db, int64_t deadline_ms, PGresult **ret_last, struct err *err)
{
    enum status first = STATUS_OK, status;
    PGresult *result, *last = NULL;

    /* A judged failure may drop the connection; then there is nothing more to take. */
    while (db->conn != NULL) {
        status = db_next_result(db, deadline_ms, &result, first == STATUS_OK ? err : NULL);
        if (status != STATUS_OK) {
            first = first == STATUS_OK ? status : first;
            break;
        }
        if (result == NULL)
            break;
        status = db_judge(db, result, first == STATUS_OK ? err : NULL);
        if (status == STATUS_OK && PQresultStatus(result) == PGRES_COPY_OUT) {
            status = err_fail(err, STATUS_INTERNAL, "COPY is not possible here");
            db_disconnect(db);
        }
        first = first == STATUS_OK ? status : first;
        PQclear(last);
        last = result;
    }
    if (first == STATUS_OK && last != NULL && ret_last != NULL)
        *ret_last = last;
    else
        PQclear(last);
    if (first == STATUS_OK && last == NULL)
        return err_fail(err, STATUS_UNAVAILABLE, "PostgreSQL: the connection was lost");
    return first;
}

enum status db_send_simple(struct db *db, const char *sql, int64_t deadline_ms, struct err *err)
{
    if (!PQsendQuery(db->conn, sql))
        return db_fail_lost(db, err);
    return db_flush_output(db, deadline_ms, err);
}

enum status db_run_simple(struct db *db, const char *sql, int64_t deadline_ms, PGresult **ret_last, struct err *err)
{
    enum status status = db_send_simple(db, sql, deadline_ms, err);

    return status == STATUS_OK ? db_finish_command(db, deadline_ms, ret_last, err) : status;
}

int64_t db_query_deadline(const struct db *db)
{
    return clock_monotonic_ms() + db->query_timeout_ms;
}
