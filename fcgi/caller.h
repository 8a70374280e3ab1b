/* Who asks, and for whom: what the handlers of cached answers share. */
#ifndef PNLCACHE_FCGI_CALLER_H
#define PNLCACHE_FCGI_CALLER_H

#include "fcgi/router.h"

/* Who asks. True: *ret_claims, borrowed until the thread's next request. False: return *ret_next: an answer was made (401, 503), or the
 * session has to be read first and the handler will be called again. A session that is used to change something needs
 * X-CSRF-Token, or it is 403. `accepted`: AUTH_JWT, ... or-ed; AUTH_ANY. */
#define AUTH_ANY (AUTH_JWT | AUTH_SESSION | AUTH_REMOTE_USER)
bool caller_identify(struct handler_context *context, struct exchange *x, unsigned accepted, struct instant now,
                     const struct claims **ret_claims, enum next_step *ret_next) MUST_CHECK;
/* The same for what anybody may read: *ret_claims is NULL where nobody can be made out, without a token or without Redis. */
bool caller_identify_if_any(struct handler_context *context, struct exchange *x, struct instant now,
                            const struct claims **ret_claims, enum next_step *ret_next) MUST_CHECK;
/* Answers a request that auth_identify() refused. */
enum next_step caller_refuse(struct exchange *x, enum status status, const struct err *err);
/* A user reads its own data, a service or an admin everybody's. */
bool caller_may_read(const struct claims *claims, const char *user_id);
/* Whose data: the caller's own, or those of the user that a service or an admin names; into x->user_id. 0, or the HTTP status of the
 * refusal. */
int caller_choose_user(struct exchange *x, const struct claims *claims, const char *named,
                       struct problem_fields *problems);
/* From Redis, or computed: whether a valid stored value may answer. x->user_id is set. `claims`: NULL without a token. */
enum next_step caller_next_step(const struct handler_context *context, struct exchange *x, const struct claims *claims);

#endif
