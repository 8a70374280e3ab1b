#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/store/redis_url.h"

static bool same(const struct redis_url *a, const struct redis_url *b)
{
    return a->tls == b->tls && a->local == b->local && strcmp(a->path, b->path) == 0 && strcmp(a->host, b->host) == 0 &&
           strcmp(a->port, b->port) == 0 && strcmp(a->user, b->user) == 0 && strcmp(a->password, b->password) == 0 &&
           a->database == b->database;
}

static void test_redis_url_parse_accepts_each_form(void **state)
{
    static const struct {
        const char *text;
        struct redis_url url;
    } cases[] = {
        {"redis://h", {.host = "h", .port = "6379"}},
        {"redis://h/", {.host = "h", .port = "6379"}},
        {"redis://10.0.0.1:7000/3", {.host = "10.0.0.1", .port = "7000", .database = 3}},
        {"redis://h?db=4", {.host = "h", .port = "6379", .database = 4}},
        {"rediss://u:p@h:1/0", {.tls = true, .host = "h", .port = "1", .user = "u", .password = "p"}},
        {"redis://:p%40%2F:x@h", {.host = "h", .port = "6379", .password = "p@/:x"}},
        {"redis://:a@b@h", {.host = "h", .port = "6379", .password = "a@b"}},
        {"redis://[::1]:7/2", {.host = "::1", .port = "7", .database = 2}},
        {"redis://[fe80::1]", {.host = "fe80::1", .port = "6379"}},
        {"unix:///run/redis.sock", {.local = true, .path = "/run/redis.sock"}},
        {"unix://u:p@/run/r%3f.sock?db=5",
         {.local = true, .path = "/run/r?.sock", .user = "u", .password = "p", .database = 5}},
        {"unix:///run/a@b.sock", {.local = true, .path = "/run/a@b.sock"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct redis_url url;
        struct err err = {0};

        if (redis_url_parse(cases[i].text, &url, &err) != STATUS_OK)
            fail_msg("case %zu: '%s': %s", i, cases[i].text, err.text);
        if (!same(&url, &cases[i].url))
            fail_msg("case %zu: '%s' was read wrongly", i, cases[i].text);
    }
}

static void test_redis_url_parse_refuses_with_a_text_that_tells_no_secret(void **state)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"", "must begin"},
        {"http://h", "must begin"},
        {"h:6379", "must begin"},
        {"redis://", "host"},
        {"redis://:secret@", "host"},
        {"redis://secret@h", "name without a password"},
        {"redis://u:@h", "empty"},
        {"redis://u:secret%zz@h", "percent"},
        {"redis://u:secret%00@h", "percent"},
        {"redis://h:", "port"},
        {"redis://h:0", "port"},
        {"redis://h:65536", "port"},
        {"redis://h:6a", "port"},
        {"redis://h/x", "database"},
        {"redis://h/-1", "database"},
        {"redis://h/1/2", "database"},
        {"redis://h?x=1", "parameter"},
        {"redis://h?db=", "database"},
        {"redis://a b", "host"},
        {"redis://[::1", "closing"},
        {"redis://[::1]x", "after"},
        {"unix://run/redis.sock", "absolute"},
        {"unix://", "absolute"},
        {"unix:///0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
         "0123456",
         "longer than 107"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct redis_url url;
        struct err err = {0};

        if (redis_url_parse(cases[i].text, &url, &err) != STATUS_INVALID)
            fail_msg("case %zu: '%s' was accepted", i, cases[i].text);
        if (strstr(err.text, cases[i].said) == NULL || strstr(err.text, "secret") != NULL)
            fail_msg("case %zu: '%s' said: %s", i, cases[i].text, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_url_parse_accepts_each_form),
        cmocka_unit_test(test_redis_url_parse_refuses_with_a_text_that_tells_no_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
