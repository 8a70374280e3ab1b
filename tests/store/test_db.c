/* The connection against a real server: statements, transactions, notifications, and its faults. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/store/db_field.h"
#include "tests/support/database.h"

#define TIMEOUT_MS 20000

static struct err err;

static struct db *open_role(void)
{
    return database_open(database_role_url(), TIMEOUT_MS, true);
}

static struct db *open_owner(void)
{
    return database_open(database_owner_url(), TIMEOUT_MS, false);
}

static void assert_works(struct db *db)
{
    assert_int_equal(database_integer(db, "SELECT 4711"), 4711);
}

static void assert_text_field(struct db_field f, const char *expected)
{
    assert_non_null(f.bytes);
    assert_int_equal(f.len, strlen(expected));
    assert_memory_equal(f.bytes, expected, f.len);
}

/* --- statements ---------------------------------------------------------------------------- */

static void test_query_parameters_nulls_and_binary_results(void **state)
{
    const char *params[] = {"7", NULL, "o'clock \\ \xC3\xA4"};
    struct db_result *result = NULL;
    struct db *db = open_role();
    int64_t value = 0;

    (void)state;
    for (int round = 0; round < 3; round++) {
        assert_status(db_query(db, round == 0 ? "" : "mixed", "SELECT $1::int4 + 1, $2::text, $3::text", 3, params,
                               &result, &err),
                      STATUS_OK, &err);
        assert_int_equal(db_result_rows(result), 1);
        assert_int_equal(db_result_columns(result), 3);
        assert_int_equal(db_field_int64(db_result_field(result, 0, 0), &value), STATUS_OK);
        assert_int_equal(value, 8);
        assert_true(db_field_is_null(db_result_field(result, 0, 1)));
        assert_text_field(db_result_field(result, 0, 2), params[2]);
        db_result_free(&result);
    }
    assert_int_equal(database_integer(db, "SELECT count(*) FROM pg_prepared_statements"), 1);
    db_free(&db);
}

static void test_query_ten_megabytes_both_ways(void **state)
{
    struct db *db = open_role();
    struct db_result *result = NULL;
    size_t len = 10u << 20;
    char *text = test_malloc(len + 1);
    const char *params[] = {text};

    (void)state;
    memset(text, 'x', len);
    text[len] = '\0';
    assert_status(db_query(db, "", "SELECT $1::text FROM generate_series(1, 2)", 1, params, &result, &err), STATUS_OK,
                  &err);
    assert_int_equal(db_result_rows(result), 2);
    assert_text_field(db_result_field(result, 1, 0), text);
    db_result_free(&result);
    test_free(text);
    db_free(&db);
}

static void test_query_failures_have_their_status_and_keep_the_connection(void **state)
{
    static const struct {
        const char *sql;
        enum status status;
        const char *text;
    } cases[] = {
        {"SELECT 1/0", STATUS_INVALID, "22012"},
        {"SELECT * FROM no_such_table", STATUS_INVALID, "no_such_table"},
        {"SELEC", STATUS_INVALID, "42601"},
        {"SELECT 'x'::numeric", STATUS_INVALID, "22P02"},
        {"DO $$ BEGIN RAISE EXCEPTION E'two\\nlines'; END $$", STATUS_INTERNAL, "two lines"},
        {"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'again'; END $$", STATUS_CONFLICT, "again"},
        {"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53200', MESSAGE = 'no memory'; END $$", STATUS_LIMIT,
         "no memory"},
        {"COPY (SELECT 1) TO STDOUT", STATUS_INTERNAL, "COPY"},
    };
    struct db *db = open_role();

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct db_result *result = NULL;
        enum status status = db_query(db, "", cases[i].sql, 0, NULL, &result, &err);

        if (status != cases[i].status || result != NULL || strstr(err.text, cases[i].text) == NULL)
            fail_msg("case %zu: %s, %s", i, status_name(status), err.text);
        assert_works(db);
    }
    db_free(&db);
}

static void test_execute_first_failure_counts(void **state)
{
    struct db *db = open_role();

    (void)state;
    assert_status(db_execute(db, "SELECT 1; SELECT 1/0; SELECT * FROM nothing", &err), STATUS_INVALID, &err);
    assert_non_null(strstr(err.text, "22012"));
    assert_status(db_execute(db, "", &err), STATUS_OK, &err);
    assert_status(db_execute(db, "SELECT 1; SELECT 2", NULL), STATUS_OK, NULL);
    assert_works(db);
    db_free(&db);
}

static void test_session_settings_are_pinned(void **state)
{
    static const struct {
        const char *name, *value;
    } expected[] = {
        {"statement_timeout", "900ms"},
        {"lock_timeout", "900ms"},
        {"idle_in_transaction_session_timeout", "1min"},
        {"TimeZone", "UTC"},
        {"search_path", "pnlcache, pg_temp"},
        {"default_transaction_read_only", "on"},
        {"client_connection_check_interval", "1s"},
        {"application_name", "pnlcache-test"},
        {"client_encoding", "UTF8"},
        {"jit", "off"},
    };
    struct db *db = database_open(database_role_url(), 1000, true);

    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const char *params[] = {expected[i].name};
        struct db_result *result = NULL;

        assert_status(db_query(db, "", "SELECT current_setting($1)", 1, params, &result, &err), STATUS_OK, &err);
        assert_text_field(db_result_field(result, 0, 0), expected[i].value);
        db_result_free(&result);
    }
    assert_in_range(db_server_version(db), 140000, 990000);
    db_free(&db);
}

static void test_read_only_refuses_writes(void **state)
{
    struct db *db = open_role();

    (void)state;
    assert_status(db_execute(db, "DELETE FROM pnlcache.change_log", &err), STATUS_UNAVAILABLE, &err);
    assert_non_null(strstr(err.text, "25006"));
    db_free(&db);
}

/* Notices and warnings of the server never reach standard error. */
static void test_notices_are_silent(void **state)
{
    char path[] = "/tmp/pnlcache-stderr.XXXXXX";
    int file = mkstemp(path), saved = dup(STDERR_FILENO);
    struct db *db = open_owner();
    enum status status;
    struct stat st;

    (void)state;
    assert_true(file >= 0 && saved >= 0);
    assert_true(dup2(file, STDERR_FILENO) >= 0);
    status = db_execute(
        db, "SET client_min_messages = debug1; DO $$ BEGIN RAISE WARNING 'loud'; RAISE NOTICE 'loud'; END $$", &err);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    assert_status(status, STATUS_OK, &err);
    assert_int_equal(fstat(file, &st), 0);
    assert_int_equal(st.st_size, 0);
    (void)close(file);
    (void)close(saved);
    (void)unlink(path);
    db_free(&db);
}

static void test_stale_plan_is_a_conflict_once(void **state)
{
    struct db_result *result = NULL;
    struct db *db = open_owner();

    (void)state;
    database_run("DROP VIEW IF EXISTS public.stale; CREATE VIEW public.stale AS SELECT 1 AS a");
    assert_status(db_query(db, "stale", "SELECT * FROM public.stale", 0, NULL, &result, &err), STATUS_OK, &err);
    db_result_free(&result);
    database_run("DROP VIEW public.stale; CREATE VIEW public.stale AS SELECT 'text' AS a");
    assert_status(db_query(db, "stale", "SELECT * FROM public.stale", 0, NULL, &result, &err), STATUS_CONFLICT, &err);
    assert_status(db_query(db, "stale", "SELECT * FROM public.stale", 0, NULL, &result, &err), STATUS_OK, &err);
    db_result_free(&result);
    database_run("DROP VIEW public.stale");
    db_free(&db);
}

static void test_forgotten_statements_are_prepared_anew(void **state)
{
    struct db_result *result = NULL;
    struct db *db = open_role();

    (void)state;
    assert_status(db_query(db, "one", "SELECT 1", 0, NULL, &result, &err), STATUS_OK, &err);
    db_result_free(&result);
    assert_status(db_execute(db, "DEALLOCATE ALL", &err), STATUS_OK, &err);
    assert_status(db_query(db, "one", "SELECT 1", 0, NULL, &result, &err), STATUS_CONFLICT, &err);
    assert_status(db_query(db, "one", "SELECT 1", 0, NULL, &result, &err), STATUS_OK, &err);
    db_result_free(&result);
    db_free(&db);
}

/* --- transactions -------------------------------------------------------------------------- */

static void test_snapshot_sees_one_moment(void **state)
{
    struct instant before, as_of, after;
    struct db *db = open_owner(), *other = open_owner();

    (void)state;
    database_run("DROP TABLE IF EXISTS public.moment; CREATE TABLE public.moment AS SELECT 1 AS n");
    before.us = database_integer(other, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
    assert_status(db_begin_snapshot(db, &as_of, &err), STATUS_OK, &err);
    after.us = database_integer(other, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
    assert_true(before.us <= as_of.us && as_of.us <= after.us);
    assert_status(db_execute(other, "INSERT INTO public.moment VALUES (2)", &err), STATUS_OK, &err);
    assert_int_equal(database_integer(db, "SELECT count(*) FROM public.moment"), 1);
    assert_status(db_execute(db, "DELETE FROM public.moment", &err), STATUS_UNAVAILABLE, &err); /* read only */
    db_end(db);
    assert_int_equal(database_integer(db, "SELECT count(*) FROM public.moment"), 2);
    database_run("DROP TABLE public.moment");
    db_free(&db);
    db_free(&other);
}

static void test_commit_keeps_and_end_discards(void **state)
{
    struct db *db = open_owner();

    (void)state;
    assert_status(db_execute(db, "CREATE TEMP TABLE t (n int)", &err), STATUS_OK, &err);
    assert_status(db_begin(db, &err), STATUS_OK, &err);
    assert_status(db_execute(db, "INSERT INTO t VALUES (1)", &err), STATUS_OK, &err);
    assert_status(db_commit(db, &err), STATUS_OK, &err);
    assert_status(db_begin(db, &err), STATUS_OK, &err);
    assert_status(db_execute(db, "INSERT INTO t VALUES (2)", &err), STATUS_OK, &err);
    db_end(db);
    db_end(db);
    assert_int_equal(database_integer(db, "SELECT count(*) FROM t"), 1);
    db_free(&db);
}

/* COMMIT of a failed transaction "succeeds" with the command tag ROLLBACK. */
static void test_commit_of_a_failed_transaction_is_a_conflict(void **state)
{
    struct db *db = open_owner();

    (void)state;
    assert_status(db_begin(db, &err), STATUS_OK, &err);
    assert_status(db_execute(db, "SELECT 1/0", &err), STATUS_INVALID, &err);
    assert_status(db_commit(db, &err), STATUS_CONFLICT, &err);
    assert_works(db);
    db_free(&db);
}

static void test_lost_inside_a_transaction_nothing_runs_outside_it(void **state)
{
    struct db *db = open_owner();

    (void)state;
    assert_status(db_begin(db, &err), STATUS_OK, &err);
    database_terminate(db);
    assert_status(db_execute(db, "SELECT 1", &err), STATUS_UNAVAILABLE, &err);
    assert_status(db_execute(db, "SELECT 1", &err), STATUS_UNAVAILABLE, &err);
    assert_status(db_commit(db, &err), STATUS_UNAVAILABLE, &err);
    assert_works(db);
    assert_status(db_begin(db, &err), STATUS_OK, &err);
    database_terminate(db);
    db_end(db);
    assert_works(db);
    db_free(&db);
}

/* --- notifications ------------------------------------------------------------------------- */

static bool take(struct db *db)
{
    bool any = false;

    assert_status(db_take_notifications(db, &any, &err), STATUS_OK, &err);
    return any;
}

static void wait_readable(struct db *db)
{
    struct pollfd p = {.fd = db_socket(db), .events = POLLIN};

    assert_int_equal(poll(&p, 1, 30000), 1);
}

static void test_notifications_arrive_and_survive_a_reconnect(void **state)
{
    struct db *db = open_role();

    (void)state;
    assert_status(db_listen(db, "odd \"channel", &err), STATUS_OK, &err);
    assert_false(take(db));
    database_run("NOTIFY \"odd \"\"channel\"; NOTIFY other");
    wait_readable(db);
    assert_true(take(db));
    assert_false(take(db));

    database_terminate(db);
    assert_true(take(db)); /* something may have been missed */
    assert_false(take(db));
    database_run("NOTIFY \"odd \"\"channel\"");
    wait_readable(db);
    assert_true(take(db));
    db_free(&db);
}

/* --- faults -------------------------------------------------------------------------------- */

static void test_terminated_while_idle_is_reconnected_unnoticed(void **state)
{
    struct db_result *result = NULL;
    struct db *db = open_role();

    (void)state;
    for (int round = 0; round < 3; round++) {
        assert_status(db_query(db, "one", "SELECT 1", 0, NULL, &result, &err), STATUS_OK, &err);
        db_result_free(&result);
        database_terminate(db);
    }
    assert_works(db);
    db_free(&db);
}

static void test_statement_timeout_keeps_the_connection(void **state)
{
    struct db *db = database_open(database_role_url(), 500, true);
    int backend = database_backend(db);

    (void)state;
    assert_status(db_execute(db, "SELECT pg_sleep(60)", &err), STATUS_TIMEOUT, &err);
    assert_int_equal(database_backend(db), backend);
    db_free(&db);
}

static void test_lock_timeout_is_a_conflict(void **state)
{
    struct db *db = open_owner(), *holder = open_owner();

    (void)state;
    assert_status(db_begin(holder, &err), STATUS_OK, &err);
    assert_status(db_execute(holder, "LOCK TABLE public.stocks IN ACCESS EXCLUSIVE MODE", &err), STATUS_OK, &err);
    assert_status(db_execute(db, "SET lock_timeout = 50; SELECT count(*) FROM public.stocks", &err), STATUS_CONFLICT,
                  &err);
    db_end(holder);
    db_free(&holder);
    db_free(&db);
}

static void test_paused_backend_costs_the_connection_not_the_thread(void **state)
{
    struct db *db = database_open(database_owner_url(), 500, false);
    int backend = database_backend(db);

    (void)state;
    assert_int_equal(kill(backend, SIGSTOP), 0);
    assert_status(db_execute(db, "SELECT 1", &err), STATUS_TIMEOUT, &err);
    assert_false(db_is_connected(db));
    assert_int_equal(db_socket(db), -1);
    assert_works(db); /* on a new backend */
    assert_int_equal(kill(backend, SIGCONT), 0);
    db_free(&db);
}

/* What opened the breaker was the trouble of others; the prober's own connection is as good as ever. */
static void test_a_prober_with_a_good_connection_closes_the_breaker(void **state)
{
    struct breaker_options pauses = {.first_pause_ms = 1, .last_pause_ms = 1};
    struct db_options options = {.url = database_role_url(),
                                 .application_name = "pnlcache-test",
                                 .connect_timeout_ms = TIMEOUT_MS,
                                 .query_timeout_ms = TIMEOUT_MS,
                                 .probes = true};
    struct db *prober = NULL;

    (void)state;
    assert_status(breaker_new(&pauses, &options.breaker, &err), STATUS_OK, &err);
    assert_status(db_new(&options, &prober, &err), STATUS_OK, &err);
    assert_works(prober);
    breaker_fail(options.breaker, BREAKER_REFUSED, "too many connections", clock_monotonic_ms());
    while (db_connect(prober, &err) != STATUS_OK)
        (void)usleep(1000); /* the pause */
    assert_int_equal(breaker_state(options.breaker), BREAKER_CLOSED);
    assert_works(prober);
    db_free(&prober);
    breaker_free(&options.breaker);
}

static void test_refused_connection_fails_fast_while_backing_off(void **state)
{
    struct db *db = database_open("postgresql:///journal?host=/nonexistent", 1000, false);

    (void)state;
    assert_status(db_connect(db, &err), STATUS_UNAVAILABLE, &err);
    assert_non_null(strstr(err.text, "/nonexistent"));
    for (int i = 0; i < 100; i++)
        (void)!db_connect(db, &err); /* the pause grows: sooner or later, and then at once */
    assert_status(db_connect(db, &err), STATUS_UNAVAILABLE, &err);
    assert_non_null(strstr(err.text, "next attempt in"));
    db_free(&db);
}

/* A server that accepts and then says nothing. */
static void test_silent_server_is_given_up_at_the_deadline(void **state)
{
    char dir[] = "/tmp/pnlcache-silent.XXXXXX", url[128];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct db_options options = {
        .url = url, .application_name = "t", .connect_timeout_ms = 200, .query_timeout_ms = 200};
    struct db *db = NULL;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/.s.PGSQL.5432", dir);
    (void)snprintf(url, sizeof url, "host=%s user=x dbname=x", dir);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_status(db_new(&options, &db, &err), STATUS_OK, &err);
    assert_status(db_connect(db, &err), STATUS_UNAVAILABLE, &err);
    assert_non_null(strstr(err.text, "200 ms"));
    db_free(&db);
    (void)close(listener);
    (void)unlink(address.sun_path);
    (void)rmdir(dir);
}

static void servers(const char *verb, const char *directory)
{
    char command[256];

    (void)snprintf(command, sizeof command, "SERVERS_OWNER=%d tools/private_servers.sh %s %s postgres", (int)getpid(),
                   verb, directory);
    assert_int_equal(system(command), 0); /* NOLINT: a fixed command of our own */
}

/* The socket of the server of that directory; `run` is a link. */
static void server_url(const char *directory, char *url, size_t size)
{
    (void)snprintf(url, size, "postgresql://journal@/journal?host=%s/run/pg", directory);
}

static void test_server_restart_is_survived(void **state)
{
    char directory[] = "/tmp/pnlcache-state.XXXXXXXX", url[128], command[128];
    struct db_result *result = NULL;
    int64_t give_up_ms;
    struct db *db;

    (void)state;
    assert_non_null(mkdtemp(directory));
    servers("start", directory);
    server_url(directory, url, sizeof url);
    db = database_open(url, TIMEOUT_MS, false);
    assert_status(db_query(db, "one", "SELECT 1", 0, NULL, &result, &err), STATUS_OK, &err);
    db_result_free(&result);

    servers("stop", directory);
    for (int i = 0; i < 3; i++)
        assert_status(db_query(db, "one", "SELECT 1", 0, NULL, &result, &err), STATUS_UNAVAILABLE, &err);

    servers("start", directory);
    give_up_ms = clock_monotonic_ms() + 30000;
    while (db_connect(db, &err) != STATUS_OK && clock_monotonic_ms() < give_up_ms)
        (void)poll(NULL, 0, 20);
    assert_status(db_query(db, "one", "SELECT 1", 0, NULL, &result, &err), STATUS_OK, &err);
    db_result_free(&result);
    db_free(&db);
    servers("stop", directory);
    (void)snprintf(command, sizeof command, "tools/private_servers.sh stop %s && rm -rf %s", directory, directory);
    assert_int_equal(system(command), 0); /* NOLINT */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query_parameters_nulls_and_binary_results),
        cmocka_unit_test(test_query_ten_megabytes_both_ways),
        cmocka_unit_test(test_query_failures_have_their_status_and_keep_the_connection),
        cmocka_unit_test(test_execute_first_failure_counts),
        cmocka_unit_test(test_session_settings_are_pinned),
        cmocka_unit_test(test_read_only_refuses_writes),
        cmocka_unit_test(test_notices_are_silent),
        cmocka_unit_test(test_stale_plan_is_a_conflict_once),
        cmocka_unit_test(test_forgotten_statements_are_prepared_anew),
        cmocka_unit_test(test_snapshot_sees_one_moment),
        cmocka_unit_test(test_commit_keeps_and_end_discards),
        cmocka_unit_test(test_commit_of_a_failed_transaction_is_a_conflict),
        cmocka_unit_test(test_lost_inside_a_transaction_nothing_runs_outside_it),
        cmocka_unit_test(test_notifications_arrive_and_survive_a_reconnect),
        cmocka_unit_test(test_terminated_while_idle_is_reconnected_unnoticed),
        cmocka_unit_test(test_statement_timeout_keeps_the_connection),
        cmocka_unit_test(test_lock_timeout_is_a_conflict),
        cmocka_unit_test(test_paused_backend_costs_the_connection_not_the_thread),
        cmocka_unit_test(test_a_prober_with_a_good_connection_closes_the_breaker),
        cmocka_unit_test(test_refused_connection_fails_fast_while_backing_off),
        cmocka_unit_test(test_silent_server_is_given_up_at_the_deadline),
        cmocka_unit_test(test_server_restart_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
