#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "fcgi/pending.h"

static void add(struct pending *pending, const char *user_id, const char *const *names, size_t n)
{
    struct cache_tags tags = {.n = n};
    struct cache_invalidation one = {.user_id = user_id, .tags = &tags};
    struct err err;

    for (size_t i = 0; i < n; i++)
        tags.tags[i] = (struct cache_tag){names[i], false};
    assert_int_equal(pending_add(pending, &one, &err), STATUS_OK);
}

static const char *const letters[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"};

static void test_covers_whom_it_was_told_of_and_everybody_for_shared_tags(void **state)
{
    struct pending *pending = NULL;
    struct err err;

    (void)state;
    assert_int_equal(pending_new(&pending, &err), STATUS_OK);
    assert_false(pending_covers(pending, "ann"));
    add(pending, "ann", letters, 1);
    assert_true(pending_covers(pending, "ann"));
    assert_false(pending_covers(pending, "bob"));
    add(pending, NULL, letters, 1);
    assert_true(pending_covers(pending, "bob"));
    pending_free(&pending);
}

static void test_takes_more_tags_of_a_user_than_an_invalidation_holds(void **state)
{
    struct pending *pending = NULL;
    struct err err;

    (void)state;
    assert_int_equal(pending_new(&pending, &err), STATUS_OK);
    add(pending, "ann", letters, CACHE_MAX_TAGS);
    add(pending, "ann", letters, CACHE_MAX_TAGS); /* nothing new */
    assert_int_equal(pending_count(pending), 1);
    add(pending, "ann", letters + CACHE_MAX_TAGS, 3);
    add(pending, "ann", letters + CACHE_MAX_TAGS + 1, 4); /* two more, for which there is room */
    assert_int_equal(pending_count(pending), 2);
    assert_true(pending_covers(pending, "ann"));
    pending_free(&pending);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_covers_whom_it_was_told_of_and_everybody_for_shared_tags),
        cmocka_unit_test(test_takes_more_tags_of_a_user_than_an_invalidation_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
