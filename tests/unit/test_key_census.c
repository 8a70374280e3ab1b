#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "jobs/key_census.h"

static void count(struct key_census *c, const char *name)
{
    key_census_count(c, name, strlen(name));
}

static int64_t keys_of(const struct key_census *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->families[i].name, name) == 0)
            return c->families[i].keys;
    return 0;
}

static void test_family_is_what_stands_before_the_first_colon(void **state)
{
    struct key_census c = {.n = 0};

    (void)state;
    count(&c, "analytics:combined:{u}:30d:core");
    count(&c, "analytics:stocks:{u}:30d");
    count(&c, "epoch:{u}");
    count(&c, "jobs");
    count(&c, "");
    assert_int_equal(c.n, 4);
    assert_int_equal(keys_of(&c, "analytics"), 2);
    assert_int_equal(keys_of(&c, "epoch"), 1);
    assert_int_equal(keys_of(&c, "jobs"), 1);
    assert_int_equal(keys_of(&c, ""), 1);
}

static void test_names_that_are_no_plain_words_are_others(void **state)
{
    struct key_census c = {.n = 0};

    (void)state;
    count(&c, "a name with blanks:x");
    count(&c, "\x01\xff");
    count(&c, "a-family-whose-name-is-much-too-long:x");
    key_census_count(&c, "with\0nul:x", 10);
    assert_int_equal(c.n, 1);
    assert_int_equal(keys_of(&c, "other"), 4);
}

static void test_families_beyond_the_last_place_are_others(void **state)
{
    struct key_census c = {.n = 0};
    char name[32];

    (void)state;
    for (int i = 0; i < KEY_FAMILIES_MAX + 20; i++) {
        snprintf(name, sizeof name, "f%d:x", i);
        count(&c, name);
    }
    count(&c, "f3:y");
    assert_int_equal(c.n, KEY_FAMILIES_MAX);
    assert_int_equal(keys_of(&c, "other"), 21);
    assert_int_equal(keys_of(&c, "f3"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_family_is_what_stands_before_the_first_colon),
        cmocka_unit_test(test_names_that_are_no_plain_words_are_others),
        cmocka_unit_test(test_families_beyond_the_last_place_are_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
