/* Who may ask how often (api.md 6): one rate limiter for each kind of subject, and what a caller over its limit is told. */
#ifndef PNLCACHE_FCGI_LIMITS_H
#define PNLCACHE_FCGI_LIMITS_H

#include "fcgi/exchange.h"
#include "fcgi/jwt.h"
#include "lib/base/settings.h"
#include "lib/store/rate_limiter.h"

/* Of a route: what its requests count against. */
enum limit_group {
    LIMIT_READS,    /* RATE_LIMIT_ADDRESS; once the caller is known RATE_LIMIT_READS */
    LIMIT_WEBHOOKS, /* RATE_LIMIT_WEBHOOKS, by address */
    LIMIT_LOGINS,   /* RATE_LIMIT_LOGINS, by address */
    LIMIT_NOTHING,
};

struct limits; /* thread-safe */

enum status limits_new(const struct settings *settings, const struct cache *cache, struct limits **ret_limits,
                       struct err *err) MUST_CHECK;
void limits_free(struct limits **limits);

/* Before the caller is known. False: 429 was answered. */
bool limits_admit_address(struct limits *limits, struct exchange *x, enum limit_group group) MUST_CHECK;
/* A read of the caller whom the claims name. False: 429 was answered. */
bool limits_admit_user(struct limits *limits, struct exchange *x, const struct claims *claims,
                       struct instant now) MUST_CHECK;

/* With one round trip, exactly: whether one of the requests in a list (linked by `next`, of one user, sharing one computation)
 * goes through, which is enough for all of them. False: all were answered 429. */
bool limits_confirm_reads(struct limits *limits, struct redis *redis, struct exchange *first) MUST_CHECK;
/* The same for webhooks; those with ret_refused[i] were answered 429. */
void limits_confirm_webhooks(struct limits *limits, struct redis *redis, struct exchange *const *calls, size_t n,
                             bool *ret_refused);

/* The same for one login. False: it was answered 429. */
bool limits_confirm_login(struct limits *limits, struct redis *redis, struct exchange *x) MUST_CHECK;

/* Once a second, for one thread: exchanges with Redis what was counted here. */
enum status limits_settle(struct limits *limits, struct redis *redis, struct err *err) MUST_CHECK;

#endif
