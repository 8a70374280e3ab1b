/* By the digest's own functions. OpenSSL calls them outdated, but its newer interface sets itself up at the first use, which is half of what a
 * process for one request (plain CGI) costs, and duplicates a context from the heap for each signature. */
#define OPENSSL_API_COMPAT 0x10101000L
#include "fcgi/hmac.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

/* The digest after the padded key, as RFC 2104 has it. */
struct hmac_key {
    SHA256_CTX inner, outer;
};

static void start(SHA256_CTX *ctx, const unsigned char block[SHA256_CBLOCK], unsigned char pad)
{
    unsigned char padded[SHA256_CBLOCK];

    for (size_t i = 0; i < sizeof padded; i++)
        padded[i] = block[i] ^ pad;
    (void)SHA256_Init(ctx);
    (void)SHA256_Update(ctx, padded, sizeof padded);
    OPENSSL_cleanse(padded, sizeof padded);
}

enum status hmac_key_new(const void *secret, size_t len, struct hmac_key **ret_key, struct err *err)
{
    struct hmac_key *key = calloc(1, sizeof(*key));
    unsigned char block[SHA256_CBLOCK] = {0};

    if (!key)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for a key");
    if (len <= sizeof block) {
        memcpy(block, secret, len);
    } else {
        (void)SHA256_Init(&key->inner);
        (void)SHA256_Update(&key->inner, secret, len);
        (void)SHA256_Final(block, &key->inner);
    }
    start(&key->inner, block, 0x36);
    start(&key->outer, block, 0x5c);
    OPENSSL_cleanse(block, sizeof block);
    *ret_key = key;
    return STATUS_OK;
}

void hmac_key_free(struct hmac_key **key)
{
    if (!*key)
        return;
    OPENSSL_cleanse(*key, sizeof **key);
    free(*key);
    *key = NULL;
}

void hmac_sign(const struct hmac_key *key, const struct hmac_part *parts, size_t n_parts,
               unsigned char ret_mac[HMAC_SIZE])
{
    SHA256_CTX inner = key->inner, outer = key->outer;

    for (size_t i = 0; i < n_parts; i++)
        (void)SHA256_Update(&inner, parts[i].bytes, parts[i].len);
    (void)SHA256_Final(ret_mac, &inner);
    (void)SHA256_Update(&outer, ret_mac, HMAC_SIZE);
    (void)SHA256_Final(ret_mac, &outer);
}

bool hmac_equal(const void *mac, const void *other, size_t len)
{
    return CRYPTO_memcmp(mac, other, len) == 0;
}
