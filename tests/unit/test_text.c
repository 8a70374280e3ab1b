#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/text.h"

static size_t encode_utf8(uint32_t c, char bytes[4])
{
    if (c < 0x80) {
        bytes[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        bytes[0] = (char)(0xC0 | c >> 6);
        bytes[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        bytes[0] = (char)(0xE0 | c >> 12);
        bytes[1] = (char)(0x80 | (c >> 6 & 63));
        bytes[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    bytes[0] = (char)(0xF0 | c >> 18);
    bytes[1] = (char)(0x80 | (c >> 12 & 63));
    bytes[2] = (char)(0x80 | (c >> 6 & 63));
    bytes[3] = (char)(0x80 | (c & 63));
    return 4;
}

static void test_utf8_every_code_point(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x120000; c++) {
        char bytes[4];
        size_t len = encode_utf8(c, bytes);
        bool valid = c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
        assert_int_equal(utf8_sequence_length(bytes, len), valid ? len : 0);
        for (size_t cut = 0; cut < len; cut++)
            assert_int_equal(utf8_sequence_length(bytes, cut), 0);
    }
}

static void test_utf8_overlong_and_stray_bytes_are_invalid(void **state)
{
    static const char *const cases[] = {"\x80",
                                        "\xbf",
                                        "\xc0\x80",
                                        "\xc1\xbf",
                                        "\xe0\x80\x80",
                                        "\xe0\x9f\xbf",
                                        "\xf0\x80\x80\x80",
                                        "\xf0\x8f\xbf\xbf",
                                        "\xf8\x88\x80\x80\x80",
                                        "\xff",
                                        "\xc3(",
                                        "\xe2\x82(",
                                        "ok\xc3"};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (utf8_is_valid(cases[i], strlen(cases[i])))
            fail_msg("case %zu was accepted", i);
    assert_true(utf8_is_valid("", 0));
    assert_true(utf8_is_valid("a\0\xc3\xa9", 4));
}

/* RFC 4648 section 10. */
static void test_base64_vectors_of_the_rfc(void **state)
{
    static const char *const cases[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    struct buf out = BUF_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buf_clear(&out);
        assert_int_equal(base64_decode(cases[i][1], strlen(cases[i][1]), &out), STATUS_OK);
        assert_string_equal(out.data, cases[i][0]);
    }
    buf_release(&out);
}

static void test_base64_every_length_round_trips(void **state)
{
    unsigned char bytes[300];
    struct buf text = BUF_INIT, back = BUF_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 37 + 251);
    for (size_t len = 0; len < sizeof bytes; len++) {
        buf_clear(&text);
        buf_clear(&back);
        base64url_append(&text, bytes, len);
        assert_null(strpbrk(text.data, "+/="));
        assert_int_equal(base64url_decode(text.data, text.len, &back), STATUS_OK);
        assert_int_equal(back.len, len);
        assert_memory_equal(back.data, bytes, len);
    }
    buf_release(&text);
    buf_release(&back);
}

static void test_base64_anything_else_is_refused(void **state)
{
    static const char *const plain[] = {
        "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "=", "Zg==Zg==", "Zm 9", "Zm9v\n", "-_-_", "Zg=a"};
    static const char *const url[] = {"Z", "Zh", "Zm9", "Zg==", "+/+/", "Zm9v ", "ab=c"};
    struct buf out = BUF_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (base64_decode(plain[i], strlen(plain[i]), &out) != STATUS_INVALID)
            fail_msg("base64 '%s' was accepted", plain[i]);
    for (size_t i = 0; i < sizeof url / sizeof url[0]; i++)
        if (base64url_decode(url[i], strlen(url[i]), &out) != STATUS_INVALID)
            fail_msg("base64url '%s' was accepted", url[i]);
    buf_release(&out);
}

static void test_hex64_format_pads(void **state)
{
    char text[17];

    (void)state;
    hex64_format(0, text);
    assert_string_equal(text, "0000000000000000");
    hex64_format(UINT64_C(0xfedcba9876543210), text);
    assert_string_equal(text, "fedcba9876543210");
    hex64_format(UINT64_C(0x0f1e2d3c4b5a6978), text);
    assert_string_equal(text, "0f1e2d3c4b5a6978");
}

static void test_percent_decode_table(void **state)
{
    static const struct {
        const char *text;
        bool plus_is_space;
        enum status status;
        const char *expected;
    } cases[] = {
        {"", true, STATUS_OK, ""},
        {"a+b%20c%2B", true, STATUS_OK, "a b c+"},
        {"a+b", false, STATUS_OK, "a+b"},
        {"%C3%a9", false, STATUS_OK, "\xc3\xa9"},
        {"%2525", false, STATUS_OK, "%25"},
        {"%41", false, STATUS_OK, "A"},
        {"%", false, STATUS_INVALID, NULL},
        {"%4", false, STATUS_INVALID, NULL},
        {"%4g", false, STATUS_INVALID, NULL},
        {"%%41", false, STATUS_INVALID, NULL},
        {"a%00b", false, STATUS_INVALID, NULL},
    };
    struct buf out = BUF_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum status status;
        buf_clear(&out);
        status = percent_decode(cases[i].text, strlen(cases[i].text), cases[i].plus_is_space, &out);
        if (status != cases[i].status || (status == STATUS_OK && strcmp(out.data, cases[i].expected) != 0))
            fail_msg("case %zu '%s': %s, '%s'", i, cases[i].text, status_name(status), out.data);
    }
    assert_int_equal(percent_decode("\0", 1, false, &out), STATUS_INVALID);
    assert_int_equal(percent_decode("%41", 2, false, &out), STATUS_INVALID);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_every_code_point),
        cmocka_unit_test(test_utf8_overlong_and_stray_bytes_are_invalid),
        cmocka_unit_test(test_base64_vectors_of_the_rfc),
        cmocka_unit_test(test_base64_every_length_round_trips),
        cmocka_unit_test(test_base64_anything_else_is_refused),
        cmocka_unit_test(test_hex64_format_pads),
        cmocka_unit_test(test_percent_decode_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
