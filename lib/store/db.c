/* The connection: connecting, back-off, losing it.
 *
 * libpq's blocking calls have no usable deadline (connect_timeout has a granularity of 2 s, queries have
 * none), so only its asynchronous half is used, around our own poll(): db_exchange.c. Nothing is ever printed:
 * notices are discarded, failures become texts. */
#include "lib/store/db_internal.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_FIRST_MS 100 /* of a breaker of its own */
#define PAUSE_LAST_MS 1000

/* --- life ---------------------------------------------------------------------------------- */

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
    enum status status = libpq_load(err);
    struct db *db;

    if (status == STATUS_OK)
        status = check_url(options->url, err);
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
            return db_fail_with_text(err, STATUS_UNAVAILABLE, PQerrorMessage(db->conn), NULL);
        status = db_wait_socket(PQsocket(db->conn), step == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_ms, err);
        if (status == STATUS_TIMEOUT)
            return err_fail(err, STATUS_TIMEOUT, "PostgreSQL: no connection within %lld ms",
                            (long long)db->connect_timeout_ms);
        if (status != STATUS_OK)
            return status;
        step = PQconnectPoll(db->conn);
    }
    return PQsetnonblocking(db->conn, 1) == 0 ? STATUS_OK : err_fail(err, STATUS_NO_MEMORY, "out of memory");
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
        status = db_set_up_session(db, deadline_ms, err);
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
