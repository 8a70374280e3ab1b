/* Who is asking, and for whose data (api.md 6). */
#ifndef PNLCACHE_FCGI_AUTH_H
#define PNLCACHE_FCGI_AUTH_H

#include "fcgi/jwt.h"
#include "fcgi/request.h"

/* Tokens verified lately, so that a hit costs a comparison instead of a signature and two JSON documents. One per
 * thread. */
struct token_cache;
/* `modes`: AUTH_MODE (lib/base/settings.h). */
enum status token_cache_new(unsigned modes, struct token_cache **ret_cache, struct err *err) MUST_CHECK;
void token_cache_free(struct token_cache **cache);
/* Forgets everything: the keys changed. */
void token_cache_clear(struct token_cache *cache);

/* Who sent the request: by its bearer token, when there is one and `verifier` is not NULL; else, where AUTH_MODE has it, the user whom
 * the web server has authenticated, who is never more than a user. STATUS_NOT_FOUND: neither; STATUS_INVALID: refused, the text is for the
 * log. *ret_claims is borrowed until the next call. */
enum status auth_identify(const struct jwt_verifier *verifier, struct token_cache *cache, const struct request *request,
                          struct instant now, const struct claims **ret_claims, struct err *err) MUST_CHECK;

#endif
