/* The keys that tokens may be signed with. Each key has one algorithm, so a token cannot choose another for it (RFC 8725,
 * 3.1): a secret is HS256, an RSA key RS256, a P-256 key ES256. */
#ifndef PNLCACHE_FCGI_JWT_KEYS_H
#define PNLCACHE_FCGI_JWT_KEYS_H

#include <stddef.h>

#include "lib/base/err.h"

#define JWT_MIN_SECRET 32
#define JWT_MIN_RSA_BITS 2048
#define JWT_MAX_KEYS 16
#define JWT_MAX_KEY_ID 128

struct jwt_keys; /* immutable; shared by threads */

/* `secret`: HS256, at least JWT_MIN_SECRET bytes; "": none. `path`: a file of public keys, either PEM (keys and certificates) or a
 * JWK set (RFC 7517); "": none. At least one of them. In a JWK set, keys for other purposes or algorithms are left out, as RFC
 * 7517, 5 asks for. STATUS_INVALID: no usable key, one that is too weak or private, too many, an unreadable file; the text says
 * which setting and why. */
enum status jwt_keys_new(const char *secret, const char *path, struct jwt_keys **ret_keys, struct err *err) MUST_CHECK;
void jwt_keys_free(struct jwt_keys **keys);

/* Whether one of the keys of this algorithm made the signature. A key with an id verifies only tokens that name it or no
 * key; a key without one (PEM, the secret) any. `key_id`: NULL when the token names none. STATUS_INVALID: none did; the text is
 * for the log. */
enum status jwt_keys_verify(const struct jwt_keys *keys, const char *algorithm, const char *key_id, const void *text,
                            size_t len, const void *signature, size_t signature_len, struct err *err) MUST_CHECK;

#endif
