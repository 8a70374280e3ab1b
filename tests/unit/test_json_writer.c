#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "lib/json/json_writer.h"
#include "tests/support/comma_locale.h"

static struct buf out = BUF_INIT;
static struct json_writer w;

static void begin(void)
{
    buf_clear(&out);
    json_init(&w, &out);
}

static void test_json_writer_nested_levels_places_commas(void **state)
{
    (void)state;
    begin();
    json_object_begin(&w);
    json_key(&w, "a");
    json_array_begin(&w);
    json_int(&w, 1);
    json_object_begin(&w);
    json_object_end(&w);
    json_array_begin(&w);
    json_array_end(&w);
    json_bool(&w, false);
    json_array_end(&w);
    json_key_text(&w, "k\"\n", 3);
    json_null(&w);
    json_key(&w, "s");
    json_string(&w, NULL);
    json_object_end(&w);
    assert_int_equal(buf_status(&out), STATUS_OK);
    assert_string_equal(out.data, "{\"a\":[1,{},[],false],\"k\\\"\\n\":null,\"s\":null}");
}

static void test_json_string_escapes_and_repairs(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *expected;
    } cases[] = {
        {"", 0, "\"\""},
        {"plain", 5, "\"plain\""},
        {"\"\\/", 3, "\"\\\"\\\\/\""},
        {"\b\t\n\f\r\x01\x1f", 7, "\"\\b\\t\\n\\f\\r\\u0001\\u001f\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"\x7f", 1, "\"\x7f\""},
        {"\xc3\xa9\xf0\x9f\x92\xb0", 6, "\"\xc3\xa9\xf0\x9f\x92\xb0\""},
        {"\xff", 1, "\"\xef\xbf\xbd\""},
        {"a\xc3", 2, "\"a\xef\xbf\xbd\""},
        {"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin();
        json_string_bytes(&w, cases[i].bytes, cases[i].len);
        assert_string_equal(out.data, cases[i].expected);
    }
}

static void test_json_int_at_the_limits_is_exact(void **state)
{
    (void)state;
    begin();
    json_array_begin(&w);
    json_int(&w, INT64_MIN);
    json_int(&w, INT64_MAX);
    json_int(&w, 0);
    json_int(&w, -100);
    json_array_end(&w);
    assert_string_equal(out.data, "[-9223372036854775808,9223372036854775807,0,-100]");
}

static void test_json_ratio_and_decimal_leave_out_zeros(void **state)
{
    (void)state;
    begin();
    json_array_begin(&w);
    json_decimal(&w, -30175000000, 8, 4);
    json_ratio(&w, 2, 3, 6);
    json_ratio(&w, 1, 0, 6);
    w.null_as_zero = true;
    json_ratio(&w, 1, 0, 6);
    json_array_end(&w);
    assert_string_equal(out.data, "[-301.75,0.666667,null,0]");
}

static void check_double(double value, int decimals, const char *expected)
{
    begin();
    json_double(&w, value, decimals);
    if (strcmp(out.data, expected) != 0)
        fail_msg("%.17g at %d decimals: %s, expected %s", value, decimals, out.data, expected);
}

static void test_json_double_rounds_the_exact_value_half_away_from_zero(void **state)
{
    static const struct {
        double value;
        int decimals;
        const char *expected;
    } cases[] = {
        {0, 4, "0"},
        {-0.0, 4, "0"},
        {-0.00001, 4, "0"},
        {0.5, 0, "1"},
        {-0.5, 0, "-1"},
        {1.5, 0, "2"},
        {2.5, 0, "3"},
        {0.49999999999999994, 0, "0"},
        {0.125, 2, "0.13"},
        {-0.125, 2, "-0.13"},
        {0.375, 2, "0.38"},
        {1.005, 2, "1"},    /* 1.00499999999999989... */
        {2.675, 2, "2.67"}, /* 2.67499999999999982... */
        {1.115, 2, "1.11"}, /* 1.11499999999999999... */
        {1.255, 2, "1.25"},

        {0.999999999, 6, "1"},
        {123456.789, 4, "123456.789"},
        {1e-300, 6, "0"},
        {5e-324, 18, "0"},
        {NAN, 4, "null"},
        {INFINITY, 4, "null"},
        {-INFINITY, 4, "null"},
        {4503599627370495.5, 0, "4503599627370496"},
        {-4503599627370495.5, 0, "-4503599627370496"},
        {4503599627370494.5, 0, "4503599627370495"},
        {9007199254740993.0, 6, "9007199254740992"},
        {1125899906842624.25, 1, "1125899906842624.3"},
        {1e15, 6, "1000000000000000"},
        {1e22, 6, "10000000000000000000000"},
        {1e23, 6, "99999999999999991611392"},
        {-1.25e30, 2, "-1249999999999999954487036870656"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_double(cases[i].value, cases[i].decimals, cases[i].expected);
}

static void test_json_double_of_the_largest_double_has_309_digits(void **state)
{
    (void)state;
    begin();
    json_double(&w, 1.7976931348623157e308, 6);
    assert_int_equal(out.len, 309);
    assert_true(strncmp(out.data, "17976931348623157081", 20) == 0);
}

/* Exactly half-way between two texts: all decimals of the value are "5", then zeros. */
static bool is_tie(double value, int decimals)
{
    char exact[600];
    const char *rest;

    (void)snprintf(exact, sizeof exact, "%.200f", value);
    rest = strchr(exact, '.') + 1 + decimals;
    return rest[0] == '5' && strspn(rest + 1, "0") == strlen(rest + 1);
}

/* The C library rounds the exact value too, but ties to even; ties are in the table above. */
static void test_json_double_agrees_with_printf_on_random_values(void **state)
{
    unsigned short seed[3] = {1, 2, 3};
    char expected[400];

    (void)state;
    for (int i = 0; i < 300000; i++) {
        double value = ldexp(erand48(seed) - 0.5, (int)(erand48(seed) * 130) - 40);
        int decimals = (int)(erand48(seed) * 13);
        size_t len = (size_t)snprintf(expected, sizeof expected, "%.*f", decimals, value);
        if (decimals > 0) {
            while (expected[len - 1] == '0')
                len--;
            if (expected[len - 1] == '.')
                len--;
        }
        expected[len] = '\0';
        if (is_tie(value, decimals))
            continue;
        check_double(value, decimals, strcmp(expected, "-0") == 0 ? "0" : expected);
    }
}

static void test_json_double_in_a_comma_locale_prints_a_point(void **state)
{
    (void)state;
    comma_locale_begin();
    check_double(1234567.5, 4, "1234567.5");
    check_double(1e18, 4, "1000000000000000000");
    check_double(1125899906842624.25, 4, "1125899906842624.25");
    comma_locale_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_writer_nested_levels_places_commas),
        cmocka_unit_test(test_json_string_escapes_and_repairs),
        cmocka_unit_test(test_json_int_at_the_limits_is_exact),
        cmocka_unit_test(test_json_ratio_and_decimal_leave_out_zeros),
        cmocka_unit_test(test_json_double_rounds_the_exact_value_half_away_from_zero),
        cmocka_unit_test(test_json_double_of_the_largest_double_has_309_digits),
        cmocka_unit_test(test_json_double_agrees_with_printf_on_random_values),
        cmocka_unit_test(test_json_double_in_a_comma_locale_prints_a_point),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    buf_release(&out);
    return failed;
}
