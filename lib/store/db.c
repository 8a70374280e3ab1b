/* The connection: connecting, back-off, deadlines, and the statements everything else is made of.
 *
 * libpq's blocking calls have no usable deadline (connect_timeout has a granularity of 2 s, queries have
 * none), so only its asynchronous half is used, around our own poll(). A query past its deadline costs the
 * connection: cancelling would need a second one, possibly unencrypted and blocking. The server's own
 * statement_timeout, a little shorter, normally comes first and keeps the connection.
 *
 * Session settings are sent as statements after connecting and not as start-up options, because poolers
 * refuse those. Nothing is ever printed: notices are discarded, failures become texts. */
#include "lib/store/db_internal.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_FIRST_MS 100 /* of a breaker of its own */
#define PAUSE_LAST_MS 5000
#define LOCK_TIMEOUT_MAX_MS 10000
#define IDLE_TRANSACTION_MIN_MS 60000

/* --- what went wrong ----------------------------------------------------------------------- */

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
static enum status fail_with_text(struct err *err, enum status status, const char *text, const char *sqlstate)
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
        fail_with_text(err, STATUS_UNAVAILABLE, text[0] != '\0' ? text : "the connection was lost", NULL);

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
    const char *sqlstate, *text;
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
    strncpy(db->sqlstate, sqlstate != NULL ? sqlstate : "", sizeof db->sqlstate - 1);
    status =
        fail_with_text(err, db_sqlstate_status(sqlstate), text != NULL ? text : PQresultErrorMessage(result), sqlstate);
    if (sqlstate == NULL || ends_session(sqlstate))
        db_disconnect(db);
    return status;
}

/* --- waiting ------------------------------------------------------------------------------- */

/* Waits for `events` on the socket. STATUS_TIMEOUT: the deadline passed. */
static enum status wait_socket(int fd, short events, int64_t deadline_ms, struct err *err)
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
    enum status status = wait_socket(PQsocket(db->conn), events, deadline_ms, err);

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

/* Sends what libpq has buffered, reading meanwhile, because a server that waits for us to read does not read. */
static enum status flush_output(struct db *db, int64_t deadline_ms, struct err *err)
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
    return flush_output(db, deadline_ms, err);
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

/* --- connecting ---------------------------------------------------------------------------- */

static void ignore_notice(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

static PGconn *start_connect(const struct db *db)
{
    /* Later keywords win: what the url says goes before our defaults, and the encoding, which the
     * literals and the decoders rely on, before both. */
    const char *keywords[] = {"application_name", "keepalives_idle", "keepalives_interval", "keepalives_count",
                              "tcp_user_timeout", "dbname",          "client_encoding",     NULL};
    const char *values[] = {db->application_name, "30", "10", "3", "60000", db->url, "UTF8", NULL};

    return PQconnectStartParams(keywords, values, 1);
}

/* Drives PQconnectPoll(); the socket may change from step to step (several hosts, TLS refused, ...). */
static enum status finish_connect(struct db *db, int64_t deadline_ms, struct err *err)
{
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    enum status status;

    while (step != PGRES_POLLING_OK) {
        if (PQstatus(db->conn) == CONNECTION_BAD || step == PGRES_POLLING_FAILED)
            return fail_with_text(err, STATUS_UNAVAILABLE, PQerrorMessage(db->conn), NULL);
        status = wait_socket(PQsocket(db->conn), step == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_ms, err);
        if (status == STATUS_TIMEOUT)
            return err_fail(err, STATUS_TIMEOUT, "PostgreSQL: no connection within %lld ms",
                            (long long)db->connect_timeout_ms);
        if (status != STATUS_OK)
            return status;
        step = PQconnectPoll(db->conn);
    }
    return PQsetnonblocking(db->conn, 1) == 0 ? STATUS_OK : err_fail(err, STATUS_NO_MEMORY, "out of memory");
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t statement_timeout_ms(const struct db *db)
{
    return db->query_timeout_ms - min64(db->query_timeout_ms / 10, 500);
}

static void append_identifier(struct buf *out, const char *name)
{
    buf_append_char(out, '"');
    for (; *name != '\0'; name++) {
        if (*name == '"')
            buf_append_char(out, '"');
        buf_append_char(out, *name);
    }
    buf_append_char(out, '"');
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
        append_identifier(sql, db->channel);
    }
}

static enum status set_up_session(struct db *db, int64_t deadline_ms, struct err *err)
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

static enum status connect_once(struct db *db, struct err *err)
{
    int64_t deadline_ms = clock_monotonic_ms() + db->connect_timeout_ms;
    enum status status;

    db->conn = start_connect(db);
    if (db->conn == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    (void)PQsetNoticeReceiver(db->conn, ignore_notice, NULL);
    status = finish_connect(db, deadline_ms, err);
    if (status == STATUS_OK)
        status = set_up_session(db, deadline_ms, err);
    if (status != STATUS_OK)
        db_disconnect(db);
    return status;
}

static enum status connect_anew(struct db *db, struct err *err)
{
    struct err why = {0};
    enum status status = breaker_admit(db->breaker, db->probes, clock_monotonic_ms(), err);

    if (status != STATUS_OK)
        return status;
    db->silences = breaker_silences(db->breaker);
    status = connect_once(db, &why);
    if (status == STATUS_OK) {
        breaker_succeed(db->breaker, clock_monotonic_ms());
        db->missed_notifications = db->channel[0] != '\0';
        return STATUS_OK;
    }
    breaker_fail(db->breaker, status == STATUS_TIMEOUT ? BREAKER_SILENT : BREAKER_REFUSED, why.text,
                 clock_monotonic_ms());
    return err_fail(err, status == STATUS_NO_MEMORY ? status : STATUS_UNAVAILABLE, "%s", why.text);
}

/* An idle connection can have been closed by the server (restart, pooler, administrator) since its last
 * use: what it sent, and its end, are waiting in the socket. Of a server that was silent since, nothing is; and a prober
 * connects anew to find out whether others can. */
static bool is_still_open(struct db *db)
{
    struct pollfd p = {.fd = PQsocket(db->conn), .events = POLLIN};

    if (!db->in_transaction &&
        (db->silences != breaker_silences(db->breaker) || (db->probes && breaker_state(db->breaker) != BREAKER_CLOSED)))
        return false;
    while (PQstatus(db->conn) == CONNECTION_OK && poll(&p, 1, 0) > 0)
        if (!PQconsumeInput(db->conn) || PQisBusy(db->conn))
            return false;
    return PQstatus(db->conn) == CONNECTION_OK;
}

enum status db_connect(struct db *db, struct err *err)
{
    assert(!db->copying);
    if (db->conn != NULL && !is_still_open(db))
        db_disconnect(db);
    if (db->in_transaction && db->conn == NULL)
        return err_fail(err, STATUS_UNAVAILABLE, "PostgreSQL: the connection was lost inside a transaction");
    return db->conn != NULL ? STATUS_OK : connect_anew(db, err);
}

enum status db_require(struct db *db, struct err *err)
{
    return db_connect(db, err);
}

bool db_is_connected(const struct db *db)
{
    return db->conn != NULL;
}

void db_disconnect(struct db *db)
{
    if (db->conn != NULL)
        PQfinish(db->conn);
    db->conn = NULL;
    for (size_t i = 0; i < db->n_prepared; i++)
        free(db->prepared[i]);
    db->n_prepared = 0;
}

int db_socket(const struct db *db)
{
    return db->conn != NULL ? PQsocket(db->conn) : -1;
}

int db_server_version(const struct db *db)
{
    return db->conn != NULL ? PQserverVersion(db->conn) : 0;
}

static enum status check_url(const char *url, struct err *err)
{
    char *text = NULL;
    PQconninfoOption *parsed = PQconninfoParse(url, &text);

    /* libpq's text can repeat a piece of the string, and that piece can be the password. */
    PQfreemem(text);
    if (parsed == NULL)
        return err_fail(err, STATUS_INVALID,
                        "not a PostgreSQL connection string (expected postgresql://[user@][host][:port][/database] or "
                        "keyword=value pairs)");
    PQconninfoFree(parsed);
    return STATUS_OK;
}

enum status db_new(const struct db_options *options, struct db **ret_db, struct err *err)
{
    struct breaker_options own = {.first_pause_ms = PAUSE_FIRST_MS, .last_pause_ms = PAUSE_LAST_MS};
    enum status status = check_url(options->url, err);
    struct db *db;

    if (status != STATUS_OK)
        return status;
    db = calloc(1, sizeof *db);
    if (db == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    db->connect_timeout_ms = options->connect_timeout_ms;
    db->query_timeout_ms = options->query_timeout_ms;
    db->read_only = options->read_only;
    db->probes = options->probes || options->breaker == NULL;
    db->url = strdup(options->url);
    db->application_name = strdup(options->application_name);
    if (db->url == NULL || db->application_name == NULL)
        status = err_fail(err, STATUS_NO_MEMORY, "out of memory");
    if (status == STATUS_OK && options->breaker == NULL)
        status = breaker_new(&own, &db->own_breaker, err);
    if (status != STATUS_OK) {
        db_free(&db);
        return status;
    }
    db->breaker = options->breaker != NULL ? options->breaker : db->own_breaker;
    *ret_db = db;
    return STATUS_OK;
}

void db_free(struct db **db)
{
    if (*db == NULL)
        return;
    db_disconnect(*db);
    breaker_free(&(*db)->own_breaker);
    free((*db)->prepared);
    free((*db)->application_name);
    free((*db)->url);
    free(*db);
    *db = NULL;
}

/* --- statements ---------------------------------------------------------------------------- */

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
    status = flush_output(db, deadline_ms, err);
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
    return sent ? flush_output(db, deadline_ms, err) : db_fail_lost(db, err);
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

/* BEGIN, what a pooler makes part of it, and a first statement: one round trip. */
static enum status begin(struct db *db, const char *sql, const char *then, PGresult **ret_last, struct err *err)
{
    struct buf whole = BUF_INIT;
    enum status status;

    assert(!db->in_transaction);
    status = db_require(db, err);
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
    status = begin(db, db->read_only ? "BEGIN READ ONLY" : "BEGIN READ WRITE", "", NULL, err);
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
    enum status status = db_require(db, err);

    if (status != STATUS_OK)
        return status;
    if (db->pooled)
        return query_pooled(db, sql, n_params, params, ret_result, err);
    return query(db, name, sql, n_params, params, ret_result, err);
}

enum status db_execute(struct db *db, const char *sql, struct err *err)
{
    enum status status = db_require(db, err);

    return status == STATUS_OK ? db_run_simple(db, sql, db_query_deadline(db), NULL, err) : status;
}

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

int64_t db_result_affected(const struct db_result *result)
{
    return strtoll(PQcmdTuples(result->pg), NULL, 10);
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

/* --- transactions -------------------------------------------------------------------------- */

enum status db_begin_snapshot(struct db *db, struct instant *ret_as_of, struct err *err)
{
    PGresult *result = NULL;
    /* The SELECT is what takes the snapshot; in the same round trip. */
    enum status status = begin(db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
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
    return begin(db, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", "", NULL, err);
}

enum status db_commit(struct db *db, struct err *err)
{
    PGresult *result = NULL;
    enum status status;

    assert(db->in_transaction);
    status = db_require(db, err);
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

/* --- text ---------------------------------------------------------------------------------- */

void db_append_literal(struct buf *out, const char *text)
{
    /* E'' reads the same whatever standard_conforming_strings is. */
    buf_append_string(out, strchr(text, '\\') != NULL ? "E'" : "'");
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            buf_append_char(out, *text);
        buf_append_char(out, *text);
    }
    buf_append_char(out, '\'');
}

void db_append_text_array(struct buf *out, size_t n, const char *const *texts)
{
    buf_append_char(out, '{');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        if (texts[i] == NULL) {
            buf_append_string(out, "NULL");
            continue;
        }
        buf_append_char(out, '"');
        for (const char *c = texts[i]; *c != '\0'; c++) {
            if (*c == '"' || *c == '\\')
                buf_append_char(out, '\\');
            buf_append_char(out, *c);
        }
        buf_append_char(out, '"');
    }
    buf_append_char(out, '}');
}

/* --- notifications ------------------------------------------------------------------------- */

enum status db_listen(struct db *db, const char *channel, struct err *err)
{
    struct buf sql = BUF_INIT;
    enum status status;

    if (strlen(channel) > DB_CHANNEL_MAX)
        return err_fail(err, STATUS_INVALID, "channel name too long: %s", channel);
    status = db_require(db, err);
    if (status != STATUS_OK)
        return status;
    if (db->pooled)
        return err_fail(err, STATUS_INVALID, "a connection pooler is in between, which passes no notifications on");
    buf_append_string(&sql, "UNLISTEN *; LISTEN ");
    append_identifier(&sql, channel);
    status = buf_status(&sql);
    if (status == STATUS_OK)
        status = db_execute(db, sql.data, err);
    buf_release(&sql);
    if (status == STATUS_OK)
        memcpy(db->channel, channel, strlen(channel) + 1);
    return status;
}

enum status db_take_notifications(struct db *db, bool *ret_any, struct err *err)
{
    enum status status = db_require(db, err);
    PGnotify *notification;
    bool any;

    if (status != STATUS_OK)
        return status;
    any = db->missed_notifications;
    db->missed_notifications = false;
    while ((notification = PQnotifies(db->conn)) != NULL) {
        any = true;
        PQfreemem(notification);
    }
    *ret_any = any;
    return STATUS_OK;
}
