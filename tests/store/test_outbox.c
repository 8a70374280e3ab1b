#include <string.h>

#include "lib/store/outbox.h"
#include "tests/support/database.h"

static struct err err;

/* As the programs' role: what it may do is part of what is tested. */
static struct db *open_role(bool read_only)
{
    return database_open(database_role_url(), 20000, read_only);
}

static int set_up(void **state)
{
    (void)state;
    database_run("TRUNCATE pnlcache.change_log");
    return 0;
}

static struct outbox_batch claim(struct db *db, size_t max)
{
    struct outbox_batch batch = {0, NULL};

    assert_status(outbox_claim(db, max, &batch, &err), STATUS_OK, &err);
    return batch;
}

static int64_t count_rows(void)
{
    struct db *db = open_role(true);
    int64_t n = database_integer(db, "SELECT count(*) FROM pnlcache.change_log");

    db_free(&db);
    return n;
}

static void test_claim_of_nothing_is_an_empty_batch(void **state)
{
    struct db *db = open_role(false);
    struct outbox_batch batch = claim(db, 10);

    (void)state;
    assert_int_equal(batch.n, 0);
    assert_status(outbox_finish(db, &batch, &err), STATUS_OK, &err);
    batch = claim(db, 10);
    outbox_abandon(db, &batch);
    db_free(&db);
}

static void test_claim_finish_delivers_and_deletes(void **state)
{
    struct db *db = open_role(false);
    struct outbox_batch batch;

    (void)state;
    database_run("INSERT INTO pnlcache.change_log (user_id, tag, noted_at) VALUES "
                 "('odd \"user\" {1}', 'stocks', '2025-03-10T03:30:00Z'), (NULL, 'prices', '2025-03-10T03:30:01Z'), "
                 "('u2', 'options', now())");
    batch = claim(db, 2);
    assert_int_equal(batch.n, 2);
    assert_string_equal(batch.rows[0].user_id, "odd \"user\" {1}");
    assert_string_equal(batch.rows[0].tag, "stocks");
    assert_int_equal(batch.rows[0].noted_at.us, INT64_C(1741577400000000));
    assert_null(batch.rows[1].user_id);
    assert_string_equal(batch.rows[1].tag, "prices");
    assert_true(batch.rows[0].id < batch.rows[1].id);
    assert_status(outbox_finish(db, &batch, &err), STATUS_OK, &err);
    assert_int_equal(batch.n, 0);
    assert_int_equal(count_rows(), 1);
    db_free(&db);
}

static void test_two_workers_never_hold_the_same_row(void **state)
{
    struct db *one = open_role(false), *two = open_role(false);
    struct outbox_batch first, second, third;

    (void)state;
    database_run(
        "INSERT INTO pnlcache.change_log (user_id, tag) SELECT 'u' || g, 'stocks' FROM generate_series(1, 5) g");
    first = claim(one, 3);
    second = claim(two, 10);
    assert_int_equal(first.n, 3);
    assert_int_equal(second.n, 2);
    for (size_t i = 0; i < second.n; i++)
        for (size_t j = 0; j < first.n; j++)
            assert_int_not_equal(second.rows[i].id, first.rows[j].id);
    assert_status(outbox_finish(two, &second, &err), STATUS_OK, &err);
    outbox_abandon(one, &first);
    third = claim(two, 10);
    assert_int_equal(third.n, 3);
    assert_status(outbox_finish(two, &third, &err), STATUS_OK, &err);
    assert_int_equal(count_rows(), 0);
    db_free(&one);
    db_free(&two);
}

static void test_rows_left_out_of_a_batch_are_claimed_again(void **state)
{
    struct db *db = open_role(false);
    struct outbox_batch batch;

    (void)state;
    database_run(
        "INSERT INTO pnlcache.change_log (user_id, tag) SELECT 'u' || g, 'stocks' FROM generate_series(1, 3) g");
    batch = claim(db, 3);
    outbox_keep_first(&batch, 1);
    assert_int_equal(batch.n, 1);
    assert_status(outbox_finish(db, &batch, &err), STATUS_OK, &err);
    batch = claim(db, 3);
    assert_int_equal(batch.n, 2);
    assert_string_equal(batch.rows[0].user_id, "u2");
    outbox_keep_first(&batch, 2);
    assert_int_equal(batch.n, 2);
    outbox_abandon(db, &batch);
    assert_int_equal(count_rows(), 2);
    db_free(&db);
}

static void test_worker_that_dies_loses_no_row(void **state)
{
    struct db *one = open_role(false), *two = open_role(false);
    struct outbox_batch batch;

    (void)state;
    database_run("INSERT INTO pnlcache.change_log (user_id, tag) VALUES ('u1', 'stocks')");
    batch = claim(one, 10);
    database_terminate(one);
    assert_status(outbox_finish(one, &batch, &err), STATUS_UNAVAILABLE, &err);
    assert_int_equal(count_rows(), 1);
    batch = claim(two, 10);
    assert_int_equal(batch.n, 1);
    assert_status(outbox_finish(two, &batch, &err), STATUS_OK, &err);
    batch = claim(one, 10);
    assert_int_equal(batch.n, 0);
    outbox_abandon(one, &batch);
    db_free(&one);
    db_free(&two);
}

static void test_add_on_a_read_only_connection_notes_and_wakes(void **state)
{
    static const struct outbox_note notes[] = {
        {"user's \\ id", "stocks"}, {"user's \\ id", "options"}, {"user's \\ id", "stocks"}, {NULL, "stocks"}};
    struct db *db = open_role(true), *listener = open_role(false);
    struct outbox_batch batch;
    bool any = false;

    (void)state;
    assert_status(db_listen(listener, OUTBOX_CHANNEL, &err), STATUS_OK, &err);
    assert_status(outbox_add(db, notes, 4, &err), STATUS_OK, &err);
    batch = claim(listener, 10);
    assert_int_equal(batch.n, 3);
    assert_string_equal(batch.rows[0].user_id, "user's \\ id");
    assert_null(batch.rows[2].user_id);
    assert_status(outbox_finish(listener, &batch, &err), STATUS_OK, &err);
    assert_status(db_take_notifications(listener, &any, &err), STATUS_OK, &err);
    assert_true(any);
    db_free(&db);
    db_free(&listener);
}

static void test_add_of_a_bad_tag_notes_nothing(void **state)
{
    static const struct outbox_note notes[] = {{"u1", "stocks"}, {"u1", "Not A Tag"}};
    struct db *db = open_role(true);

    (void)state;
    assert_status(outbox_add(db, notes, 2, &err), STATUS_INVALID, &err);
    assert_int_equal(count_rows(), 0);
    assert_int_equal(database_integer(db, "SELECT 1"), 1);
    db_free(&db);
}

static void test_inspect_tells_depth_and_age(void **state)
{
    struct db *db = open_role(true);
    struct outbox_state s;

    (void)state;
    assert_status(outbox_inspect(db, &s, &err), STATUS_OK, &err);
    assert_true(s.depth == 0 && s.oldest_age_ms == 0);
    database_run("INSERT INTO pnlcache.change_log (user_id, tag, noted_at) VALUES ('u', 'stocks', now() - interval '1 "
                 "hour'), ('u', 'options', now()), ('u', 'notes', now() + interval '1 day')");
    assert_status(outbox_inspect(db, &s, &err), STATUS_OK, &err);
    assert_int_equal(s.depth, 3);
    assert_in_range(s.oldest_age_ms, 3600000, 3660000);
    db_free(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_claim_of_nothing_is_an_empty_batch, set_up),
        cmocka_unit_test_setup(test_claim_finish_delivers_and_deletes, set_up),
        cmocka_unit_test_setup(test_two_workers_never_hold_the_same_row, set_up),
        cmocka_unit_test_setup(test_rows_left_out_of_a_batch_are_claimed_again, set_up),
        cmocka_unit_test_setup(test_worker_that_dies_loses_no_row, set_up),
        cmocka_unit_test_setup(test_add_on_a_read_only_connection_notes_and_wakes, set_up),
        cmocka_unit_test_setup(test_add_of_a_bad_tag_notes_nothing, set_up),
        cmocka_unit_test_setup(test_inspect_tells_depth_and_age, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
