/* HMAC-SHA256: the vectors of RFC 4231, in one piece and in parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/hmac.h"
#include "lib/base/buf.h"

static void append_hex(struct buf *out, const unsigned char mac[HMAC_SIZE])
{
    for (size_t i = 0; i < HMAC_SIZE; i++)
        buf_append_format(out, "%02x", mac[i]);
}

static void check(const void *secret, size_t secret_len, const char *text, const char *expected)
{
    size_t len = strlen(text);
    struct hmac_part whole = {text, len}, parts[] = {{text, len / 3}, {text, 0}, {text + len / 3, len - len / 3}};
    unsigned char mac[HMAC_SIZE], again[HMAC_SIZE];
    struct hmac_key *key = NULL;
    struct buf hex = BUF_INIT;

    assert_int_equal(hmac_key_new(secret, secret_len, &key, NULL), STATUS_OK);
    hmac_sign(key, &whole, 1, mac);
    append_hex(&hex, mac);
    assert_string_equal(hex.data, expected);
    hmac_sign(key, parts, 3, again);
    assert_true(hmac_equal(mac, again, HMAC_SIZE));
    again[HMAC_SIZE - 1] ^= 1;
    assert_false(hmac_equal(mac, again, HMAC_SIZE));
    hmac_key_free(&key);
    assert_null(key);
    buf_release(&hex);
}

static void test_hmac_sign_gives_the_vectors_of_rfc_4231(void **state)
{
    unsigned char bytes[131];

    (void)state;
    memset(bytes, 0x0b, sizeof bytes);
    check(bytes, 20, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    check("Jefe", 4, "what do ya want for nothing?",
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(bytes, 0xaa, sizeof bytes);
    check(bytes, 131, "Test Using Larger Than Block-Size Key - Hash Key First",
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* A key of up to one block is used as it is, a longer one's digest. Expected values from Python's hmac. */
static void test_hmac_sign_by_keys_about_a_block_long(void **state)
{
    unsigned char bytes[65];

    (void)state;
    memset(bytes, 0xaa, sizeof bytes);
    check(bytes, 63, "a key of one block", "39a71bc8c51d57135b4c9a65a7a4c3ab2e37b1b390a2ce36d48a469d495b16fa");
    check(bytes, 64, "a key of one block", "1ad77e19fcc989ac07ba50fafcf71659bdf56d14c6f44efc96e03afe7d1252c4");
    check(bytes, 65, "a key of one block", "921f169b2e241a484ca364b0b3c73de0da78f5b70028fcc55bfc0103e633c163");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hmac_sign_gives_the_vectors_of_rfc_4231),
        cmocka_unit_test(test_hmac_sign_by_keys_about_a_block_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
