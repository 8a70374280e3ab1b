#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/hmac.h"
#include "fcgi/jwt.h"
#include "lib/base/text.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW INT64_C(1700000000)
#define HS256 "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

static struct jwt_verifier *new_verifier(const char *audience, const char *issuer)
{
    struct jwt_options options = {SECRET, "", audience, issuer};
    struct jwt_verifier *v = NULL;
    assert_int_equal(jwt_verifier_new(&options, &v, NULL), STATUS_OK);
    return v;
}

static void make_token(struct buf *out, const char *header, const char *payload, const char *secret)
{
    struct hmac_key *key = NULL;
    unsigned char mac[HMAC_SIZE];

    buf_clear(out);
    base64url_append(out, header, strlen(header));
    buf_append_char(out, '.');
    base64url_append(out, payload, strlen(payload));
    assert_int_equal(hmac_key_new(secret, strlen(secret), &key, NULL), STATUS_OK);
    struct hmac_part part = {out->data, out->len};
    hmac_sign(key, &part, 1, mac);
    hmac_key_free(&key);
    buf_append_char(out, '.');
    base64url_append(out, mac, sizeof(mac));
}

static enum status verify(const struct jwt_verifier *v, const char *token, size_t len, struct claims *claims)
{
    struct err err;
    return jwt_verify(v, token, len, (struct instant){NOW * US_PER_SECOND}, claims, &err);
}

/* RFC 8725 and what libraries have let pass; `exp` is NOW + 100 unless said. */
static void test_verify_claims_and_attacks(void **state)
{
    static const struct {
        const char *header, *payload;
        enum status expected;
    } cases[] = {
        {HS256, "{\"sub\":\"u\",\"exp\":1700000100}", STATUS_OK},
        {"{\"alg\":\"HS256\"}", "{\"sub\":\"u\",\"exp\":1700000100}", STATUS_OK},
        {"{\"alg\":\"none\"}", "{\"sub\":\"u\",\"exp\":1700000100}", STATUS_INVALID},
        {"{\"alg\":\"HS512\"}", "{\"sub\":\"u\",\"exp\":1700000100}", STATUS_INVALID},
        {"{\"alg\":\"RS256\"}", "{\"sub\":\"u\",\"exp\":1700000100}", STATUS_INVALID},
        {"{\"alg\":\"hs256\"}", "{\"sub\":\"u\",\"exp\":1700000100}", STATUS_INVALID},
        {"{}", "{\"sub\":\"u\",\"exp\":1700000100}", STATUS_INVALID},
        {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", "{\"sub\":\"u\",\"exp\":1700000100}", STATUS_INVALID},
        {"{\"alg\":\"HS256\",\"crit\":[\"b64\"]}", "{\"sub\":\"u\",\"exp\":1700000100}", STATUS_INVALID},
        {HS256, "{\"sub\":\"u\"}", STATUS_INVALID},
        {HS256, "{\"sub\":\"u\",\"exp\":\"1700000100\"}", STATUS_INVALID},
        {HS256, "{\"sub\":\"u\",\"exp\":1700000100.5}", STATUS_INVALID},
        {HS256, "{\"sub\":\"u\",\"exp\":1e300}", STATUS_INVALID},
        {HS256, "{\"sub\":\"u\",\"exp\":1699999941}", STATUS_OK},      /* within the leeway */
        {HS256, "{\"sub\":\"u\",\"exp\":1699999940}", STATUS_INVALID}, /* expired */
        {HS256, "{\"sub\":\"u\",\"exp\":1700000100,\"nbf\":1700000060}", STATUS_OK},
        {HS256, "{\"sub\":\"u\",\"exp\":1700000100,\"nbf\":1700000061}", STATUS_INVALID},
        {HS256, "{\"sub\":\"u\",\"sub\":\"v\",\"exp\":1700000100}", STATUS_INVALID},
        {HS256, "{\"exp\":1700000100}", STATUS_INVALID},
        {HS256, "{\"sub\":\"\",\"exp\":1700000100}", STATUS_INVALID},
        {HS256, "{\"sub\":7,\"exp\":1700000100}", STATUS_INVALID},
        {HS256, "{\"sub\":\"a\\nb\",\"exp\":1700000100}", STATUS_INVALID},
        {HS256, "{\"exp\":1700000100,\"role\":\"service_role\"}", STATUS_OK},
        {HS256, "[]", STATUS_INVALID},
        {HS256, "{\"sub\":\"u\",\"exp\":1700000100} x", STATUS_INVALID},
    };
    struct jwt_verifier *v = new_verifier("", "");
    struct buf token = BUF_INIT;
    struct claims claims;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        make_token(&token, cases[i].header, cases[i].payload, SECRET);
        if (verify(v, token.data, token.len, &claims) != cases[i].expected)
            fail_msg("case %zu: %s %s", i, cases[i].header, cases[i].payload);
    }
    buf_release(&token);
    jwt_verifier_free(&v);
}

static void test_verify_any_changed_byte_is_refused(void **state)
{
    struct jwt_verifier *v = new_verifier("", "");
    struct buf token = BUF_INIT;
    struct claims claims;

    (void)state;
    make_token(&token, HS256, "{\"sub\":\"u\",\"exp\":1700000100,\"role\":\"admin\"}", SECRET);
    assert_int_equal(verify(v, token.data, token.len, &claims), STATUS_OK);
    assert_int_equal(claims.role, ROLE_ADMIN);
    assert_string_equal(claims.user_id, "u");
    for (size_t i = 0; i < token.len; i++) {
        token.data[i] ^= 1;
        assert_int_equal(verify(v, token.data, token.len, &claims), STATUS_INVALID);
        token.data[i] ^= 1;
        assert_int_equal(verify(v, token.data, i, &claims), STATUS_INVALID);
    }
    buf_append_char(&token, '=');
    assert_int_equal(verify(v, token.data, token.len, &claims), STATUS_INVALID);
    make_token(&token, HS256, "{\"sub\":\"u\",\"exp\":1700000100}", "another secret of sufficient length");
    assert_int_equal(verify(v, token.data, token.len, &claims), STATUS_INVALID);
    buf_release(&token);
    jwt_verifier_free(&v);
}

static void test_verify_audience_and_issuer(void **state)
{
    static const struct {
        const char *payload;
        enum status expected;
    } cases[] = {
        {"{\"sub\":\"u\",\"exp\":1700000100,\"aud\":\"a\",\"iss\":\"i\"}", STATUS_OK},
        {"{\"sub\":\"u\",\"exp\":1700000100,\"aud\":[\"x\",\"a\"],\"iss\":\"i\"}", STATUS_OK},
        {"{\"sub\":\"u\",\"exp\":1700000100,\"aud\":[\"x\"],\"iss\":\"i\"}", STATUS_INVALID},
        {"{\"sub\":\"u\",\"exp\":1700000100,\"iss\":\"i\"}", STATUS_INVALID},
        {"{\"sub\":\"u\",\"exp\":1700000100,\"aud\":\"a\",\"iss\":\"i2\"}", STATUS_INVALID},
        {"{\"sub\":\"u\",\"exp\":1700000100,\"aud\":\"a\"}", STATUS_INVALID},
    };
    struct jwt_verifier *v = new_verifier("a", "i");
    struct buf token = BUF_INIT;
    struct claims claims;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        make_token(&token, HS256, cases[i].payload, SECRET);
        if (verify(v, token.data, token.len, &claims) != cases[i].expected)
            fail_msg("case %zu: %s", i, cases[i].payload);
    }
    buf_release(&token);
    jwt_verifier_free(&v);
}

static void test_verifier_refuses_a_short_secret(void **state)
{
    struct jwt_options options = {"0123456789abcdef0123456789abcde", "", "", ""};
    struct jwt_verifier *v = NULL;
    struct err err;

    (void)state;
    assert_int_equal(jwt_verifier_new(&options, &v, &err), STATUS_INVALID);
    assert_non_null(strstr(err.text, "JWT_SECRET"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verify_claims_and_attacks),
        cmocka_unit_test(test_verify_any_changed_byte_is_refused),
        cmocka_unit_test(test_verify_audience_and_issuer),
        cmocka_unit_test(test_verifier_refuses_a_short_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
