#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/http_cache.h"

#define EACH(table) (size_t i = 0; i < sizeof(table) / sizeof((table)[0]); i++)

static void test_accepts_gzip_follows_rfc9110(void **state)
{
    static const struct {
        const char *field;
        bool accepts;
    } cases[] = {
        {NULL, false},
        {"", false},
        {"gzip", true},
        {"GZIP", true},
        {"x-gzip", true},
        {"br", false},
        {"br, gzip", true},
        {"gzip;q=0", false},
        {"gzip;q=0.000", false},
        {"gzip;q=0.001", true},
        {"gzip; q=1.0", true},
        {"gzip;q=1.1", false},
        {"gzip;q=2", false},
        {"gzip;q=", false},
        {"gzip;q=0.1234", false},
        {"*", true},
        {"*;q=0", false},
        {"*, gzip;q=0", false},
        {"gzip, *;q=0", true},
        {"identity", false},
        {"gzipped", false},
        {" , gzip ;q=0.5 ,", true},
    };

    (void)state;
    for
        EACH(cases)
    if (http_accepts_gzip(cases[i].field) != cases[i].accepts)
        fail_msg("case %zu: %s", i, cases[i].field ? cases[i].field : "absent");
}

static void test_etag_matches_lists_weak_and_star(void **state)
{
    static const struct {
        const char *field;
        bool matches;
    } cases[] = {
        {"\"abc\"", true},        {"W/\"abc\"", true},      {"*", true},          {" * ", true},
        {"\"x\", \"abc\"", true}, {"\"x\",\"y\"", false},   {"\"ab\"", false},    {"\"abcd\"", false},
        {"abc", false},           {"\"abc", false},         {"", false},          {"\"a,b\" , W/\"abc\"", true},
        {"*, \"x\"", false},      {"\"x\" \"abc\"", false}, {"w/\"abc\"", false},
    };

    (void)state;
    for
        EACH(cases)
    if (http_etag_matches(cases[i].field, "\"abc\"") != cases[i].matches)
        fail_msg("case %zu: %s", i, cases[i].field);
}

static void test_has_directive_ignores_case_and_neighbours(void **state)
{
    (void)state;
    assert_true(http_has_directive("no-cache", "no-cache"));
    assert_true(http_has_directive("max-age=0, No-Cache", "no-cache"));
    assert_false(http_has_directive("no-cache-please", "no-cache"));
    assert_false(http_has_directive(NULL, "no-cache"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts_gzip_follows_rfc9110),
        cmocka_unit_test(test_etag_matches_lists_weak_and_star),
        cmocka_unit_test(test_has_directive_ignores_case_and_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
