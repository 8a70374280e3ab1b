#include "fcgi/jwt_keys.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/hmac.h"
#include "lib/base/file.h"
#include "lib/base/text.h"
#include "lib/json/json_reader.h"

#define P256 "prime256v1"
#define P256_COORDINATE 32
#define ECDSA_MAX_DER 80 /* two integers of at most 33 bytes and their frame */

enum algorithm { HS256, RS256, ES256 };
static const char *const algorithm_names[] = {[HS256] = "HS256", [RS256] = "RS256", [ES256] = "ES256"};

struct jwt_key {
    enum algorithm algorithm;
    char *id;              /* NULL: none */
    struct hmac_key *hmac; /* HS256 */
    EVP_PKEY *public_key;  /* the others */
};

struct jwt_keys {
    size_t n;
    struct jwt_key keys[JWT_MAX_KEYS];
    EVP_MD *sha256; /* of public keys; NULL when there are none */
};

/* --- collecting ------------------------------------------------------------------------------ */

static enum status add_secret(struct jwt_keys *keys, const char *secret, struct err *err)
{
    size_t len = strlen(secret);
    enum status status;

    if (len < JWT_MIN_SECRET)
        return err_fail(err, STATUS_INVALID,
                        "JWT_SECRET has %zu bytes; set the HS256 secret of your tokens, at least %d bytes", len,
                        JWT_MIN_SECRET);
    status = hmac_key_new(secret, len, &keys->keys[keys->n].hmac, err);
    if (status == STATUS_OK)
        keys->keys[keys->n++].algorithm = HS256;
    return status;
}

static bool is_p256(EVP_PKEY *public_key)
{
    char group[64] = "";

    return EVP_PKEY_get_base_id(public_key) == EVP_PKEY_EC &&
           EVP_PKEY_get_utf8_string_param(public_key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), NULL) == 1 &&
           strcmp(group, P256) == 0;
}

/* Takes the key over in any case. `id` is copied; NULL: none. */
static enum status add_public_key(struct jwt_keys *keys, EVP_PKEY *public_key, const char *id, struct err *err)
{
    struct jwt_key key = {.public_key = public_key};
    enum status status = STATUS_OK;

    if (EVP_PKEY_get_base_id(public_key) == EVP_PKEY_RSA)
        key.algorithm = RS256;
    else if (is_p256(public_key))
        key.algorithm = ES256;
    else
        status = err_fail(err, STATUS_INVALID, "a key is neither RSA nor of the curve P-256");
    if (status == STATUS_OK && key.algorithm == RS256 && EVP_PKEY_get_bits(public_key) < JWT_MIN_RSA_BITS)
        status = err_fail(err, STATUS_INVALID, "an RSA key has %d bits; at least %d are needed",
                          EVP_PKEY_get_bits(public_key), JWT_MIN_RSA_BITS);
    if (status == STATUS_OK && keys->n == JWT_MAX_KEYS)
        status = err_fail(err, STATUS_INVALID, "there are more than %d keys", JWT_MAX_KEYS);
    if (status == STATUS_OK && id && !(key.id = strdup(id)))
        status = err_fail(err, STATUS_NO_MEMORY, "out of memory");
    if (status == STATUS_OK)
        keys->keys[keys->n++] = key;
    else
        EVP_PKEY_free(public_key);
    return status;
}

/* --- PEM ------------------------------------------------------------------------------------- */

static EVP_PKEY *decode_pem_block(const char *name, const unsigned char *der, long len)
{
    if (strcmp(name, PEM_STRING_PUBLIC) == 0)
        return d2i_PUBKEY(NULL, &der, len);
    if (strcmp(name, PEM_STRING_RSA_PUBLIC) == 0)
        return d2i_PublicKey(EVP_PKEY_RSA, NULL, &der, len);
    X509 *certificate = d2i_X509(NULL, &der, len);
    EVP_PKEY *key = certificate ? X509_get_pubkey(certificate) : NULL;
    X509_free(certificate);
    return key;
}

static enum status add_pem_block(struct jwt_keys *keys, const char *name, const unsigned char *der, long len,
                                 struct err *err)
{
    if (strstr(name, "PRIVATE"))
        return err_fail(err, STATUS_INVALID, "it holds a private key, which has no place here: take the public one");
    if (strcmp(name, PEM_STRING_PUBLIC) != 0 && strcmp(name, PEM_STRING_RSA_PUBLIC) != 0 &&
        strcmp(name, PEM_STRING_X509) != 0)
        return err_fail(err, STATUS_INVALID, "it holds something that is no public key: %.40s", name);
    EVP_PKEY *key = decode_pem_block(name, der, len);
    if (!key)
        return err_fail(err, STATUS_INVALID, "its %s is damaged", name);
    return add_public_key(keys, key, NULL, err);
}

static enum status add_pem(struct jwt_keys *keys, const struct buf *text, struct err *err)
{
    BIO *bio = BIO_new_mem_buf(text->data, (int)text->len);
    enum status status = bio ? STATUS_OK : err_fail(err, STATUS_NO_MEMORY, "out of memory");
    char *name = NULL, *header = NULL;
    unsigned char *der = NULL;
    long len = 0;

    while (status == STATUS_OK && PEM_read_bio(bio, &name, &header, &der, &len) == 1) {
        status = add_pem_block(keys, name, der, len, err);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
    if (status == STATUS_OK && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        status = err_fail(err, STATUS_INVALID, "a PEM block in it is damaged");
    ERR_clear_error();
    BIO_free(bio);
    return status;
}

/* --- JWK sets (RFC 7517, RFC 7518 6) ----------------------------------------------------------- */

/* False: absent, or not base64url. */
static bool get_bytes(const struct json_value *jwk, const char *member, struct buf *out)
{
    const char *text = json_get_string(json_member(jwk, member));

    return text && text[0] && base64url_decode(text, strlen(text), out) == STATUS_OK;
}

static EVP_PKEY *key_from_params(const char *type, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL), *check = NULL;
    EVP_PKEY *key = NULL;

    if (params && ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) == 1) {
        check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
        if (!check || EVP_PKEY_public_check(check) != 1) {
            EVP_PKEY_free(key);
            key = NULL;
        }
    }
    EVP_PKEY_CTX_free(check);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *rsa_key(const struct json_value *jwk)
{
    struct buf modulus = BUF_INIT, exponent = BUF_INIT;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *n = NULL, *e = NULL;
    EVP_PKEY *key = NULL;

    if (build && get_bytes(jwk, "n", &modulus) && get_bytes(jwk, "e", &exponent)) {
        n = BN_bin2bn((unsigned char *)modulus.data, (int)modulus.len, NULL);
        e = BN_bin2bn((unsigned char *)exponent.data, (int)exponent.len, NULL);
        if (n && e && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) &&
            OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e))
            key = key_from_params("RSA", build);
    }
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    buf_release(&modulus);
    buf_release(&exponent);
    return key;
}

static EVP_PKEY *p256_key(const struct json_value *jwk)
{
    struct buf x = BUF_INIT, y = BUF_INIT;
    unsigned char point[1 + 2 * P256_COORDINATE] = {POINT_CONVERSION_UNCOMPRESSED};
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;

    if (build && get_bytes(jwk, "x", &x) && get_bytes(jwk, "y", &y) && x.len == P256_COORDINATE &&
        y.len == P256_COORDINATE) {
        memcpy(point + 1, x.data, P256_COORDINATE);
        memcpy(point + 1 + P256_COORDINATE, y.data, P256_COORDINATE);
        if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, P256, 0) &&
            OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)))
            key = key_from_params("EC", build);
    }
    OSSL_PARAM_BLD_free(build);
    buf_release(&x);
    buf_release(&y);
    return key;
}

static bool is_or_lacks(const struct json_value *jwk, const char *member, const char *expected)
{
    const struct json_value *value = json_member(jwk, member);
    const char *text = json_get_string(value);

    return !value || (text && strcmp(text, expected) == 0);
}

static bool is_for_verifying(const struct json_value *jwk)
{
    const struct json_value *operations = json_member(jwk, "key_ops");

    if (!is_or_lacks(jwk, "use", "sig"))
        return false;
    for (const struct json_value *v = json_first_child(operations); v; v = json_next_sibling(v)) {
        const char *name = json_get_string(v);
        if (name && strcmp(name, "verify") == 0)
            return true;
    }
    return !operations;
}

static bool has_type(const struct json_value *jwk, const char *type)
{
    return json_member(jwk, "kty") && is_or_lacks(jwk, "kty", type);
}

/* A key that cannot be used (another purpose, type, curve or algorithm) is passed over. */
static enum status add_jwk(struct jwt_keys *keys, const struct json_value *jwk, struct err *err)
{
    const struct json_value *id = json_member(jwk, "kid");
    const char *id_text = json_get_string(id);
    EVP_PKEY *key;

    if (json_member(jwk, "d"))
        return err_fail(err, STATUS_INVALID, "it holds a private key, which has no place here: take the public one");
    if (id && (!id_text || strlen(id_text) > JWT_MAX_KEY_ID))
        return err_fail(err, STATUS_INVALID, "a 'kid' in it is not a text of at most %d bytes", JWT_MAX_KEY_ID);
    if (!is_for_verifying(jwk))
        return STATUS_OK;
    if (has_type(jwk, "RSA") && is_or_lacks(jwk, "alg", "RS256"))
        key = rsa_key(jwk);
    else if (has_type(jwk, "EC") && json_member(jwk, "crv") && is_or_lacks(jwk, "crv", "P-256") &&
             is_or_lacks(jwk, "alg", "ES256"))
        key = p256_key(jwk);
    else
        return STATUS_OK;
    if (!key)
        return err_fail(err, STATUS_INVALID, "the key '%.40s' in it is damaged", id_text ? id_text : "");
    return add_public_key(keys, key, id_text, err);
}

static enum status add_jwk_set(struct jwt_keys *keys, const struct buf *text, struct err *err)
{
    struct json_document *document = NULL;
    enum status status = json_parse(text->data, text->len, &document, err);

    if (status != STATUS_OK)
        return status;
    const struct json_value *list = json_member(json_root(document), "keys");
    if (!list || json_type_of(list) != JSON_ARRAY)
        status = err_fail(err, STATUS_INVALID, "it has no list 'keys'");
    for (const struct json_value *jwk = json_first_child(list); jwk && status == STATUS_OK;
         jwk = json_next_sibling(jwk))
        status = add_jwk(keys, jwk, err);
    json_document_free(&document);
    return status;
}

/* --- the set ---------------------------------------------------------------------------------- */

static enum status add_file(struct jwt_keys *keys, const char *path, struct err *err)
{
    size_t before = keys->n;
    struct buf text = BUF_INIT;
    enum status status = file_read(path, &text, err);

    if (status == STATUS_OK)
        status =
            text.data[strspn(text.data, " \t\r\n")] == '{' ? add_jwk_set(keys, &text, err) : add_pem(keys, &text, err);
    if (status == STATUS_OK && keys->n == before)
        status = err_fail(err, STATUS_INVALID, "it holds no RSA or P-256 public key for signatures");
    buf_release(&text);
    if (status != STATUS_OK)
        err_prefix(err, "JWT_KEYS=%s", path);
    return status == STATUS_NOT_FOUND ? STATUS_INVALID : status;
}

enum status jwt_keys_new(const char *secret, const char *path, struct jwt_keys **ret_keys, struct err *err)
{
    struct jwt_keys *keys = calloc(1, sizeof(*keys));
    if (!keys)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    enum status status = STATUS_OK;
    /* Neither: the secret's own complaint says what to do. */
    if (secret[0] || !path[0])
        status = add_secret(keys, secret, err);
    if (status == STATUS_OK && path[0] && !(keys->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL)))
        status = err_fail(err, STATUS_INTERNAL, "OpenSSL has no SHA-256");
    if (status == STATUS_OK && path[0])
        status = add_file(keys, path, err);
    if (status == STATUS_OK)
        *ret_keys = keys;
    else
        jwt_keys_free(&keys);
    return status;
}

void jwt_keys_free(struct jwt_keys **keys)
{
    if (!*keys)
        return;
    for (size_t i = 0; i < (*keys)->n; i++) {
        hmac_key_free(&(*keys)->keys[i].hmac);
        EVP_PKEY_free((*keys)->keys[i].public_key);
        free((*keys)->keys[i].id);
    }
    EVP_MD_free((*keys)->sha256);
    free(*keys);
    *keys = NULL;
}

/* --- verifying ---------------------------------------------------------------------------------- */

/* A JWS has r and s side by side (RFC 7518, 3.4); OpenSSL wants them in DER. 0: not such a signature. */
static size_t ecdsa_to_der(const unsigned char *signature, size_t len, unsigned char der[ECDSA_MAX_DER])
{
    ECDSA_SIG *pair = len == 2 * P256_COORDINATE ? ECDSA_SIG_new() : NULL;
    BIGNUM *r = pair ? BN_bin2bn(signature, P256_COORDINATE, NULL) : NULL;
    BIGNUM *s = pair ? BN_bin2bn(signature + P256_COORDINATE, P256_COORDINATE, NULL) : NULL;
    unsigned char *end = der;
    int size = 0;

    if (r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
        size = i2d_ECDSA_SIG(pair, NULL) <= ECDSA_MAX_DER ? i2d_ECDSA_SIG(pair, &end) : 0;
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(pair);
    return size > 0 ? (size_t)size : 0;
}

static bool verify_public(const struct jwt_keys *keys, const struct jwt_key *key, const void *text, size_t len,
                          const unsigned char *signature, size_t signature_len)
{
    unsigned char der[ECDSA_MAX_DER];
    EVP_MD_CTX *ctx;
    bool good;

    if (key->algorithm == ES256) {
        signature_len = ecdsa_to_der(signature, signature_len, der);
        signature = der;
    }
    if (signature_len == 0)
        return false;
    ctx = EVP_MD_CTX_new();
    good = ctx && EVP_DigestVerifyInit(ctx, NULL, keys->sha256, NULL, key->public_key) == 1 &&
           EVP_DigestVerify(ctx, signature, signature_len, text, len) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return good;
}

static bool verify_secret(const struct jwt_key *key, const void *text, size_t len, const void *signature,
                          size_t signature_len)
{
    struct hmac_part part = {text, len};
    unsigned char expected[HMAC_SIZE];

    hmac_sign(key->hmac, &part, 1, expected);
    return signature_len == HMAC_SIZE && hmac_equal(signature, expected, HMAC_SIZE);
}

enum status jwt_keys_verify(const struct jwt_keys *keys, const char *algorithm, const char *key_id, const void *text,
                            size_t len, const void *signature, size_t signature_len, struct err *err)
{
    size_t tried = 0;

    for (size_t i = 0; i < keys->n; i++) {
        const struct jwt_key *key = &keys->keys[i];
        if (strcmp(algorithm_names[key->algorithm], algorithm) != 0 ||
            (key->id && key_id && strcmp(key->id, key_id) != 0))
            continue;
        tried++;
        if (key->hmac ? verify_secret(key, text, len, signature, signature_len)
                      : verify_public(keys, key, text, len, signature, signature_len))
            return STATUS_OK;
    }
    if (tried > 0)
        return err_fail(err, STATUS_INVALID, "the signature is wrong");
    return err_fail(err, STATUS_INVALID, "there is no key for algorithm '%.16s'%s%.64s", algorithm,
                    key_id ? " and kid " : "", key_id ? key_id : "");
}
