/* JSON Web Tokens for trying the API: HS256 only (RFC 7515, RFC 7519). */
#ifndef PNLCACHE_WORKER_TOKEN_H
#define PNLCACHE_WORKER_TOKEN_H

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

#define TOKEN_SECRET_MIN 32 /* bytes: RFC 7518 section 3.2 */

struct token_claims {
    const char *user_id;
    const char *role;     /* NULL: none */
    const char *audience; /* NULL or "": none */
    const char *issuer;   /* NULL or "": none */
    struct instant issued_at;
    int64_t ttl_s;
};

/* Appends the token. STATUS_INVALID: an unusable id, or a secret under TOKEN_SECRET_MIN bytes. */
enum status token_append(struct buf *out, const struct token_claims *claims, const char *secret,
                         struct err *err) MUST_CHECK;

#endif
