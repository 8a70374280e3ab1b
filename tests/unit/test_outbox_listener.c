#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/log.h"
#include "worker/outage.h"
#include "worker/outbox_listener.h"

/* The struct's texts are not const because a batch owns them; these tests only read. */
static struct outbox_row row(int64_t id, char *user_id, char *tag)
{
    return (struct outbox_row){.id = id, .user_id = user_id, .tag = tag};
}

static char ann[] = "ann", bob[] = "bob", stocks[] = "stocks", options[] = "options", notes[] = "notes", odd[] = "odd",
            erased[] = "erase";

static void test_outbox_rows_merge_takes_one_user_with_each_tag_once(void **state)
{
    struct outbox_row rows[] = {row(1, bob, stocks), row(2, ann, options), row(3, NULL, stocks),
                                row(4, ann, stocks), row(5, ann, options), row(6, bob, notes)};
    struct cache_tags tags;
    size_t unknown;
    bool erase;

    (void)state;
    outbox_rows_sort(rows, 6);
    assert_null(rows[0].user_id);
    assert_int_equal(outbox_rows_merge(rows, 6, &tags, &erase, &unknown), 1);
    assert_int_equal(tags.n, 1);
    assert_int_equal(outbox_rows_merge(rows + 1, 5, &tags, &erase, &unknown), 3);
    assert_string_equal(rows[1].user_id, "ann");
    assert_int_equal(tags.n, 2);
    assert_int_equal(unknown, 0);
    assert_int_equal(outbox_rows_merge(rows + 4, 2, &tags, &erase, &unknown), 2);
    assert_int_equal(tags.n, 2);
}

static void test_outbox_rows_merge_counts_unknown_tags(void **state)
{
    struct outbox_row rows[] = {row(1, ann, odd), row(2, ann, stocks), row(3, ann, odd)};
    struct cache_tags tags;
    size_t unknown;
    bool erase;

    (void)state;
    assert_int_equal(outbox_rows_merge(rows, 3, &tags, &erase, &unknown), 3);
    assert_int_equal(unknown, 2);
    assert_int_equal(tags.n, 1);
    assert_string_equal(tags.tags[0].name, "stocks");
}

/* More tags than a group holds: the rest is a group of its own, nothing is lost. */
static void test_outbox_rows_merge_splits_too_many_tags(void **state)
{
    static char names[][12] = {"stocks", "options",  "notes",    "playbooks", "notebook",
                               "images", "calendar", "settings", "tags",      "prices"};
    struct outbox_row rows[CACHE_MAX_TAGS + 1];
    struct cache_tags tags;
    size_t unknown;
    bool erase;

    (void)state;
    for (size_t i = 0; i < CACHE_MAX_TAGS + 1; i++)
        rows[i] = row((int64_t)i, ann, names[i]);
    assert_int_equal(outbox_rows_merge(rows, CACHE_MAX_TAGS + 1, &tags, &erase, &unknown), CACHE_MAX_TAGS);
    assert_int_equal(outbox_rows_merge(rows + CACHE_MAX_TAGS, 1, &tags, &erase, &unknown), 1);
    assert_string_equal(tags.tags[0].name, "prices");
}

/* Other rows of the user, in the same claim, are a group of their own; nobody's deletion holds them back. */
static void test_outbox_rows_merge_puts_deletions_of_users_last(void **state)
{
    struct outbox_row rows[] = {row(1, ann, erased), row(2, bob, stocks), row(3, ann, stocks), row(4, ann, erased)};
    struct cache_tags tags;
    size_t unknown;
    bool erase;

    (void)state;
    outbox_rows_sort(rows, 4);
    assert_int_equal(outbox_rows_merge(rows, 4, &tags, &erase, &unknown), 1);
    assert_string_equal(rows[0].user_id, "ann");
    assert_false(erase);
    assert_int_equal(outbox_rows_merge(rows + 1, 3, &tags, &erase, &unknown), 1);
    assert_string_equal(rows[1].user_id, "bob");
    assert_int_equal(outbox_rows_merge(rows + 2, 2, &tags, &erase, &unknown), 2);
    assert_true(erase);
    assert_int_equal(unknown, 0);
    assert_int_equal(tags.n, CACHE_MAX_TAGS);
}

/* Whose deletion? Such a row says nothing, and is dropped like any unknown tag. */
static void test_outbox_rows_merge_knows_no_deletion_of_nobody(void **state)
{
    struct outbox_row rows[] = {row(1, NULL, erased)};
    struct cache_tags tags;
    size_t unknown;
    bool erase;

    (void)state;
    assert_int_equal(outbox_rows_merge(rows, 1, &tags, &erase, &unknown), 1);
    assert_false(erase);
    assert_int_equal(unknown, 1);
}

static void test_outage_wait_doubles_up_to_its_bound(void **state)
{
    (void)state;
    assert_int_equal(outage_wait_ms(1), 100);
    assert_int_equal(outage_wait_ms(2), 200);
    assert_int_equal(outage_wait_ms(3), 400);
    assert_int_equal(outage_wait_ms(4), 500);
    assert_int_equal(outage_wait_ms(1000000), 500);
}

static void test_outage_failed_waits_half_to_the_whole_at_random(void **state)
{
    struct outage outage = {.what = "a test"};
    int64_t least = 500, most = 0;

    (void)state;
    log_set_level(LOG_LEVEL_ERROR);
    for (int i = 0; i < 4; i++)
        (void)outage_failed(&outage, "away");
    for (int i = 0; i < 1000; i++) {
        int64_t wait_ms = outage_failed(&outage, "away");

        least = wait_ms < least ? wait_ms : least;
        most = wait_ms > most ? wait_ms : most;
    }
    assert_in_range(least, 250, 300);
    assert_in_range(most, 450, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outbox_rows_merge_takes_one_user_with_each_tag_once),
        cmocka_unit_test(test_outbox_rows_merge_counts_unknown_tags),
        cmocka_unit_test(test_outbox_rows_merge_splits_too_many_tags),
        cmocka_unit_test(test_outbox_rows_merge_puts_deletions_of_users_last),
        cmocka_unit_test(test_outbox_rows_merge_knows_no_deletion_of_nobody),
        cmocka_unit_test(test_outage_wait_doubles_up_to_its_bound),
        cmocka_unit_test(test_outage_failed_waits_half_to_the_whole_at_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
