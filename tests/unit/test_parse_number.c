#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/parse_number.h"

static void test_parse_int64_table(void **state)
{
    static const struct {
        const char *text;
        int64_t min, max;
        enum status status;
        int64_t value;
    } cases[] = {
        {"0", 0, 0, STATUS_OK, 0},
        {"-0", 0, 0, STATUS_OK, 0},
        {"010", 0, 100, STATUS_OK, 10},
        {"9223372036854775807", INT64_MIN, INT64_MAX, STATUS_OK, INT64_MAX},
        {"-9223372036854775808", INT64_MIN, INT64_MAX, STATUS_OK, INT64_MIN},
        {"9223372036854775808", INT64_MIN, INT64_MAX, STATUS_LIMIT, -1},
        {"-9223372036854775809", INT64_MIN, INT64_MAX, STATUS_LIMIT, -1},
        {"18446744073709551616", INT64_MIN, INT64_MAX, STATUS_LIMIT, -1},
        {"184467440737095516150000", INT64_MIN, INT64_MAX, STATUS_LIMIT, -1},
        {"101", 0, 100, STATUS_LIMIT, -1},
        {"-1", 0, 100, STATUS_LIMIT, -1},
        {"", 0, 100, STATUS_INVALID, -1},
        {"-", 0, 100, STATUS_INVALID, -1},
        {"+1", 0, 100, STATUS_INVALID, -1},
        {" 1", 0, 100, STATUS_INVALID, -1},
        {"1 ", 0, 100, STATUS_INVALID, -1},
        {"1.0", 0, 100, STATUS_INVALID, -1},
        {"0x1", 0, 100, STATUS_INVALID, -1},
        {"--1", -100, 100, STATUS_INVALID, -1},
        {"99999999999999999999999x", 0, 100, STATUS_INVALID, -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value = -1;
        enum status status = parse_int64(cases[i].text, cases[i].min, cases[i].max, &value);
        if (status != cases[i].status || value != cases[i].value)
            fail_msg("case %zu '%s': %s, %lld", i, cases[i].text, status_name(status), (long long)value);
    }
}

static void test_parse_int64_bytes_stops_at_the_length(void **state)
{
    int64_t value = -1;

    (void)state;
    assert_int_equal(parse_int64_bytes("123x", 3, 0, 1000, &value), STATUS_OK);
    assert_int_equal(value, 123);
    assert_int_equal(parse_int64_bytes("1\0", 2, 0, 1000, &value), STATUS_INVALID);
    assert_int_equal(parse_int64_bytes("-", 1, 0, 1000, &value), STATUS_INVALID);
}

static void test_parse_hex64_table(void **state)
{
    uint64_t value = 7;

    (void)state;
    assert_int_equal(parse_hex64("0", 1, &value), STATUS_OK);
    assert_true(value == 0);
    assert_int_equal(parse_hex64("fFfFfFfFfFfFfFfF", 16, &value), STATUS_OK);
    assert_true(value == UINT64_MAX);
    assert_int_equal(parse_hex64("0123456789abcdef", 16, &value), STATUS_OK);
    assert_true(value == UINT64_C(0x0123456789abcdef));
    assert_int_equal(parse_hex64("", 0, &value), STATUS_INVALID);
    assert_int_equal(parse_hex64("00000000000000000", 17, &value), STATUS_INVALID);
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        bool digit = c != 0 && strchr("0123456789abcdefABCDEF", c) != NULL;
        assert_int_equal(parse_hex64(&byte, 1, &value), digit ? STATUS_OK : STATUS_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_int64_table),
        cmocka_unit_test(test_parse_int64_bytes_stops_at_the_length),
        cmocka_unit_test(test_parse_hex64_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
