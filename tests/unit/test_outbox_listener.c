#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "worker/outage.h"
#include "worker/outbox_listener.h"

/* The struct's texts are not const because a batch owns them; these tests only read. */
static struct outbox_row row(int64_t id, char *user_id, char *tag)
{
    return (struct outbox_row){.id = id, .user_id = user_id, .tag = tag};
}

static char ann[] = "ann", bob[] = "bob", stocks[] = "stocks", options[] = "options", notes[] = "notes", odd[] = "odd";

static void test_outbox_rows_merge_takes_one_user_with_each_tag_once(void **state)
{
    struct outbox_row rows[] = {row(1, bob, stocks), row(2, ann, options), row(3, NULL, stocks),
                                row(4, ann, stocks), row(5, ann, options), row(6, bob, notes)};
    struct cache_tags tags;
    size_t unknown;

    (void)state;
    outbox_rows_sort(rows, 6);
    assert_null(rows[0].user_id);
    assert_int_equal(outbox_rows_merge(rows, 6, &tags, &unknown), 1);
    assert_int_equal(tags.n, 1);
    assert_int_equal(outbox_rows_merge(rows + 1, 5, &tags, &unknown), 3);
    assert_string_equal(rows[1].user_id, "ann");
    assert_int_equal(tags.n, 2);
    assert_int_equal(unknown, 0);
    assert_int_equal(outbox_rows_merge(rows + 4, 2, &tags, &unknown), 2);
    assert_int_equal(tags.n, 2);
}

static void test_outbox_rows_merge_counts_unknown_tags(void **state)
{
    struct outbox_row rows[] = {row(1, ann, odd), row(2, ann, stocks), row(3, ann, odd)};
    struct cache_tags tags;
    size_t unknown;

    (void)state;
    assert_int_equal(outbox_rows_merge(rows, 3, &tags, &unknown), 3);
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

    (void)state;
    for (size_t i = 0; i < CACHE_MAX_TAGS + 1; i++)
        rows[i] = row((int64_t)i, ann, names[i]);
    assert_int_equal(outbox_rows_merge(rows, CACHE_MAX_TAGS + 1, &tags, &unknown), CACHE_MAX_TAGS);
    assert_int_equal(outbox_rows_merge(rows + CACHE_MAX_TAGS, 1, &tags, &unknown), 1);
    assert_string_equal(tags.tags[0].name, "prices");
}

static void test_tags_touch_analytics_only_for_their_sources(void **state)
{
    struct cache_tags notes_only = {.n = 1, .tags = {{"notes", false}}};
    struct cache_tags settings_too = {.n = 2, .tags = {{"notes", false}, {"settings", false}}};

    (void)state;
    assert_false(tags_touch_analytics(&notes_only));
    assert_true(tags_touch_analytics(&settings_too));
}

static void test_outage_wait_doubles_up_to_its_bound(void **state)
{
    (void)state;
    assert_int_equal(outage_wait_ms(1), 100);
    assert_int_equal(outage_wait_ms(2), 200);
    assert_int_equal(outage_wait_ms(6), 3200);
    assert_int_equal(outage_wait_ms(7), 5000);
    assert_int_equal(outage_wait_ms(1000000), 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outbox_rows_merge_takes_one_user_with_each_tag_once),
        cmocka_unit_test(test_outbox_rows_merge_counts_unknown_tags),
        cmocka_unit_test(test_outbox_rows_merge_splits_too_many_tags),
        cmocka_unit_test(test_tags_touch_analytics_only_for_their_sources),
        cmocka_unit_test(test_outage_wait_doubles_up_to_its_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
