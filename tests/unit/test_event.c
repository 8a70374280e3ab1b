#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "jobs/event.h"

static void test_event_type_find_knows_every_type_of_the_api(void **state)
{
    static const char *const names[] = {"trade.created",   "trade.updated",    "trade.deleted",    "trades.imported",
                                        "notes.changed",   "playbook.changed", "notebook.changed", "images.changed",
                                        "calendar.synced", "settings.changed", "prices.changed",   "data.changed",
                                        "user.deleted"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct event_type *type = event_type_find(names[i]);

        assert_non_null(type);
        assert_string_equal(type->name, names[i]);
        assert_true(type->names_its_tag || type->tags.n > 0);
    }
    assert_null(event_type_find("trade.Created"));
    assert_null(event_type_find(""));
    assert_null(event_type_find("trade.create"));
}

static void test_event_type_tags_follow_the_asset(void **state)
{
    const struct event_type *type = event_type_find("trade.created");
    struct cache_tags tags;

    (void)state;
    event_type_tags(type, EVENT_STOCKS, &tags);
    assert_int_equal(tags.n, 1);
    assert_string_equal(tags.tags[0].name, "stocks");
    event_type_tags(type, EVENT_OPTIONS, &tags);
    assert_int_equal(tags.n, 1);
    assert_string_equal(tags.tags[0].name, "options");
    event_type_tags(type, EVENT_BOTH, &tags);
    assert_int_equal(tags.n, 2);
}

static void test_event_type_tags_ignore_the_asset_of_other_types(void **state)
{
    struct cache_tags tags;

    (void)state;
    event_type_tags(event_type_find("settings.changed"), EVENT_OPTIONS, &tags);
    assert_int_equal(tags.n, 1);
    assert_string_equal(tags.tags[0].name, "settings");
    event_type_tags(event_type_find("prices.changed"), EVENT_BOTH, &tags);
    assert_true(tags.tags[0].shared);
    event_type_tags(event_type_find("data.changed"), EVENT_BOTH, &tags);
    assert_int_equal(tags.n, 0);
}

static void test_event_tag_find_knows_every_tag_of_the_types(void **state)
{
    struct cache_tags all;
    struct cache_tag tag;

    (void)state;
    event_type_tags(event_type_find("user.deleted"), EVENT_BOTH, &all);
    for (size_t i = 0; i < all.n; i++) {
        assert_true(event_tag_find(all.tags[i].name, &tag));
        assert_string_equal(tag.name, all.tags[i].name);
        assert_false(tag.shared);
    }
    assert_true(event_tag_find("tags", &tag));
    assert_true(event_tag_find("prices", &tag));
    assert_true(tag.shared);
    assert_false(event_tag_find("stock", &tag));
    assert_false(event_tag_find("", &tag));
}

static void test_event_tags_add_merges_or_changes_nothing(void **state)
{
    struct cache_tags tags = {.n = 1, .tags = {{"notes", false}}}, all = *event_user_tags(), prices = {.n = 1};

    (void)state;
    assert_true(event_tag_find("prices", &prices.tags[0]));
    assert_true(event_tags_add(&tags, &all));
    assert_int_equal(tags.n, all.n);
    assert_true(event_tags_add(&tags, &all));
    assert_int_equal(tags.n, all.n);
    assert_int_equal(all.n, CACHE_MAX_TAGS);
    assert_false(event_tags_add(&tags, &prices));
    assert_int_equal(tags.n, all.n);
    assert_false(event_tags_hold(&tags, "prices"));
}

/* The outbox's word for a deletion must never be taken for a tag of rows. */
static void test_event_erase_tag_is_no_tag(void **state)
{
    struct cache_tag tag;

    (void)state;
    assert_false(event_tag_find(EVENT_ERASE_TAG, &tag));
    assert_true(event_type_find("user.deleted")->erases);
    assert_false(event_type_find("trade.deleted")->erases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event_type_find_knows_every_type_of_the_api),
        cmocka_unit_test(test_event_type_tags_follow_the_asset),
        cmocka_unit_test(test_event_type_tags_ignore_the_asset_of_other_types),
        cmocka_unit_test(test_event_tag_find_knows_every_tag_of_the_types),
        cmocka_unit_test(test_event_tags_add_merges_or_changes_nothing),
        cmocka_unit_test(test_event_erase_tag_is_no_tag),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
