#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/store/key_walk.h"

static void test_glob_append_escaped_disarms_patterns(void **state)
{
    struct buf out = BUF_INIT;

    (void)state;
    glob_append_escaped(&out, "a*b?[c]\\d:");
    assert_string_equal(out.data, "a\\*b\\?\\[c\\]\\\\d:");
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_glob_append_escaped_disarms_patterns)};

    return cmocka_run_group_tests_name("key_walk", tests, NULL, NULL);
}
