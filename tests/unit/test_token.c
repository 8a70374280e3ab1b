#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "lib/base/text.h"
#include "worker/token.h"

static const char secret[] = "0123456789abcdef0123456789abcdef";

/* HMAC-SHA256 from its definition (RFC 2104), over keys of at most one block. */
static void hmac_by_definition(const char *key, const char *bytes, size_t len, unsigned char mac[32])
{
    unsigned char inner[64 + 4096], outer[64 + 32];
    size_t key_len = strlen(key);

    assert_true(key_len <= 64 && len <= 4096);
    for (size_t i = 0; i < 64; i++) {
        unsigned char k = i < key_len ? (unsigned char)key[i] : 0;

        inner[i] = k ^ 0x36;
        outer[i] = k ^ 0x5c;
    }
    memcpy(inner + 64, bytes, len);
    SHA256(inner, 64 + len, outer + 64);
    SHA256(outer, sizeof outer, mac);
}

/* Decoded part number `part` of a token. */
static struct buf part_of(const char *token, int part)
{
    struct buf out = BUF_INIT;

    for (; part > 0; part--)
        token = strchr(token, '.') + 1;
    assert_int_equal(base64url_decode(token, strcspn(token, "."), &out), STATUS_OK);
    return out;
}

static void assert_part(const char *token, int part, const char *expected)
{
    struct buf decoded = part_of(token, part);

    assert_string_equal(decoded.data, expected);
    buf_release(&decoded);
}

static void test_token_append_writes_claims_and_signs(void **state)
{
    struct token_claims claims = {.user_id = "u-\"42",
                                  .role = "admin",
                                  .audience = "app",
                                  .issuer = "me",
                                  .issued_at = {1000 * US_PER_SECOND + 7},
                                  .ttl_s = 60};
    struct buf token = BUF_INIT, signature;
    unsigned char mac[32];
    struct err err;

    (void)state;
    assert_int_equal(token_append(&token, &claims, secret, &err), STATUS_OK);
    assert_part(token.data, 0, "{\"alg\":\"HS256\",\"typ\":\"JWT\"}");
    assert_part(token.data, 1,
                "{\"sub\":\"u-\\\"42\",\"role\":\"admin\",\"aud\":\"app\",\"iss\":\"me\",\"iat\":1000,\"exp\":1060}");
    hmac_by_definition(secret, token.data, (size_t)(strrchr(token.data, '.') - token.data), mac);
    signature = part_of(token.data, 2);
    assert_int_equal(signature.len, sizeof mac);
    assert_memory_equal(signature.data, mac, sizeof mac);
    buf_release(&signature);
    buf_release(&token);
}

static void test_token_append_leaves_absent_claims_out(void **state)
{
    struct token_claims claims = {.user_id = "u", .audience = "", .issued_at = {0}, .ttl_s = 1};
    struct buf token = BUF_INIT;
    struct err err;

    (void)state;
    assert_int_equal(token_append(&token, &claims, secret, &err), STATUS_OK);
    assert_part(token.data, 1, "{\"sub\":\"u\",\"iat\":0,\"exp\":1}");
    buf_release(&token);
}

static void test_token_append_refuses_bad_ids_and_short_secrets(void **state)
{
    struct token_claims claims = {.user_id = "", .issued_at = {0}, .ttl_s = 1};
    struct buf token = BUF_INIT;
    struct err err;

    (void)state;
    assert_int_equal(token_append(&token, &claims, secret, &err), STATUS_INVALID);
    claims.user_id = "u";
    assert_int_equal(token_append(&token, &claims, "short", &err), STATUS_INVALID);
    assert_non_null(strstr(err.text, "JWT_SECRET"));
    assert_null(strstr(err.text, "short"));
    assert_int_equal(token.len, 0);
    buf_release(&token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token_append_writes_claims_and_signs),
        cmocka_unit_test(test_token_append_leaves_absent_claims_out),
        cmocka_unit_test(test_token_append_refuses_bad_ids_and_short_secrets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
