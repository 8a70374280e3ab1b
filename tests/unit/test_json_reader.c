#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <locale.h>

#include "lib/base/buf.h"
#include "lib/json/json_reader.h"
#include "tests/support/comma_locale.h"

/* Parses a copy without a NUL behind it, so that AddressSanitizer sees a read too far. */
static enum status parse_bytes(const char *text, size_t len, struct json_document **document, struct err *err)
{
    char *copy = malloc(len > 0 ? len : 1);
    enum status status;

    assert_non_null(copy);
    memcpy(copy, text, len);
    status = json_parse(copy, len, document, err);
    free(copy);
    return status;
}

static void test_json_parse_hostile_input_is_refused_with_its_reason(void **state)
{
    static const struct {
        const char *text;
        const char *reason;
    } cases[] = {
        {"", "expected a value"},
        {"   ", "expected a value"},
        {"01", "leading zero"},
        {"-01", "leading zero"},
        {"+1", "expected a value"},
        {".5", "expected a value"},
        {"1.", "after the point"},
        {"1e", "in the exponent"},
        {"1e+", "in the exponent"},
        {"-", "expected a value"},
        {"0x10", "bytes after"},
        {"NaN", "expected a value"},
        {"Infinity", "expected a value"},
        {"nul", "expected a value"},
        {"truex", "bytes after"},
        {"1e400", "out of range"},
        {"-1e400", "out of range"},
        {"1234567890123456789012345678901234567890123456789012345678901234", "longer than 63"},
        {"{} x", "bytes after"},
        {"1 2", "bytes after"},
        {"{\"a\":1,\"a\":2}", "duplicate member"},
        {"{\"a\":1,\"b\":0,\"\\u0061\":2}", "duplicate member"},
        {"[{\"x\":{\"k\":1,\"k\":1}}]", "duplicate member"},
        {"\"\xff\"", "invalid UTF-8"},
        {"\"\xc0\xaf\"", "invalid UTF-8"},
        {"\"\xed\xa0\x80\"", "invalid UTF-8"},
        {"\"\xf5\x80\x80\x80\"", "invalid UTF-8"},
        {"\"a\\u0000b\"", "\\u0000"},
        {"{\"\\u0000\":1}", "\\u0000"},
        {"\"\\ud800\"", "lone surrogate"},
        {"\"\\udc00\"", "lone surrogate"},
        {"\"\\ud800\\u0041\"", "lone surrogate"},
        {"\"\\ud800\\n\"", "lone surrogate"},
        {"\"\\u12g4\"", "four hexadecimal"},
        {"\"\\u12", "four hexadecimal"},
        {"\"\\x41\"", "unknown escape"},
        {"\"\\", "unknown escape"},
        {"\"a\nb\"", "control character"},
        {"\"open", "without an end"},
        {"'a'", "expected a value"},
        {"[1,]", "expected a value"},
        {"[,1]", "expected a value"},
        {"[1 2]", "expected ',' or ']'"},
        {"[1", "expected ',' or ']'"},
        {"{\"a\":1,}", "expected a string"},
        {"{a:1}", "expected a string"},
        {"{\"a\" 1}", "expected ':'"},
        {"{\"a\":1]", "expected ',' or '}'"},
        {"\xef\xbb\xbf{}", "expected a value"},
        {"/*c*/1", "expected a value"},
        {"1\v", "bytes after"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json_document *document = NULL;
        struct err err = {""};
        enum status status = parse_bytes(cases[i].text, strlen(cases[i].text), &document, &err);
        if (status != STATUS_INVALID || strstr(err.text, cases[i].reason) == NULL)
            fail_msg("case %zu '%s': %s, '%s'", i, cases[i].text, status_name(status), err.text);
        assert_null(document);
    }
}

static void test_json_parse_with_a_nul_byte_is_refused(void **state)
{
    struct json_document *document = NULL;

    (void)state;
    assert_int_equal(parse_bytes("1\0", 2, &document, NULL), STATUS_INVALID);
    assert_int_equal(parse_bytes("\"a\0b\"", 5, &document, NULL), STATUS_INVALID);
    assert_int_equal(parse_bytes("{\0}", 3, &document, NULL), STATUS_INVALID);
}

static enum status parse_nested(size_t depth)
{
    struct json_document *document = NULL;
    struct buf text = BUF_INIT;
    enum status status;

    for (size_t i = 0; i < depth; i++)
        buf_append_string(&text, i % 2 ? "[" : "{\"a\":");
    buf_append_string(&text, "1");
    for (size_t i = depth; i-- > 0;)
        buf_append_string(&text, i % 2 ? "]" : "}");
    status = parse_bytes(text.data, text.len, &document, NULL);
    json_document_free(&document);
    buf_release(&text);
    return status;
}

static void test_json_parse_nesting_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(parse_nested(JSON_MAX_DEPTH), STATUS_OK);
    assert_int_equal(parse_nested(JSON_MAX_DEPTH + 1), STATUS_INVALID);
    assert_int_equal(parse_nested(200000), STATUS_INVALID);
}

static void test_json_parse_many_members_finds_the_duplicate(void **state)
{
    struct json_document *document = NULL;
    struct buf text = BUF_INIT;

    (void)state;
    buf_append_char(&text, '{');
    for (int i = 0; i < 50000; i++)
        buf_append_format(&text, "\"%d\":0,", i);
    buf_append_string(&text, "\"777\":1}");
    assert_int_equal(parse_bytes(text.data, text.len, &document, NULL), STATUS_INVALID);
    buf_release(&text);
}

static void test_json_get_reads_each_type(void **state)
{
    static const char text[] =
        " {\"s\":\"\\u00e9\\ud83d\\udcb0\",\"n\":-12.5,\"i\":1e2,\"t\":true,\"z\":null,\"a\":[1,2,3],"
        "\"A\":{}} ";
    struct json_document *document = NULL;
    const struct json_value *root;
    double number;
    int64_t integer;
    bool flag = false;

    (void)state;
    assert_int_equal(parse_bytes(text, sizeof text - 1, &document, NULL), STATUS_OK);
    root = json_root(document);
    assert_int_equal(json_type_of(root), JSON_OBJECT);
    assert_int_equal(json_length(root), 7);
    assert_string_equal(json_get_string(json_member(root, "s")), "\xc3\xa9\xf0\x9f\x92\xb0");
    assert_int_equal(json_get_double(json_member(root, "n"), &number), STATUS_OK);
    assert_true(number == -12.5);
    assert_int_equal(json_get_int(json_member(root, "n"), &integer), STATUS_INVALID);
    assert_int_equal(json_get_int(json_member(root, "i"), &integer), STATUS_OK);
    assert_int_equal(integer, 100);
    assert_int_equal(json_get_bool(json_member(root, "t"), &flag), STATUS_OK);
    assert_true(flag);
    assert_int_equal(json_type_of(json_member(root, "z")), JSON_NULL);
    assert_int_equal(json_length(json_member(root, "a")), 3);
    assert_int_equal(json_type_of(json_member(root, "A")), JSON_OBJECT);
    assert_string_equal(json_child_name(json_first_child(root)), "s");
    assert_string_equal(json_child_name(json_next_sibling(json_first_child(root))), "n");
    assert_null(json_member(root, "N"));
    assert_null(json_member(json_member(root, "a"), "s"));
    assert_null(json_member(NULL, "s"));
    assert_null(json_get_string(NULL));
    assert_null(json_get_string(json_member(root, "n")));
    assert_int_equal(json_get_bool(json_member(root, "n"), &flag), STATUS_INVALID);
    json_document_free(&document);
    assert_null(document);
    json_document_free(&document);
}

static void test_json_get_int_is_exact_or_refused(void **state)
{
    static const struct {
        const char *text;
        enum status status;
        int64_t value;
    } cases[] = {
        {"9007199254740991", STATUS_OK, INT64_C(9007199254740991)},
        {"-9007199254740991", STATUS_OK, INT64_C(-9007199254740991)},
        {"9007199254740992", STATUS_INVALID, 0},
        {"9007199254740993", STATUS_INVALID, 0},
        {"1e300", STATUS_INVALID, 0},
        {"0.5", STATUS_INVALID, 0},
        {"-0", STATUS_OK, 0},
        {"\"1\"", STATUS_INVALID, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json_document *document = NULL;
        int64_t value = 0;
        assert_int_equal(parse_bytes(cases[i].text, strlen(cases[i].text), &document, NULL), STATUS_OK);
        assert_int_equal(json_get_int(json_root(document), &value), cases[i].status);
        assert_true(value == cases[i].value);
        json_document_free(&document);
    }
}

static void test_json_parse_in_a_comma_locale_reads_the_point(void **state)
{
    struct json_document *document = NULL;
    double value = 0;

    (void)state;
    comma_locale_begin();
    assert_int_equal(parse_bytes("1.25", 4, &document, NULL), STATUS_OK);
    assert_int_equal(json_get_double(json_root(document), &value), STATUS_OK);
    assert_true(value == 1.25);
    assert_true(uselocale((locale_t)0) == LC_GLOBAL_LOCALE);
    json_document_free(&document);
    comma_locale_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_parse_hostile_input_is_refused_with_its_reason),
        cmocka_unit_test(test_json_parse_with_a_nul_byte_is_refused),
        cmocka_unit_test(test_json_parse_nesting_is_bounded),
        cmocka_unit_test(test_json_parse_many_members_finds_the_duplicate),
        cmocka_unit_test(test_json_get_reads_each_type),
        cmocka_unit_test(test_json_get_int_is_exact_or_refused),
        cmocka_unit_test(test_json_parse_in_a_comma_locale_reads_the_point),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
