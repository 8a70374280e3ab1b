/* Who asks, and for whom: what the handlers of cached answers share. */
#ifndef PNLCACHE_FCGI_CALLER_H
#define PNLCACHE_FCGI_CALLER_H

#include "fcgi/router.h"

/* Answers a request whose token auth_identify() did not take. */
enum next_step caller_refuse(struct exchange *x, enum status status, const struct err *err);
/* Whose data: the caller's own, or those of the user that a service or an admin names; into x->user_id. 0, or the HTTP status of the
 * refusal. */
int caller_choose_user(struct exchange *x, const struct claims *claims, const char *named,
                       struct problem_fields *problems);
/* From Redis, or computed: whether a valid stored value may answer. x->user_id is set. `claims`: NULL without a token. */
enum next_step caller_next_step(const struct handler_context *context, struct exchange *x, const struct claims *claims);

#endif
