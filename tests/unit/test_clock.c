#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <locale.h>

#include "lib/base/clock.h"

static void test_clock_override_holds_until_cleared(void **state)
{
    struct instant as_of = {42}, seen;

    (void)state;
    assert_false(clock_get_override(&seen));
    clock_set_override(as_of);
    assert_true(clock_now().us == 42);
    assert_true(clock_get_override(&seen) && seen.us == 42);
    assert_true(clock_monotonic_us() > 0 && clock_monotonic_ms() > 0);
    clock_clear_override();
    assert_true(clock_now().us > INT64_C(1700000000) * US_PER_SECOND);
}

static void test_instant_parse_then_format(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"2025-03-10T03:30:00Z", "2025-03-10T03:30:00Z"},
        {"2025-03-10 03:30:00", "2025-03-10T03:30:00Z"},
        {"2025-03-10T03:30:00.5Z", "2025-03-10T03:30:00.500000Z"},
        {"2025-03-10T03:30:00.000001+00:00", "2025-03-10T03:30:00.000001Z"},
        {"2025-03-10T03:30:00-04:00", "2025-03-10T07:30:00Z"},
        {"2025-03-10T03:30:00+05:30", "2025-03-09T22:00:00Z"},
        {"1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"},
        {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
        {"9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct instant t;
        char text[INSTANT_TEXT_SIZE];
        if (instant_parse(cases[i].text, &t) != STATUS_OK)
            fail_msg("'%s' was refused", cases[i].text);
        instant_format(t, text);
        assert_string_equal(text, cases[i].expected);
    }
}

static void test_instant_parse_anything_else_is_refused(void **state)
{
    static const char *const cases[] = {"",
                                        "2025-03-10",
                                        "2025-03-10T03:30",
                                        "2025-03-10T03:30:00.Z",
                                        "2025-03-10T03:30:00.1234567Z",
                                        "2025-03-10T24:00:00Z",
                                        "2025-03-10T03:60:00Z",
                                        "2025-03-10T03:30:60Z",
                                        "2025-02-29T00:00:00Z",
                                        "2025-03-10T03:30:00Zx",
                                        "2025-03-10T03:30:00+0400",
                                        "2025-03-10T03:30:00+04",
                                        "2025-03-10T03:30:00+24:00",
                                        "2025-03-10T03:30:00+04:60",
                                        "2025-03-10T03:30:00 Z",
                                        "2025-03-10X03:30:00Z",
                                        " 2025-03-10T03:30:00Z",
                                        "0001-01-01T00:00:00+00:01",
                                        "9999-12-31T23:59:59-00:01",
                                        "0000-12-31T00:00:00Z"};
    struct instant t = {7};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (instant_parse(cases[i], &t) != STATUS_INVALID)
            fail_msg("'%s' was accepted", cases[i]);
    assert_true(t.us == 7);
}

/* The example of RFC 9110 section 5.6.7. */
static void test_instant_http_date_round_trip(void **state)
{
    struct instant t;
    char text[INSTANT_TEXT_SIZE];

    (void)state;
    assert_int_equal(instant_parse_http("Sun, 06 Nov 1994 08:49:37 GMT", &t), STATUS_OK);
    assert_true(t.us == INT64_C(784111777) * US_PER_SECOND);
    t.us += 999999;
    (void)setlocale(LC_ALL, "de_DE.UTF-8");
    instant_format_http(t, text);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    (void)setlocale(LC_ALL, "C");
    instant_format_http((struct instant){-1}, text);
    assert_string_equal(text, "Wed, 31 Dec 1969 23:59:59 GMT");
    instant_format_http(INSTANT_NEVER, text);
    assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
}

static void test_instant_parse_http_anything_else_is_refused(void **state)
{
    static const char *const cases[] = {"",
                                        "Mon, 06 Nov 1994 08:49:37 GMT", /* it was a Sunday */
                                        "Sun, 6 Nov 1994 08:49:37 GMT",
                                        "Sun, 06 Nov 1994 08:49:37 UTC",
                                        "Sun, 06 nov 1994 08:49:37 GMT",
                                        "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994",
                                        "Sun, 31 Feb 1994 08:49:37 GMT",
                                        "Sun, 06 Nov 1994 08:49:37 GMTx",
                                        "Sun, 06 Nov 1994 24:49:37 GMT",
                                        "Sun, 06 Nov 1994x08:49:37 GMT"};
    struct instant t;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (instant_parse_http(cases[i], &t) != STATUS_INVALID)
            fail_msg("'%s' was accepted", cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_override_holds_until_cleared),
        cmocka_unit_test(test_instant_parse_then_format),
        cmocka_unit_test(test_instant_parse_anything_else_is_refused),
        cmocka_unit_test(test_instant_http_date_round_trip),
        cmocka_unit_test(test_instant_parse_http_anything_else_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
