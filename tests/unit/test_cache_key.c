#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/settings.h"
#include "lib/store/cache_internal.h"

static void test_user_id_is_valid_table(void **state)
{
    static char long_id[10241], longest[USER_ID_MAX + 1];
    const struct {
        const char *id;
        bool valid;
    } cases[] = {{"u1", true},        {"a{b}:*c d", true}, {"j\xc3\xb6rg", true},   {"", false},
                 {"a\nb", false},     {"a\x7f", false},    {"a\xc2\x85", false},    {"\xc2\xa0", true},
                 {"\xff\xfe", false}, {"a\xc3", false},    {"\xed\xa0\x80", false}, {long_id, false},
                 {longest, true}};

    (void)state;
    memset(long_id, 'a', sizeof long_id - 1);
    memset(longest, 'a', sizeof longest - 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (user_id_is_valid(cases[i].id) != cases[i].valid)
            fail_msg("case %zu", i);
}

static void test_cache_append_user_escapes_all_but_the_plain(void **state)
{
    struct buf key = BUF_INIT;

    (void)state;
    cache_append_user(&key, "Az09_.@|-");
    assert_string_equal(key.data, "Az09_.@|-");
    buf_clear(&key);
    cache_append_user(&key, "{}:* \n%\xc3\xb6");
    assert_string_equal(key.data, "%7B%7D%3A%2A%20%0A%25%C3%B6");
    buf_release(&key);
}

static void test_cache_parse_epoch_key_is_the_inverse(void **state)
{
    static const char *const users[] = {"u1", "{}:* \"%j\xc3\xb6rg", "shared", "beat:0"};
    static const char *const foreign[] = {
        "",           "t:",          "t:epoch:",          "epoch:{u1}",   "t:epoch:u1",
        "t:epoch:{}", "t:epoch:{u1", "t:epoch:beat:00:1", "t:epoch:{%0}", "t:epochs:{u1}"};
    char prefix[] = "t:";
    struct settings settings = {.key_prefix = prefix};
    struct cache *cache = NULL;
    char user_id[USER_ID_MAX + 1];
    struct buf key = BUF_INIT;

    (void)state;
    assert_int_equal(cache_new(&settings, &cache, NULL), STATUS_OK);
    for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
        buf_clear(&key);
        cache_append_epoch_key(cache, &key, users[i]);
        assert_true(cache_parse_epoch_key(cache, key.data, key.len, user_id));
        assert_string_equal(user_id, users[i]);
    }
    buf_clear(&key);
    cache_append_epoch_key(cache, &key, NULL);
    assert_true(cache_parse_epoch_key(cache, key.data, key.len, user_id));
    assert_string_equal(user_id, "");
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (cache_parse_epoch_key(cache, foreign[i], strlen(foreign[i]), user_id))
            fail_msg("case %zu", i);
    buf_clear(&key);
    buf_append_string(&key, "t:epoch:{");
    for (int i = 0; i < USER_ID_MAX + 1; i++)
        buf_append_char(&key, 'a');
    buf_append_char(&key, '}');
    assert_false(cache_parse_epoch_key(cache, key.data, key.len, user_id));
    buf_release(&key);
    cache_free(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_user_id_is_valid_table),
        cmocka_unit_test(test_cache_append_user_escapes_all_but_the_plain),
        cmocka_unit_test(test_cache_parse_epoch_key_is_the_inverse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
