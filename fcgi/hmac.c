/* OpenSSL 3 looks an algorithm up, under a lock, whenever it is named; so the context is built once, keyed, and
 * duplicated for each signature. */
#include "fcgi/hmac.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct hmac_key {
    EVP_MAC_CTX *keyed;
};

enum status hmac_key_new(const void *secret, size_t len, struct hmac_key **ret_key, struct err *err)
{
    struct hmac_key *key = calloc(1, sizeof(*key));
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};

    if (key && mac)
        key->keyed = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    if (!key || !key->keyed || EVP_MAC_init(key->keyed, secret, len, params) != 1) {
        hmac_key_free(&key);
        return err_fail(err, STATUS_INTERNAL, "OpenSSL cannot prepare an HMAC-SHA256 key");
    }
    *ret_key = key;
    return STATUS_OK;
}

void hmac_key_free(struct hmac_key **key)
{
    if (!*key)
        return;
    EVP_MAC_CTX_free((*key)->keyed);
    free(*key);
    *key = NULL;
}

enum status hmac_sign(const struct hmac_key *key, const struct hmac_part *parts, size_t n_parts,
                      unsigned char ret_mac[HMAC_SIZE], struct err *err)
{
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(key->keyed);
    size_t len = 0;
    bool good = ctx != NULL;

    for (size_t i = 0; good && i < n_parts; i++)
        good = EVP_MAC_update(ctx, parts[i].bytes, parts[i].len) == 1;
    good = good && EVP_MAC_final(ctx, ret_mac, &len, HMAC_SIZE) == 1 && len == HMAC_SIZE;
    EVP_MAC_CTX_free(ctx);
    return good ? STATUS_OK : err_fail(err, STATUS_INTERNAL, "OpenSSL cannot compute an HMAC");
}

bool hmac_equal(const void *mac, const void *other, size_t len)
{
    return CRYPTO_memcmp(mac, other, len) == 0;
}
