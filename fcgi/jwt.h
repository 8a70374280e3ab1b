/* JSON Web Tokens, verified strictly (RFC 7519, RFC 8725). The key decides the algorithm, never the token: see
 * fcgi/jwt_keys.h. */
#ifndef PNLCACHE_FCGI_JWT_H
#define PNLCACHE_FCGI_JWT_H

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/store/cache.h"

#define JWT_MAX_SIZE 8192
#define JWT_LEEWAY_SECONDS 60

struct jwt_verifier; /* immutable; shared by threads */

struct jwt_options {
    const char *secret;   /* copied; HS256; "": none */
    const char *keys;     /* path of a file of public keys, read now; "": none */
    const char *audience; /* copied; "": any */
    const char *issuer;   /* copied; "": any */
};
/* STATUS_INVALID: as jwt_keys_new(). */
enum status jwt_verifier_new(const struct jwt_options *options, struct jwt_verifier **ret_verifier,
                             struct err *err) MUST_CHECK;
void jwt_verifier_free(struct jwt_verifier **verifier);

enum role { ROLE_USER, ROLE_SERVICE, ROLE_ADMIN };

struct claims {
    char user_id[USER_ID_MAX + 1]; /* `sub`; "" only for a service or an admin */
    enum role role;
    int64_t not_before_s, expires_s; /* Unix time, leeway included */
    bool by_cookie;                  /* a session's, which a browser names by itself (fcgi/auth.h) */
};

/* Signature and claims, at `now`. STATUS_INVALID: refused; the text is for the log, not for the caller.
 * Refused are: anything but three parts of strict base64url, duplicate members, an algorithm or `kid` that no key has, `crit`,
 * a missing or fractional `exp`, `exp` or `nbf` outside the leeway, a wrong `aud` or `iss`, a `sub` that is no user id. */
enum status jwt_verify(const struct jwt_verifier *verifier, const char *token, size_t len, struct instant now,
                       struct claims *ret_claims, struct err *err) MUST_CHECK;

#endif
