#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/request.h"

static void add_param(struct request *r, const char *assignment)
{
    const char *equals = strchr(assignment, '=');

    request_add_param(r, assignment, (size_t)(equals - assignment), equals + 1, strlen(equals + 1));
}

static enum status parse(struct request *r, const char *uri, struct err *err)
{
    char assignment[512];

    request_clear(r);
    snprintf(assignment, sizeof(assignment), "REQUEST_URI=%s", uri);
    add_param(r, "REQUEST_METHOD=GET");
    add_param(r, assignment);
    return request_parse(r, err);
}

static void test_parse_splits_and_decodes_the_uri(void **state)
{
    struct request r;
    struct err err;

    (void)state;
    request_init(&r);
    assert_int_equal(parse(&r, "/a%2fb/c?x=1+2&y=%C3%A9&&z&=q#f", &err), STATUS_OK);
    assert_string_equal(request_path(&r), "/a/b/c");
    static const char *const expected[][2] = {{"x", "1 2"}, {"y", "\xc3\xa9"}, {"z", ""}, {"", "q"}};
    assert_int_equal(r.n_query, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(request_query_name(&r, i), expected[i][0]);
        assert_string_equal(request_query_value(&r, i), expected[i][1]);
    }
    assert_int_equal(parse(&r, "http://host:1/p?q=1", &err), STATUS_OK);
    assert_string_equal(request_path(&r), "/p");
    request_release(&r);
}

static void test_parse_refuses_bad_encodings(void **state)
{
    static const char *const bad[] = {"",
                                      "p",
                                      "/%",
                                      "/%1",
                                      "/%zz",
                                      "/%00",
                                      "/%ff",
                                      "/%c0%af",
                                      "/%0a",
                                      "/?%zz=1",
                                      "/?a=%00",
                                      "/?a=%ed%a0%80",
                                      "/?1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16&17"};
    struct request r;
    struct err err;

    (void)state;
    request_init(&r);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (parse(&r, bad[i], &err) != STATUS_INVALID)
            fail_msg("case %zu: %s", i, bad[i]);
    request_release(&r);
}

static void test_parse_refuses_a_repeated_parameter(void **state)
{
    struct request r;
    struct err err;

    (void)state;
    request_init(&r);
    add_param(&r, "REQUEST_URI=/");
    add_param(&r, "HTTP_AUTHORIZATION=Bearer a");
    add_param(&r, "HTTP_AUTHORIZATION=Bearer b");
    assert_int_equal(request_parse(&r, &err), STATUS_INVALID);
    assert_non_null(strstr(err.text, "HTTP_AUTHORIZATION"));
    request_release(&r);
}

static void test_parse_compares_the_body_with_its_length(void **state)
{
    static const struct {
        const char *length;
        enum status expected;
    } cases[] = {{"CONTENT_LENGTH=3", STATUS_OK},       {"CONTENT_LENGTH=", STATUS_OK},
                 {"CONTENT_LENGTH=2", STATUS_INVALID},  {"CONTENT_LENGTH=4", STATUS_INVALID},
                 {"CONTENT_LENGTH=-3", STATUS_INVALID}, {"CONTENT_LENGTH=3x", STATUS_INVALID}};
    struct request r;
    struct err err;

    (void)state;
    request_init(&r);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        request_clear(&r);
        add_param(&r, "REQUEST_URI=/");
        add_param(&r, cases[i].length);
        buf_append(&r.body, "abc", 3);
        if (request_parse(&r, &err) != cases[i].expected)
            fail_msg("case %zu: %s", i, cases[i].length);
    }
    request_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_splits_and_decodes_the_uri),
        cmocka_unit_test(test_parse_refuses_bad_encodings),
        cmocka_unit_test(test_parse_refuses_a_repeated_parameter),
        cmocka_unit_test(test_parse_compares_the_body_with_its_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
