/* Who is asking, and for whose data (api.md 6). */
#ifndef PNLCACHE_FCGI_AUTH_H
#define PNLCACHE_FCGI_AUTH_H

#include "fcgi/exchange.h"
#include "fcgi/jwt.h"
#include "fcgi/local_cache.h"

/* Tokens verified and sessions read lately, so that a hit costs a comparison instead of a signature and two JSON documents, or
 * a round trip. A session counts only for as long as local_cache_session_stands(). One per thread. */
struct token_cache;
/* `settings` and `local` must outlive it. */
enum status token_cache_new(const struct settings *settings, struct local_cache *local, struct token_cache **ret_cache,
                            struct err *err) MUST_CHECK;
void token_cache_free(struct token_cache **cache);
/* Forgets everything: the keys changed. */
void token_cache_clear(struct token_cache *cache);

/* Who sent the request, by the first of these that it comes with, as far as AUTH_MODE and `accepted` (AUTH_JWT, ... or-ed) have it: a bearer
 * token; the session of a cookie; the user whom the web server has authenticated, who is never more than a user. One that is no good is
 * not made good by the next. *ret_claims is borrowed until the next call.
 * STATUS_NOT_FOUND: none of them, or a session that is not known: the text is for the caller.
 * STATUS_INVALID: refused, the text is for the log.
 * STATUS_CONFLICT: x->session has to be read first (sessions.h); then call it again.
 * STATUS_UNAVAILABLE, STATUS_TIMEOUT: Redis does not say whether there is such a session. */
enum status auth_identify(const struct jwt_verifier *verifier, struct token_cache *cache, struct exchange *x,
                          unsigned accepted, struct instant now, const struct claims **ret_claims,
                          struct err *err) MUST_CHECK;
/* By the bearer token alone, whatever AUTH_MODE says: who wants to begin a session. */
enum status auth_identify_login(const struct jwt_verifier *verifier, struct token_cache *cache,
                                const struct request *request, struct instant now, const struct claims **ret_claims,
                                struct err *err) MUST_CHECK;

/* The id of the session that the request's cookie names, borrowed from it. STATUS_NOT_FOUND: there is no such cookie;
 * STATUS_INVALID: it can be no session's, or there are two. */
enum status auth_find_session(const struct settings *settings, const struct request *request, const char **ret_id,
                              struct err *err) MUST_CHECK;

#endif
