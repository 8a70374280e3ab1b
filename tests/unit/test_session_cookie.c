#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/session_cookie.h"

#define ID "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void test_cookie_find_takes_the_one_of_that_name(void **state)
{
    static const struct {
        const char *cookies, *value; /* NULL: there is none; "!": refused */
    } cases[] = {
        {"", NULL},
        {"n", NULL},
        {";", NULL},
        {"=n", NULL},
        {"n=", ""},
        {"n=v", "v"},
        {" n=v ", "v"},
        {"\tn=v\t; a", "v"},
        {"a=b; n=v", "v"},
        {"a=b;n=v;c", "v"},
        {";;n=v;;", "v"},
        {"N=v", NULL},
        {"nn=v", NULL},
        {"n =v", NULL},
        {"an=v", NULL},
        {"n=v=w", "v=w"},
        {"n=v w", "v w"},
        {"n=\"v\"", "\"v\""},
        {"a=\"; n=v; b=\"", "v"},
        {"n=v; n=v", "v"},
        {"n=v; n=v ", "v"},
        {"n=v; n=w", "!"},
        {"n=v; n=", "!"},
        {"n=v; n=vv", "!"},
        {"n=; n=v; n=v", "!"},
        {"n=v; nn=w; n", "v"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *value = "untouched";
        size_t len = 0;
        enum status status = cookie_find(cases[i].cookies, "n", &value, &len);
        enum status expected = !cases[i].value                    ? STATUS_NOT_FOUND
                               : strcmp(cases[i].value, "!") == 0 ? STATUS_INVALID
                                                                  : STATUS_OK;

        if (status != expected ||
            (status == STATUS_OK && (len != strlen(cases[i].value) || memcmp(value, cases[i].value, len) != 0)))
            fail_msg("case %zu '%s': status %d, %.*s", i, cases[i].cookies, (int)status, (int)len, value);
        if (status != STATUS_OK)
            assert_string_equal(value, "untouched");
    }
}

static void test_ids_are_plausible_and_never_the_same(void **state)
{
    struct buf first = BUF_INIT, second = BUF_INIT;
    struct err err;

    (void)state;
    assert_int_equal(session_id_append(&first, &err), STATUS_OK);
    assert_int_equal(session_id_append(&second, &err), STATUS_OK);
    assert_true(session_id_is_plausible(first.data, first.len));
    assert_string_not_equal(first.data, second.data);
    assert_false(session_id_is_plausible(first.data, first.len - 1));
    assert_false(session_id_is_plausible("", 0));
    assert_false(session_id_is_plausible(ID "A", SESSION_ID_LEN + 1));
    for (size_t i = 0; i < SESSION_ID_LEN; i++) {
        char text[] = ID;

        text[i] = i % 2 ? '=' : '\x80';
        assert_false(session_id_is_plausible(text, SESSION_ID_LEN));
    }
    buf_release(&first);
    buf_release(&second);
}

/* printf %s AAA... | sha256sum, and printf %s csrf:AAA... | openssl dgst -sha256 -binary | basenc --base64url */
static void test_name_and_csrf_token_are_digests_of_the_id(void **state)
{
    struct buf token = BUF_INIT;
    char name[SESSION_NAME_SIZE];

    (void)state;
    session_name_of(ID, name);
    assert_string_equal(name, "0f007385b6f9d4b7eeb2748605afe1a984a0a3bfa3f014d09e2a784ce9e5cd1a");
    session_csrf_append(&token, ID);
    assert_string_equal(token.data, "3OJYIxXsMWsq59gjRvFLcXyUQcBNx2g2DMkf5Wi4DHg");
    buf_release(&token);
}

static void test_the_cookie_says_what_the_settings_say(void **state)
{
    char cookie[] = "__Host-x", lax[] = "Lax", dev[] = "dev", strict[] = "Strict";
    struct settings settings = {.session_cookie = cookie,
                                .session_cookie_samesite = lax,
                                .session_cookie_secure = true,
                                .session_lifetime_s = 3600};
    struct buf headers = BUF_INIT;

    (void)state;
    session_cookie_append(&headers, &settings, ID);
    session_cookie_append(&headers, &settings, NULL);
    settings.session_cookie = dev;
    settings.session_cookie_samesite = strict;
    settings.session_cookie_secure = false;
    session_cookie_append(&headers, &settings, ID);
    assert_string_equal(headers.data,
                        "Set-Cookie: __Host-x=" ID "; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure\r\n"
                        "Set-Cookie: __Host-x=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure\r\n"
                        "Set-Cookie: dev=" ID "; Path=/; Max-Age=3600; HttpOnly; SameSite=Strict\r\n");
    buf_release(&headers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cookie_find_takes_the_one_of_that_name),
        cmocka_unit_test(test_ids_are_plausible_and_never_the_same),
        cmocka_unit_test(test_name_and_csrf_token_are_digests_of_the_id),
        cmocka_unit_test(test_the_cookie_says_what_the_settings_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
