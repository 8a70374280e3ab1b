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

/* Each byte by itself, in the path, in a name and in a value: taken as it is, for what it means, or refused. */
static void test_parse_of_every_byte(void **state)
{
    struct request r;
    struct err err;
    char uri[32];

    (void)state;
    request_init(&r);
    for (int c = 1; c < 256; c++) {
        bool refused = c < ' ' || c >= 0x7f || c == '%', ends = c == '#';
        snprintf(uri, sizeof(uri), "/p%cq?n%cm=v%cw", c, c, c);
        if ((parse(&r, uri, &err) == STATUS_INVALID) != refused)
            fail_msg("byte %d: %s", c, err.text);
        if (refused)
            continue;
        char expected[] = {'/', 'p', (char)c, 'q', '\0'};
        expected[2] = ends || c == '?' ? '\0' : expected[2];
        assert_string_equal(request_path(&r), expected);
        if (ends || strchr("?&=", c)) {
            assert_int_equal(r.n_query, ends ? 0 : c == '?' ? 1 : c == '&' ? 3 : 1);
            continue;
        }
        expected[0] = c == '+' ? ' ' : (char)c;
        assert_memory_equal(request_query_name(&r, 0), ((char[]){'n', expected[0], 'm', '\0'}), 4);
        assert_memory_equal(request_query_value(&r, 0), ((char[]){'v', expected[0], 'w', '\0'}), 4);
    }
    request_release(&r);
}

static void append_length(struct buf *pairs, size_t len, bool in_four_bytes)
{
    if (in_four_bytes)
        buf_append(pairs, "\x80\0\0", 3);
    buf_append_char(pairs, (char)len);
}

static void append_pair(struct buf *pairs, const char *name, const char *value, size_t value_len, bool in_four_bytes)
{
    append_length(pairs, strlen(name), false);
    append_length(pairs, value_len, in_four_bytes);
    buf_append_string(pairs, name);
    buf_append(pairs, value, value_len);
}

static bool add_pairs(struct request *r, const struct buf *pairs)
{
    const unsigned char *bytes = (const unsigned char *)pairs->data;

    request_clear(r);
    return request_add_params(r, (struct record_params){bytes, bytes + pairs->len});
}

/* All are copied together, and yet each value ends where it should. */
static void test_add_params_takes_ours_and_no_more_than_ours(void **state)
{
    struct buf pairs = BUF_INIT;
    struct request r;
    struct err err;

    (void)state;
    request_init(&r);
    append_pair(&pairs, "REQUEST_METHOD", "GET", 3, false);
    append_pair(&pairs, "REQUEST_URI", "/a", 2, true);
    append_pair(&pairs, "QUERY_STRING", "", 0, false);
    append_pair(&pairs, "REQUEST_URL", "/nobody's", 9, false);
    append_pair(&pairs, "HTTP_AUTHORIZATIOM", "nobody's", 8, true);
    append_pair(&pairs, "HTTP_COOKIE", "k=v;", 4, false);
    append_pair(&pairs, "REMOTE_ADDR", "::1", 3, true);
    assert_true(add_pairs(&r, &pairs));
    assert_string_equal(request_param(&r, PARAM_REQUEST_METHOD), "GET");
    assert_string_equal(request_param(&r, PARAM_REQUEST_URI), "/a");
    assert_string_equal(request_param(&r, PARAM_QUERY_STRING), "");
    assert_string_equal(request_param(&r, PARAM_COOKIE), "k=v;");
    assert_string_equal(request_param(&r, PARAM_REMOTE_ADDR), "::1");
    assert_null(request_param(&r, PARAM_AUTHORIZATION));
    assert_int_equal(request_parse(&r, &err), STATUS_OK);
    assert_string_equal(request_path(&r), "/a");
    assert_string_equal(request_param(&r, PARAM_REMOTE_ADDR), "::1");
    append_pair(&pairs, "REMOTE_ADDR", "1.2.3.4", 7, false);
    assert_true(add_pairs(&r, &pairs));
    assert_int_equal(request_parse(&r, &err), STATUS_INVALID);
    assert_non_null(strstr(err.text, "REMOTE_ADDR was sent twice"));
    buf_release(&pairs);
    request_release(&r);
}

static void test_add_params_that_are_cut_hold_a_nul_or_are_too_many(void **state)
{
    struct buf pairs = BUF_INIT;
    struct request r;
    struct err err;

    (void)state;
    request_init(&r);
    append_pair(&pairs, "REQUEST_URI", "/", 1, false);
    append_pair(&pairs, "HTTP_ACCEPT", "a\0b", 3, false);
    assert_true(add_pairs(&r, &pairs));
    assert_int_equal(request_parse(&r, &err), STATUS_INVALID);
    assert_string_equal(err.text, "a parameter holds a NUL byte");
    for (size_t whole = pairs.len; pairs.len > 0; pairs.len--)
        if (add_pairs(&r, &pairs) != (pairs.len == whole || pairs.len == 14))
            fail_msg("%zu bytes of them", pairs.len);
    for (size_t n = 1; n <= RECORD_MAX_PARAMS + 1; n++) {
        append_pair(&pairs, "X", "y", 1, false);
        assert_int_equal(add_pairs(&r, &pairs), n <= RECORD_MAX_PARAMS);
    }
    buf_release(&pairs);
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
        cmocka_unit_test(test_parse_of_every_byte),
        cmocka_unit_test(test_add_params_takes_ours_and_no_more_than_ours),
        cmocka_unit_test(test_add_params_that_are_cut_hold_a_nul_or_are_too_many),
        cmocka_unit_test(test_parse_refuses_a_repeated_parameter),
        cmocka_unit_test(test_parse_compares_the_body_with_its_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
