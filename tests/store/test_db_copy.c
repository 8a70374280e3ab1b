/* The COPY stream against a real server: complete, and broken in every way we can break it. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/store/db_copy.h"
#include "lib/store/db_field.h"
#include "tests/support/database.h"

static struct err err;

static struct db *open_db(int64_t query_timeout_ms)
{
    return database_open(database_owner_url(), query_timeout_ms, true);
}

static struct db_copy *open_copy(struct db *db, const char *query)
{
    struct db_copy *copy = NULL;

    assert_status(db_copy_open(db, query, &copy, &err), STATUS_OK, &err);
    return copy;
}

/* Reads to the end; the status that ended it, and the rows before it. */
static enum status drain(struct db_copy *copy, size_t *ret_rows)
{
    enum status status;
    struct db_row row;

    *ret_rows = 0;
    while ((status = db_copy_next(copy, &row, &err)) == STATUS_OK)
        ++*ret_rows;
    return status;
}

static void test_copy_delivers_every_row_in_order(void **state)
{
    struct db *db = open_db(60000);
    struct db_copy *copy =
        open_copy(db, "SELECT g::bigint, CASE WHEN g % 2 = 0 THEN repeat('x', g % 100) END, (g % 3 = 0) "
                      "FROM generate_series(1, 20000) AS g");
    struct db_row row;

    (void)state;
    for (int64_t i = 1; i <= 20000; i++) {
        int64_t value = 0;
        bool third = false;

        assert_status(db_copy_next(copy, &row, &err), STATUS_OK, &err);
        assert_int_equal(row.n_fields, 3);
        assert_int_equal(db_field_int64(row.fields[0], &value), STATUS_OK);
        assert_int_equal(value, i);
        assert_int_equal(db_field_is_null(row.fields[1]), i % 2 != 0);
        if (i % 2 == 0)
            assert_int_equal(row.fields[1].len, i % 100);
        assert_int_equal(db_field_bool(row.fields[2], &third), STATUS_OK);
        assert_int_equal(third, i % 3 == 0);
    }
    assert_status(db_copy_next(copy, &row, &err), STATUS_NOT_FOUND, &err);
    assert_status(db_copy_next(copy, &row, &err), STATUS_NOT_FOUND, &err);
    db_copy_close(&copy);
    assert_null(copy);
    assert_int_equal(database_integer(db, "SELECT 1"), 1);
    db_free(&db);
}

static void test_copy_of_nothing_ends_in_order(void **state)
{
    struct db *db = open_db(60000);
    int backend = database_backend(db);
    struct db_copy *copy = open_copy(db, "SELECT 1 WHERE false");
    size_t rows;

    (void)state;
    assert_status(drain(copy, &rows), STATUS_NOT_FOUND, &err);
    assert_int_equal(rows, 0);
    db_copy_close(&copy);
    assert_int_equal(database_backend(db), backend);
    db_free(&db);
}

static void test_copy_bad_query_keeps_the_connection(void **state)
{
    struct db *db = open_db(60000);
    int backend = database_backend(db);
    struct db_copy *copy = NULL;

    (void)state;
    assert_status(db_copy_open(db, "SELECT * FROM no_such_table", &copy, &err), STATUS_INVALID, &err);
    assert_null(copy);
    assert_int_equal(database_backend(db), backend);
    assert_status(db_copy_open(db, "SELECT 1) TO STDOUT --", &copy, &err), STATUS_INTERNAL, &err); /* text format */
    assert_int_equal(database_integer(db, "SELECT 1"), 1);
    db_free(&db);
}

static void test_copy_failure_in_the_middle_is_no_end(void **state)
{
    struct db *db = open_db(60000);
    struct db_copy *copy;
    struct instant as_of;
    struct db_row row;
    size_t rows;

    (void)state;
    assert_status(db_begin_snapshot(db, &as_of, &err), STATUS_OK, &err);
    copy = open_copy(db, "SELECT 1 / (5000 - g) FROM generate_series(1, 10000) AS g");
    assert_status(drain(copy, &rows), STATUS_INVALID, &err);
    assert_non_null(strstr(err.text, "22012"));
    assert_int_equal(rows, 4999);
    assert_status(db_copy_next(copy, &row, &err), STATUS_INVALID, &err);
    db_copy_close(&copy);
    db_end(db);
    assert_int_equal(database_integer(db, "SELECT 1"), 1);
    db_free(&db);
}

static void test_copy_closed_early_drops_the_connection(void **state)
{
    struct db *db = open_db(60000);
    int backend = database_backend(db);
    struct db_copy *copy = open_copy(db, "SELECT g FROM generate_series(1, 1000000) AS g");
    struct db_row row;

    (void)state;
    assert_status(db_copy_next(copy, &row, &err), STATUS_OK, &err);
    db_copy_close(&copy);
    assert_false(db_is_connected(db));
    assert_int_not_equal(database_backend(db), backend);
    db_free(&db);
}

static void test_copy_backend_terminated_is_unavailable(void **state)
{
    struct db *db = open_db(60000);
    int backend = database_backend(db);
    struct instant as_of;
    struct db_copy *copy;
    struct db_row row;
    size_t rows;

    (void)state;
    assert_status(db_begin_snapshot(db, &as_of, &err), STATUS_OK, &err);
    copy = open_copy(db, "SELECT g, repeat('x', 1000) FROM generate_series(1, 1000000) AS g");
    assert_status(db_copy_next(copy, &row, &err), STATUS_OK, &err);
    database_run("SELECT pg_terminate_backend(%d)", backend);
    assert_status(drain(copy, &rows), STATUS_UNAVAILABLE, &err);
    assert_in_range(rows, 0, 999998);
    assert_status(db_copy_next(copy, &row, &err), STATUS_UNAVAILABLE, &err);
    db_copy_close(&copy);
    assert_status(db_execute(db, "SELECT 1", &err), STATUS_UNAVAILABLE, &err); /* still in the lost transaction */
    db_end(db);
    assert_int_equal(database_integer(db, "SELECT 1"), 1);
    db_free(&db);
}

static void test_copy_statement_timeout_in_the_middle(void **state)
{
    struct db *db = open_db(1000);
    struct db_copy *copy = open_copy(
        db, "SELECT repeat('x', 9000), CASE WHEN g > 100 THEN pg_sleep(60) END FROM generate_series(1, 200) AS g");
    size_t rows;

    (void)state;
    assert_status(drain(copy, &rows), STATUS_TIMEOUT, &err);
    assert_int_equal(rows, 100);
    db_copy_close(&copy);
    assert_int_equal(database_integer(db, "SELECT 1"), 1);
    db_free(&db);
}

static void test_copy_paused_backend_is_a_timeout(void **state)
{
    struct db *db = open_db(700);
    int backend = database_backend(db);
    struct db_copy *copy = open_copy(db, "SELECT g, repeat('x', 1000) FROM generate_series(1, 1000000) AS g");
    struct db_row row;
    size_t rows;

    (void)state;
    assert_status(db_copy_next(copy, &row, &err), STATUS_OK, &err);
    assert_int_equal(kill(backend, SIGSTOP), 0);
    assert_status(drain(copy, &rows), STATUS_TIMEOUT, &err);
    assert_in_range(rows, 0, 999998);
    db_copy_close(&copy);
    assert_int_equal(kill(backend, SIGCONT), 0);
    assert_int_equal(database_integer(db, "SELECT 1"), 1);
    db_free(&db);
}

/* --- cut at every byte --------------------------------------------------------------------- */

/* Stands between us and the server and closes both sides after `limit` bytes from the server. */
struct proxy {
    char directory[32];
    struct sockaddr_un here, there;
    int listener;
    atomic_long limit, sent;
    pthread_t thread;
};

/* Counts the bytes before the other side can see them. */
static bool forward(int from, int to, long most, atomic_long *count)
{
    char bytes[4096];
    ssize_t n = read(from, bytes, most < (long)sizeof bytes ? (size_t)most : sizeof bytes);

    if (n > 0)
        *count += n;
    return n > 0 && send(to, bytes, (size_t)n, MSG_NOSIGNAL) == n;
}

static void serve_one(struct proxy *proxy, int client)
{
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool open = connect(server, (struct sockaddr *)&proxy->there, sizeof proxy->there) == 0;
    atomic_long ignored = 0;

    proxy->sent = 0; /* here, where the connection before has really ended */
    while (open && proxy->sent < proxy->limit) {
        struct pollfd fds[] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};

        (void)poll(fds, 2, -1);
        if (fds[0].revents != 0)
            open = forward(client, server, sizeof(long) * 512, &ignored);
        if (open && fds[1].revents != 0)
            open = forward(server, client, proxy->limit - proxy->sent, &proxy->sent);
    }
    (void)close(client);
    (void)close(server);
}

static void *serve(void *argument)
{
    struct proxy *proxy = argument;
    int client;

    while ((client = accept(proxy->listener, NULL, NULL)) >= 0)
        serve_one(proxy, client);
    return NULL;
}

static void proxy_start(struct proxy *proxy)
{
    const char *directory = strstr(database_owner_url(), "host=");

    assert_non_null(directory);
    *proxy = (struct proxy){.directory = "/tmp/pnlcache-proxy.XXXXXX",
                            .here.sun_family = AF_UNIX,
                            .there.sun_family = AF_UNIX,
                            .listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_non_null(mkdtemp(proxy->directory));
    (void)snprintf(proxy->here.sun_path, sizeof proxy->here.sun_path, "%s/.s.PGSQL.5432", proxy->directory);
    (void)snprintf(proxy->there.sun_path, sizeof proxy->there.sun_path, "%s/.s.PGSQL.5432",
                   directory + strlen("host="));
    assert_int_equal(bind(proxy->listener, (struct sockaddr *)&proxy->here, sizeof proxy->here), 0);
    assert_int_equal(listen(proxy->listener, 8), 0);
    assert_int_equal(pthread_create(&proxy->thread, NULL, serve, proxy), 0);
}

static void proxy_stop(struct proxy *proxy)
{
    assert_int_equal(shutdown(proxy->listener, SHUT_RDWR), 0);
    assert_int_equal(pthread_join(proxy->thread, NULL), 0);
    (void)close(proxy->listener);
    (void)unlink(proxy->here.sun_path);
    (void)rmdir(proxy->directory);
}

/* One connection through the proxy and one COPY of five rows. */
static enum status copy_through(struct proxy *proxy, long limit, long *ret_before, size_t *ret_rows)
{
    char url[128];
    struct db_copy *copy = NULL;
    enum status status;
    struct db *db;

    proxy->limit = limit;
    (void)snprintf(url, sizeof url, "host=%s user=journal dbname=journal", proxy->directory);
    db = database_open(url, 30000, true);
    *ret_rows = 0;
    status = db_connect(db, &err);
    *ret_before = proxy->sent;
    if (status == STATUS_OK)
        status = db_copy_open(db, "SELECT g, 'row ' || g FROM generate_series(1, 5) AS g", &copy, &err);
    if (status == STATUS_OK)
        status = drain(copy, ret_rows);
    db_copy_close(&copy);
    db_free(&db);
    return status;
}

static void test_copy_cut_anywhere_is_never_complete(void **state)
{
    long before, total, ignored;
    struct proxy proxy;
    size_t rows;

    (void)state;
    proxy_start(&proxy);
    assert_status(copy_through(&proxy, 1000000, &before, &rows), STATUS_NOT_FOUND, &err);
    assert_int_equal(rows, 5);
    total = proxy.sent;
    for (long cut = before; cut < total; cut++) {
        enum status status = copy_through(&proxy, cut, &ignored, &rows);
        if (status != STATUS_UNAVAILABLE || rows > 5)
            fail_msg("cut after %ld of %ld bytes: %s with %zu rows", cut, total, status_name(status), rows);
    }
    assert_status(copy_through(&proxy, total, &ignored, &rows), STATUS_NOT_FOUND, &err);
    assert_int_equal(rows, 5);
    proxy_stop(&proxy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy_delivers_every_row_in_order),
        cmocka_unit_test(test_copy_of_nothing_ends_in_order),
        cmocka_unit_test(test_copy_bad_query_keeps_the_connection),
        cmocka_unit_test(test_copy_failure_in_the_middle_is_no_end),
        cmocka_unit_test(test_copy_closed_early_drops_the_connection),
        cmocka_unit_test(test_copy_backend_terminated_is_unavailable),
        cmocka_unit_test(test_copy_statement_timeout_in_the_middle),
        cmocka_unit_test(test_copy_paused_backend_is_a_timeout),
        cmocka_unit_test(test_copy_cut_anywhere_is_never_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
