#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "jobs/dataset.h"

/* One test, in this order: numbers are the process's and never given back. */
static void test_names_keep_their_number_and_latecomers_share_the_last(void **state)
{
    char name[DATASET_NAME_MAX + 1];

    (void)state;
    assert_null(dataset_number_name(0));
    assert_int_equal(dataset_number_of("a"), 0);
    assert_int_equal(dataset_number_of("b"), 1);
    assert_int_equal(dataset_number_of("a"), 0);
    assert_string_equal(dataset_number_name(1), "b");
    assert_null(dataset_number_name(2));
    for (int i = 2; i < DATASET_NUMBERS + 10; i++) {
        snprintf(name, sizeof name, "x%d", i);
        assert_int_equal(dataset_number_of(name), i < DATASET_NUMBERS ? i : DATASET_NUMBERS - 1);
    }
    assert_string_equal(dataset_number_name(DATASET_NUMBERS - 2), "x126");
    assert_string_equal(dataset_number_name(DATASET_NUMBERS - 1), "other");
    assert_null(dataset_number_name(DATASET_NUMBERS));
    assert_int_equal(dataset_number_of("b"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_keep_their_number_and_latecomers_share_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
