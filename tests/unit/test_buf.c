#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buf.h"

/* What holds between any two calls. */
static void check(const struct buf *b)
{
    assert_non_null(b->data);
    assert_int_equal(b->data[b->len], '\0');
    assert_true(b->cap == 0 ? b->len == 0 : b->len < b->cap);
}

static void test_buf_appends_grow_it(void **state)
{
    struct buf b = BUF_INIT;

    (void)state;
    check(&b);
    for (int i = 0; i < 5000; i++) {
        buf_append_format(&b, "%d,", i % 10);
        check(&b);
    }
    assert_int_equal(b.len, 10000);
    assert_true(strncmp(b.data, "0,1,2,3,", 8) == 0);
    assert_int_equal(buf_status(&b), STATUS_OK);
    buf_clear(&b);
    check(&b);
    assert_int_equal(b.len, 0);
    buf_append(&b, "a\0b", 3);
    buf_append_char(&b, 'c');
    buf_append_string(&b, "");
    buf_append(&b, NULL, 0);
    check(&b);
    assert_int_equal(b.len, 4);
    assert_memory_equal(b.data, "a\0bc", 5);
    buf_release(&b);
    check(&b);
    buf_release(&b);
}

static void test_buf_impossible_size_is_remembered_until_cleared(void **state)
{
    struct buf b = BUF_INIT;

    (void)state;
    buf_append_string(&b, "kept");
    assert_false(buf_reserve(&b, SIZE_MAX - 2));
    assert_int_equal(buf_status(&b), STATUS_NO_MEMORY);
    buf_append_string(&b, "ignored");
    check(&b);
    assert_string_equal(b.data, "kept");
    assert_null(buf_take_data(&b, &(size_t){0}));
    buf_clear(&b);
    assert_int_equal(buf_status(&b), STATUS_OK);
    buf_append_string(&b, "again");
    assert_string_equal(b.data, "again");
    buf_release(&b);
}

static void test_buf_take_data_hands_over(void **state)
{
    struct buf b = BUF_INIT;
    size_t len = 99;
    char *data = buf_take_data(&b, &len);

    (void)state;
    assert_non_null(data);
    assert_int_equal(len, 0);
    free(data);
    buf_append_string(&b, "mine");
    data = buf_take_data(&b, &len);
    check(&b);
    assert_int_equal(b.len, 0);
    assert_int_equal(len, 4);
    assert_string_equal(data, "mine");
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_appends_grow_it),
        cmocka_unit_test(test_buf_impossible_size_is_remembered_until_cleared),
        cmocka_unit_test(test_buf_take_data_hands_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
