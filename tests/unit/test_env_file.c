#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/env_file.h"

struct case_ok {
    const char *text;
    const char *values[4]; /* name, value, name, value; NULL: no more */
};

static void test_env_file_parse_valid_text_gives_entries(void **state)
{
    static const struct case_ok cases[] = {
        {"", {NULL}},
        {"A=1", {"A", "1"}},
        {"A=1\nB=2\n", {"A", "1", "B", "2"}},
        {"# comment\n; comment\n\n  A = 1  \n", {"A", "1"}},
        {"A=\n", {"A", ""}},
        {"A=a b\tc \t\r\n", {"A", "a b\tc"}},
        {"A=x # not a comment\n", {"A", "x # not a comment"}},
        {"A=\"a # b \"\n", {"A", "a # b "}},
        {"A='a\\n\"b'\n", {"A", "a\\n\"b"}},
        {"A=\"a\\\"b\\\\c\\d\"\n", {"A", "a\"b\\c\\d"}},
        {"A=\"one\\\ntwo\"\n", {"A", "onetwo"}},
        {"A=one\\\ntwo\nB=3", {"A", "onetwo", "B", "3"}},
        {"A=a\\ \n", {"A", "a "}},
        {"A=\"x\"'y'\n", {"A", "xy"}},
        {"A=\"line one\nline two\"\nB=2", {"A", "line one\nline two", "B", "2"}},
        {"A=a=b=c", {"A", "a=b=c"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct env_file file = {0};
        struct err err = {""};
        size_t n = 0;

        if (env_file_parse("f", cases[i].text, strlen(cases[i].text), &file, &err) != STATUS_OK)
            fail_msg("case %zu: %s", i, err.text);
        while (n < 2 && cases[i].values[2 * n] != NULL)
            n++;
        if (file.n != n)
            fail_msg("case %zu: %zu entries, expected %zu", i, file.n, n);
        for (size_t k = 0; k < n; k++) {
            assert_string_equal(file.entries[k].name, cases[i].values[2 * k]);
            if (strcmp(file.entries[k].value, cases[i].values[2 * k + 1]) != 0)
                fail_msg("case %zu: '%s', expected '%s'", i, file.entries[k].value, cases[i].values[2 * k + 1]);
        }
        env_file_release(&file);
    }
}

static void test_env_file_parse_wrong_text_names_file_and_line(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"A\n", "f:1: expected NAME=value"},     {"A=1\n\n# x\nB 2\n", "f:4: expected NAME=value"},
        {"1A=1\n", "f:1: expected NAME=value"},  {"A-B=1\n", "f:1: expected NAME=value"},
        {"=1\n", "f:1: expected NAME=value"},    {"A=1\nB=\"x\n\n", "f:2: the quote is not closed"},
        {"A='", "f:1: the quote is not closed"}, {"A=one\\\ntwo\nB", "f:3: expected NAME=value"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct env_file file = {0};
        struct err err = {""};

        assert_int_equal(env_file_parse("f", cases[i].text, strlen(cases[i].text), &file, &err), STATUS_INVALID);
        if (strcmp(err.text, cases[i].error) != 0)
            fail_msg("case %zu: '%s', expected '%s'", i, err.text, cases[i].error);
    }
}

static void test_env_file_parse_nul_byte_is_refused(void **state)
{
    struct env_file file = {0};
    struct err err = {""};

    (void)state;
    assert_int_equal(env_file_parse("f", "A=1\0B=2", 7, &file, &err), STATUS_INVALID);
    assert_non_null(strstr(err.text, "NUL"));
}

static void test_env_file_get_repeated_name_gives_the_last(void **state)
{
    static const char text[] = "A=1\nA=2\n";
    struct env_file file = {0};

    (void)state;
    assert_int_equal(env_file_parse("f", text, sizeof text - 1, &file, NULL), STATUS_OK);
    assert_string_equal(env_file_get(&file, "A"), "2");
    assert_null(env_file_get(&file, "B"));
    env_file_release(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_env_file_parse_valid_text_gives_entries),
        cmocka_unit_test(test_env_file_parse_wrong_text_names_file_and_line),
        cmocka_unit_test(test_env_file_parse_nul_byte_is_refused),
        cmocka_unit_test(test_env_file_get_repeated_name_gives_the_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
