#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"

static void test_err_fail_writes_the_text_and_returns_the_status(void **state)
{
    struct err err = {"old"};

    (void)state;
    assert_int_equal(err_fail(&err, STATUS_LIMIT, "%d of %s", 3, "four"), STATUS_LIMIT);
    assert_string_equal(err.text, "3 of four");
    assert_int_equal(err_fail(NULL, STATUS_TIMEOUT, "nobody asked"), STATUS_TIMEOUT);
}

static void test_err_prefix_goes_in_front(void **state)
{
    struct err err = {"cause"};

    (void)state;
    err_prefix(&err, "step %d", 2);
    err_prefix(&err, "job");
    assert_string_equal(err.text, "job: step 2: cause");
    err_prefix(NULL, "job");
}

static void test_err_long_texts_are_cut_at_the_end(void **state)
{
    struct err err = {""};
    char text[2 * sizeof err.text];

    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(err_fail(&err, STATUS_INVALID, "%s", text), STATUS_INVALID);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    err_prefix(&err, "front");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_true(strncmp(err.text, "front: xx", 9) == 0);
    err_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void test_status_name_and_transience_of_every_code(void **state)
{
    (void)state;
    for (int s = STATUS_OK; s <= STATUS_INTERNAL; s++)
        assert_string_not_equal(status_name((enum status)s), "unknown");
    assert_string_equal(status_name((enum status)99), "unknown");
    assert_true(status_is_transient(STATUS_UNAVAILABLE));
    assert_true(status_is_transient(STATUS_TIMEOUT));
    assert_false(status_is_transient(STATUS_OK));
    assert_false(status_is_transient(STATUS_INVALID));
    assert_false(status_is_transient((enum status)99));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err_fail_writes_the_text_and_returns_the_status),
        cmocka_unit_test(test_err_prefix_goes_in_front),
        cmocka_unit_test(test_err_long_texts_are_cut_at_the_end),
        cmocka_unit_test(test_status_name_and_transience_of_every_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
