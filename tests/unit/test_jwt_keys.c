#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "fcgi/jwt_keys.h"
#include "lib/base/buf.h"
#include "lib/base/text.h"

/* RFC 7515, appendix A.2 and A.3: keys, signed text and signatures. */
#define A2_KEY                                                                                                         \
    "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPC" \
    "JrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rex" \
    "MdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h" \
    "9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\""
#define A3_KEY                                                                                                         \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","                          \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define PAYLOAD ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define A2_TEXT "eyJhbGciOiJSUzI1NiJ9" PAYLOAD
#define A3_TEXT "eyJhbGciOiJFUzI1NiJ9" PAYLOAD
#define A2_SIGNATURE                                                                                                   \
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t" \
    "1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12j" \
    "zDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQ" \
    "Ge77Rw"
#define A3_SIGNATURE "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define SECRET "0123456789abcdef0123456789abcdef"

static char path[] = "/tmp/test_jwt_keys.XXXXXX";

static int make_file(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static struct jwt_keys *load(const char *secret, const char *text)
{
    struct jwt_keys *keys = NULL;
    struct err err = {""};

    write_file(text);
    if (jwt_keys_new(secret, path, &keys, &err) != STATUS_OK)
        fail_msg("%s", err.text);
    return keys;
}

static enum status verify(const struct jwt_keys *keys, const char *algorithm, const char *id, const char *text,
                          const char *signature)
{
    struct buf bytes = BUF_INIT;
    struct err err;

    assert_int_equal(base64url_decode(signature, strlen(signature), &bytes), STATUS_OK);
    enum status status = jwt_keys_verify(keys, algorithm, id, text, strlen(text), bytes.data, bytes.len, &err);
    buf_release(&bytes);
    return status;
}

static void test_verify_examples_of_rfc_7515(void **state)
{
    struct jwt_keys *keys = load("", "{\"keys\":[{" A2_KEY "},{" A3_KEY "}]}");

    (void)state;
    assert_int_equal(verify(keys, "RS256", NULL, A2_TEXT, A2_SIGNATURE), STATUS_OK);
    assert_int_equal(verify(keys, "ES256", NULL, A3_TEXT, A3_SIGNATURE), STATUS_OK);
    assert_int_equal(verify(keys, "RS256", NULL, A2_TEXT "x", A2_SIGNATURE), STATUS_INVALID);
    assert_int_equal(verify(keys, "ES256", NULL, A3_TEXT "x", A3_SIGNATURE), STATUS_INVALID);
    assert_int_equal(verify(keys, "ES256", NULL, A3_TEXT, A2_SIGNATURE), STATUS_INVALID);
    assert_int_equal(verify(keys, "ES256", NULL, A3_TEXT, ""), STATUS_INVALID);
    jwt_keys_free(&keys);
}

/* The public key's own text as an HMAC secret is the classic attack (RFC 8725, 2.1). */
static void test_verify_uses_a_key_for_its_own_algorithm_only(void **state)
{
    static const char *const others[] = {"HS256", "RS256", "RS384", "PS256", "none", "es256", ""};
    struct jwt_keys *keys = load(SECRET, "{\"keys\":[{" A3_KEY "}]}");

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (verify(keys, others[i], NULL, A3_TEXT, A3_SIGNATURE) != STATUS_INVALID)
            fail_msg("%s", others[i]);
    jwt_keys_free(&keys);
}

static void test_verify_goes_by_kid(void **state)
{
    struct jwt_keys *keys = load("", "{\"keys\":[{" A3_KEY ",\"kid\":\"a\"},{" A2_KEY ",\"kid\":\"b\"}]}");

    (void)state;
    assert_int_equal(verify(keys, "ES256", "a", A3_TEXT, A3_SIGNATURE), STATUS_OK);
    assert_int_equal(verify(keys, "ES256", NULL, A3_TEXT, A3_SIGNATURE), STATUS_OK);
    assert_int_equal(verify(keys, "ES256", "b", A3_TEXT, A3_SIGNATURE), STATUS_INVALID);
    assert_int_equal(verify(keys, "ES256", "A", A3_TEXT, A3_SIGNATURE), STATUS_INVALID);
    assert_int_equal(verify(keys, "ES256", "", A3_TEXT, A3_SIGNATURE), STATUS_INVALID);
    jwt_keys_free(&keys);
    keys = load("", "{\"keys\":[{" A3_KEY "}]}");
    assert_int_equal(verify(keys, "ES256", "any", A3_TEXT, A3_SIGNATURE), STATUS_OK);
    jwt_keys_free(&keys);
}

/* RFC 7517, 5: what cannot be used is passed over. */
static void test_new_passes_over_keys_for_other_purposes(void **state)
{
    struct jwt_keys *keys =
        load("", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"},{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"},"
                 "{" A2_KEY ",\"use\":\"enc\"},{" A2_KEY ",\"alg\":\"RS512\"},{" A2_KEY ",\"key_ops\":[\"encrypt\"]},"
                 "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AA\",\"y\":\"AA\"},{},"
                 "{" A3_KEY ",\"use\":\"sig\",\"alg\":\"ES256\",\"key_ops\":[\"verify\"]}]}");

    (void)state;
    assert_int_equal(verify(keys, "RS256", NULL, A2_TEXT, A2_SIGNATURE), STATUS_INVALID);
    assert_int_equal(verify(keys, "ES256", NULL, A3_TEXT, A3_SIGNATURE), STATUS_OK);
    jwt_keys_free(&keys);
}

static void test_new_refuses_unusable_files(void **state)
{
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "no RSA or P-256"},
        {"nothing of the kind", "no RSA or P-256"},
        {"{", "JWT_KEYS="},
        {"{\"keys\":{}}", "no list 'keys'"},
        {"{\"keys\":[]}", "no RSA or P-256"},
        {"{\"keys\":[{" A3_KEY ",\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\"}]}", "private"},
        {"{\"keys\":[{" A3_KEY ",\"kid\":7}]}", "'kid'"},
        {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k1\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
         "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1\"}]}",
         "'k1'"}, /* trailing bits */
        {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k2\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
         "\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}]}",
         "'k2'"}, /* not on the curve */
        {"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}]}", "damaged"},
        {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "private"},
        {"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "damaged"},
        {"-----BEGIN PUBLIC KEY-----\nA!AA\n-----END PUBLIC KEY-----\n", "damaged"},
        {"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "CERTIFICATE REQUEST"},
    };
    struct jwt_keys *keys = NULL;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_file(cases[i].text);
        if (jwt_keys_new("", path, &keys, &err) != STATUS_INVALID || !strstr(err.text, cases[i].reason) ||
            !strstr(err.text, path))
            fail_msg("case %zu: %s", i, err.text);
    }
    assert_int_equal(jwt_keys_new("", "/tmp/there/is/no/such/file", &keys, &err), STATUS_INVALID);
    assert_non_null(strstr(err.text, "JWT_KEYS=/tmp/there/is/no/such/file"));
    assert_int_equal(jwt_keys_new("", "", &keys, &err), STATUS_INVALID);
    assert_non_null(strstr(err.text, "JWT_SECRET"));
    assert_int_equal(jwt_keys_new("too short", path, &keys, &err), STATUS_INVALID);
    assert_null(keys);
}

/* --- PEM ----------------------------------------------------------------------------------------- */

static void write_public_pem(EVP_PKEY *key, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes;

    assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
    long len = BIO_get_mem_data(bio, &bytes);
    buf_append(out, bytes, (size_t)len);
    BIO_free(bio);
}

static void write_certificate_pem(EVP_PKEY *key, struct buf *out)
{
    X509 *certificate = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes;

    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600));
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
    long len = BIO_get_mem_data(bio, &bytes);
    buf_append(out, bytes, (size_t)len);
    BIO_free(bio);
    X509_free(certificate);
}

static void sign_rs256(EVP_PKEY *key, const char *text, struct buf *out)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t len = 0;

    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestSign(ctx, NULL, &len, (const unsigned char *)text, strlen(text)), 1);
    assert_true(buf_reserve(out, len));
    assert_int_equal(EVP_DigestSign(ctx, (unsigned char *)out->data, &len, (const unsigned char *)text, strlen(text)),
                     1);
    out->len = len;
    EVP_MD_CTX_free(ctx);
}

/* A rotation: the new key beside the old one, and a certificate as some issuers publish it. */
static void test_new_takes_several_pem_blocks(void **state)
{
    EVP_PKEY *first = EVP_RSA_gen(2048), *second = EVP_RSA_gen(2048), *stranger = EVP_RSA_gen(2048);
    EVP_PKEY *list[] = {first, second, stranger};
    struct buf pem = BUF_INIT, signature = BUF_INIT;
    struct err err;

    (void)state;
    write_public_pem(first, &pem);
    buf_append_string(&pem, "a remark between the blocks\n");
    write_certificate_pem(second, &pem);
    struct jwt_keys *keys = load("", pem.data);
    for (size_t i = 0; i < 3; i++) {
        buf_clear(&signature);
        sign_rs256(list[i], "text", &signature);
        assert_int_equal(jwt_keys_verify(keys, "RS256", "whatever", "text", 4, signature.data, signature.len, &err),
                         i < 2 ? STATUS_OK : STATUS_INVALID);
        EVP_PKEY_free(list[i]);
    }
    jwt_keys_free(&keys);
    buf_release(&pem);
    buf_release(&signature);
}

static void test_new_refuses_weak_and_foreign_keys(void **state)
{
    EVP_PKEY *list[] = {EVP_RSA_gen(1024), EVP_EC_gen("secp384r1"), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
    static const char *const reasons[] = {"1024 bits", "P-256", "P-256"};
    struct jwt_keys *keys = NULL;
    struct buf pem = BUF_INIT;
    struct err err;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        buf_clear(&pem);
        write_public_pem(list[i], &pem);
        write_file(pem.data);
        if (jwt_keys_new("", path, &keys, &err) != STATUS_INVALID || !strstr(err.text, reasons[i]))
            fail_msg("key %zu: %s", i, err.text);
        EVP_PKEY_free(list[i]);
    }
    buf_release(&pem);
}

static void test_new_refuses_too_many_keys(void **state)
{
    struct jwt_keys *keys = NULL;
    struct buf set = BUF_INIT;
    struct err err;

    (void)state;
    buf_append_string(&set, "{\"keys\":[{" A3_KEY "}");
    for (int i = 1; i < JWT_MAX_KEYS; i++)
        buf_append_string(&set, ",{" A3_KEY "}");
    struct buf more = BUF_INIT;
    buf_append_format(&more, "%s,{%s}]}", set.data, A3_KEY);
    buf_append_string(&set, "]}");
    keys = load("", set.data);
    jwt_keys_free(&keys);
    write_file(more.data);
    assert_int_equal(jwt_keys_new("", path, &keys, &err), STATUS_INVALID);
    assert_non_null(strstr(err.text, "more than 16"));
    buf_release(&set);
    buf_release(&more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verify_examples_of_rfc_7515),
        cmocka_unit_test(test_verify_uses_a_key_for_its_own_algorithm_only),
        cmocka_unit_test(test_verify_goes_by_kid),
        cmocka_unit_test(test_new_passes_over_keys_for_other_purposes),
        cmocka_unit_test(test_new_refuses_unusable_files),
        cmocka_unit_test(test_new_takes_several_pem_blocks),
        cmocka_unit_test(test_new_refuses_weak_and_foreign_keys),
        cmocka_unit_test(test_new_refuses_too_many_keys),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
