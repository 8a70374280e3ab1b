#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/store/redis_info.h"

static const char info[] = "# Server\r\nredis_version:7.0.15\r\nrole:master\r\n\r\n# Memory\r\nused_memory:1024\r\n"
                           "used_memory_human:1.00K\r\nxrole:slave\r\nnegative:-1\r\nlast:9";

static void test_value_is_that_of_the_whole_name_at_the_beginning_of_a_line(void **state)
{
    char value[8];

    (void)state;
    assert_true(redis_info_value(info, "role", value, sizeof value));
    assert_string_equal(value, "master");
    assert_true(redis_info_value(info, "xrole", value, sizeof value));
    assert_string_equal(value, "slave");
    assert_true(redis_info_value(info, "last", value, sizeof value));
    assert_string_equal(value, "9");
    assert_false(redis_info_value(info, "rol", value, sizeof value));
    assert_false(redis_info_value(info, "Server", value, sizeof value));
    assert_false(redis_info_value(info, "absent", value, sizeof value));
    assert_false(redis_info_value("", "role", value, sizeof value));
}

static void test_value_that_does_not_fit_is_refused(void **state)
{
    char value[7];

    (void)state;
    assert_true(redis_info_value(info, "role", value, sizeof value)); /* six bytes and the NUL */
    assert_false(redis_info_value(info, "redis_version", value, 6));
}

static void test_number_is_a_whole_one_from_zero_on(void **state)
{
    int64_t number = -5;

    (void)state;
    assert_true(redis_info_number(info, "used_memory", &number));
    assert_int_equal(number, 1024);
    assert_false(redis_info_number(info, "used_memory_human", &number));
    assert_false(redis_info_number(info, "negative", &number));
    assert_false(redis_info_number(info, "absent", &number));
    assert_int_equal(number, 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_is_that_of_the_whole_name_at_the_beginning_of_a_line),
        cmocka_unit_test(test_value_that_does_not_fit_is_refused),
        cmocka_unit_test(test_number_is_a_whole_one_from_zero_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
