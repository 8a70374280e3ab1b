/* Writing rows with COPY against a real server. */
#include <string.h>

#include "lib/store/db_copy.h"
#include "tests/support/database.h"

static struct err err;

static struct db *open_with_table(void)
{
    struct db *db = database_open(database_owner_url(), 60000, false);

    assert_status(
        db_execute(db, "CREATE TEMP TABLE t (n bigint, word text, price numeric(18,8) CHECK (price > 0))", &err),
        STATUS_OK, &err);
    return db;
}

static void test_copy_in_keeps_every_byte_and_every_digit(void **state)
{
    struct db *db = open_with_table();
    struct buf rows = BUF_INIT;

    (void)state;
    buf_append_string(&rows, "1\t");
    db_append_copy_text(&rows, "a\tb\nc\\d\re\v\f\b \\N");
    buf_append_string(&rows, "\t");
    db_append_copy_text(&rows, "0.00000001");
    buf_append_string(&rows, "\n2\t");
    db_append_copy_text(&rows, NULL);
    buf_append_string(&rows, "\t1\n");
    assert_status(db_copy_in(db, "t (n, word, price)", rows.data, rows.len, &err), STATUS_OK, &err);
    assert_int_equal(
        database_integer(
            db, "SELECT count(*) FROM t WHERE word = E'a\\tb\\nc\\\\d\\re\\013\\f\\b \\\\N' AND price = 0.00000001"),
        1);
    assert_int_equal(database_integer(db, "SELECT count(*) FROM t WHERE word IS NULL AND n = 2"), 1);
    buf_release(&rows);
    db_free(&db);
}

static void test_copy_in_of_more_than_any_buffer_holds(void **state)
{
    struct db *db = open_with_table();
    struct buf rows = BUF_INIT;

    (void)state;
    for (int i = 1; i <= 500000; i++)
        buf_append_format(&rows, "%d\tabcdefghijklmnopqrstuvwxyz\t1\n", i);
    assert_status(db_copy_in(db, "t", rows.data, rows.len, &err), STATUS_OK, &err);
    assert_int_equal(database_integer(db, "SELECT sum(n)::bigint FROM t"), 125000250000);
    buf_release(&rows);
    db_free(&db);
}

static void test_copy_in_that_is_refused_writes_nothing_and_keeps_the_connection(void **state)
{
    struct db *db = open_with_table();
    int backend = database_backend(db);
    static const struct {
        const char *into, *rows, *says;
    } cases[] = {
        {"t", "1\ta\t1\n2\tb\t-1\n", "check constraint"},
        {"t", "1\ta\n", "missing data"},
        {"t", "x\ta\t1\n", "invalid input syntax"},
        {"nowhere", "1\n", "does not exist"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_status(db_copy_in(db, cases[i].into, cases[i].rows, strlen(cases[i].rows), &err), STATUS_INVALID, &err);
        assert_non_null(strstr(err.text, cases[i].says));
    }
    assert_int_equal(database_integer(db, "SELECT count(*) FROM t"), 0);
    assert_int_equal(database_backend(db), backend);
    db_free(&db);
}

static void test_copy_in_after_the_backend_ended_is_unavailable(void **state)
{
    struct db *db = open_with_table();

    (void)state;
    assert_status(db_begin(db, &err), STATUS_OK, &err);
    database_terminate(db);
    assert_status(db_copy_in(db, "t", "1\ta\t1\n", 6, &err), STATUS_UNAVAILABLE, &err);
    db_end(db);
    db_free(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy_in_keeps_every_byte_and_every_digit),
        cmocka_unit_test(test_copy_in_of_more_than_any_buffer_holds),
        cmocka_unit_test(test_copy_in_that_is_refused_writes_nothing_and_keeps_the_connection),
        cmocka_unit_test(test_copy_in_after_the_backend_ended_is_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
