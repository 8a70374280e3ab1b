#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void assert_tag(struct cache_tag tag, const char *name, bool shared)
{
    assert_string_equal(tag.name, name);
    assert_int_equal(tag.shared, shared);
}

static void test_event_tag_rows_are_known_once_they_are_learned(void **state)
{
    struct cache_tag tag;
    struct err err;

    (void)state;
    assert_int_equal(event_tag_learn("guides", true, &err), STATUS_OK);
    assert_false(event_tag_rows("guides", &tag));
    assert_false(event_tag_part("guides", "7", &tag));
    assert_string_equal(event_tag_whole("guides.7"), "guides.7");
    assert_int_equal(event_tag_learn_rows("nobody", &err), STATUS_LIMIT);
    assert_int_equal(event_tag_learn_rows("guides", &err), STATUS_OK);
    assert_int_equal(event_tag_learn_rows("guides", &err), STATUS_OK);
    assert_true(event_tag_rows("guides", &tag));
    assert_tag(tag, "guides.rows", true);
    assert_string_equal(event_tag_whole("guides.rows"), "guides");
    assert_string_equal(event_tag_whole("guides.63"), "guides");
    assert_string_equal(event_tag_whole("guides"), "guides");
    assert_int_equal(event_tag_learn_rows("stocks", &err), STATUS_OK);
    assert_true(event_tag_rows("stocks", &tag));
    assert_tag(tag, "stocks.rows", false);
}

/* Every process must find the same parts, of every version: these never change. */
static void test_event_tag_part_of_an_id_is_the_same_for_ever(void **state)
{
    static const struct {
        const char *id, *part;
    } cases[] = {{"7", "guides.22"},  {"007", "guides.22"}, {"+7", "guides.22"},   {"0", "guides.37"},
                 {"-0", "guides.37"}, {"000", "guides.37"}, {"ACME", "guides.15"}, {"acme", "guides.15"},
                 {"-7", "guides.29"}, {"-007", "guides.29"}};
    struct cache_tag tag;
    struct err err;

    (void)state;
    assert_int_equal(event_tag_learn("guides", true, &err), STATUS_OK);
    assert_int_equal(event_tag_learn_rows("guides", &err), STATUS_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(event_tag_part("guides", cases[i].id, &tag));
        assert_tag(tag, cases[i].part, true);
    }
}

static void test_event_tag_parts_take_about_as_many_ids_each(void **state)
{
    int n[EVENT_TAG_PARTS] = {0};
    struct cache_tag tag;
    struct err err;
    char id[24];

    (void)state;
    assert_int_equal(event_tag_learn("guides", true, &err), STATUS_OK);
    assert_int_equal(event_tag_learn_rows("guides", &err), STATUS_OK);
    for (int i = 1; i <= 6400; i++) {
        (void)snprintf(id, sizeof id, "%d", i);
        assert_true(event_tag_part("guides", id, &tag));
        n[atoi(strchr(tag.name, '.') + 1)]++;
    }
    for (int i = 0; i < EVENT_TAG_PARTS; i++)
        if (n[i] < 50 || n[i] > 200)
            fail_msg("part %d has %d of 6400", i, n[i]);
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
        cmocka_unit_test(test_event_tag_rows_are_known_once_they_are_learned),
        cmocka_unit_test(test_event_tag_part_of_an_id_is_the_same_for_ever),
        cmocka_unit_test(test_event_tag_parts_take_about_as_many_ids_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
