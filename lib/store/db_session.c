/* What a session is set to. Sent as statements after connecting and not as start-up options, because poolers refuse
 * those; through a pooler, with each transaction (db_pooler.c). */
#include "lib/store/db_internal.h"

#define LOCK_TIMEOUT_MAX_MS 10000
#define IDLE_TRANSACTION_MIN_MS 60000

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t statement_timeout_ms(const struct db *db)
{
    return db->query_timeout_ms - min64(db->query_timeout_ms / 10, 500);
}

/* JIT is off because compiling a plan takes longer than any of our reads gains by it. random_page_cost is that of
 * cached or solid-state data: at the default of 4 a user's trades are fetched and sorted although an index has
 * them in order (measured: 2.0 against 0.8 ms for 1,000 trades). */
void db_append_settings(const struct db *db, bool local, struct buf *sql)
{
    static const char *const fixed[] = {
        "TimeZone = 'UTC'",
        "DateStyle = 'ISO'",
        "search_path = pnlcache, pg_temp",
        "standard_conforming_strings = on",
        "client_min_messages = error",
        "jit = off",
        "random_page_cost = 1.1",
    };
    const char *set = local ? "SET LOCAL" : "SET";
    int64_t statement_ms = statement_timeout_ms(db);
    int64_t idle_ms = db->query_timeout_ms > IDLE_TRANSACTION_MIN_MS ? db->query_timeout_ms : IDLE_TRANSACTION_MIN_MS;

    buf_append_format(sql, "%s statement_timeout = %lld; %s lock_timeout = %lld; ", set, (long long)statement_ms, set,
                      (long long)min64(statement_ms, LOCK_TIMEOUT_MAX_MS));
    buf_append_format(sql, "%s idle_in_transaction_session_timeout = %lld; ", set, (long long)idle_ms);
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        buf_append_format(sql, "%s %s; ", set, fixed[i]);
}

static void append_session_settings(const struct db *db, struct buf *sql)
{
    db_append_settings(db, false, sql);
    buf_append_format(sql, "SET default_transaction_read_only = %s;", db->read_only ? "on" : "off");
    if (db->channel[0] != '\0') {
        buf_append_string(sql, " LISTEN ");
        db_append_identifier(sql, db->channel);
    }
}

enum status db_set_up_session(struct db *db, int64_t deadline_ms, struct err *err)
{
    struct buf sql = BUF_INIT;
    enum status status = db_detect_pooler(db, deadline_ms, err);

    if (status != STATUS_OK || db->pooled) /* there settings go with each transaction */
        return status;
    append_session_settings(db, &sql);
    status = buf_status(&sql);
    if (status == STATUS_OK)
        status = db_run_simple(db, sql.data, deadline_ms, NULL, err);
    buf_release(&sql);
    /* Lets the server notice that we dropped the connection in the middle of a query. Some platforms
     * cannot and refuse the setting; statement_timeout then has to do. */
    if (status == STATUS_OK && PQserverVersion(db->conn) >= 140000 &&
        db_run_simple(db, "SET client_connection_check_interval = 1000", deadline_ms, NULL, NULL) != STATUS_OK &&
        db->conn == NULL)
        status = err_fail(err, STATUS_UNAVAILABLE, "PostgreSQL: the connection was lost while it was set up");
    return status;
}
