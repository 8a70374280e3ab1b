#include "tests/support/database.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/store/db_field.h"

static const char *url_from(const char *variable)
{
    const char *url = getenv(variable);

    if (url == NULL)
        fail_msg("%s is not set: run this through tests/with_servers.sh", variable);
    return url;
}

const char *database_owner_url(void)
{
    return url_from("TEST_DATABASE_URL");
}

const char *database_role_url(void)
{
    return url_from("TEST_PNLCACHE_DATABASE_URL");
}

void assert_status(enum status actual, enum status expected, const struct err *err)
{
    if (actual != expected)
        fail_msg("status %s instead of %s: %s", status_name(actual), status_name(expected),
                 err != NULL ? err->text : "");
}

struct db *database_open(const char *url, int64_t query_timeout_ms, bool read_only)
{
    struct db_options options = {.url = url,
                                 .application_name = "pnlcache-test",
                                 .connect_timeout_ms = 10000,
                                 .query_timeout_ms = query_timeout_ms,
                                 .read_only = read_only};
    struct err err = {""};
    struct db *db = NULL;

    assert_status(db_new(&options, &db, &err), STATUS_OK, &err);
    return db;
}

void database_run(const char *sql, ...)
{
    struct db *db = database_open(database_owner_url(), 60000, false);
    char text[8192];
    struct err err = {""};
    va_list args;

    va_start(args, sql);
    assert_in_range(vsnprintf(text, sizeof text, sql, args), 0, sizeof text - 1);
    va_end(args);
    assert_status(db_execute(db, text, &err), STATUS_OK, &err);
    db_free(&db);
}

int64_t database_integer(struct db *db, const char *sql)
{
    struct db_result *result = NULL;
    struct err err = {""};
    int64_t value = 0;

    assert_status(db_query(db, "", sql, 0, NULL, &result, &err), STATUS_OK, &err);
    assert_int_equal(db_result_rows(result), 1);
    assert_int_equal(db_field_int64(db_result_field(result, 0, 0), &value), STATUS_OK);
    db_result_free(&result);
    return value;
}

int database_backend(struct db *db)
{
    return (int)database_integer(db, "SELECT pg_backend_pid()");
}

void database_terminate(struct db *db)
{
    struct pollfd p = {.events = POLLRDHUP};

    database_run("SELECT pg_terminate_backend(%d)", database_backend(db));
    p.fd = db_socket(db);
    assert_int_equal(poll(&p, 1, 30000), 1);
}
