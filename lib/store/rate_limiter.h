/* Counts requests of many users or addresses against one policy: in this process at once, and over all processes through
 * Redis, which keeps one small string for each and does the same arithmetic in a script (lib/base/rate_limit.h).
 *
 * rate_limiter_take() costs no round trip and no allocation; rate_limiter_settle() tells Redis once a second what was taken
 * and learns what others took. rate_limiter_confirm() is exact: Redis decides. When Redis does not answer the limit holds in
 * this process alone. At most RATE_LIMITER_SUBJECTS are followed at once; past that the ones that were quiet longest are
 * forgotten here (not in Redis).
 *
 * NULL stands for a policy that is off: it lets everything through. Thread-safe. */
#ifndef PNLCACHE_STORE_RATE_LIMITER_H
#define PNLCACHE_STORE_RATE_LIMITER_H

#include "lib/base/rate_limit.h"
#include "lib/store/cache.h"

#define RATE_LIMITER_SUBJECTS 4096
#define RATE_SUBJECT_SIZE (USER_ID_MAX + 1)

struct rate_limiter;

/* `name` is part of the keys, and must outlive it, as `cache` must. *ret_limiter is NULL when the policy is off. */
enum status rate_limiter_new(const struct rate_policy *policy, const char *name, const struct cache *cache,
                             struct rate_limiter **ret_limiter, struct err *err) MUST_CHECK;
void rate_limiter_free(struct rate_limiter **limiter);
const struct rate_policy *rate_limiter_policy(const struct rate_limiter *limiter); /* not of NULL */
const char *rate_limiter_name(const struct rate_limiter *limiter);                 /* not of NULL */

/* One request of a subject (below RATE_SUBJECT_SIZE bytes; a longer one is let through). False: over the limit, it was not
 * counted, and in *ret_wait_us there may be room again. */
bool rate_limiter_take(struct rate_limiter *limiter, const char *subject, struct instant now, int64_t *ret_wait_us);

/* Decides exactly about `n` requests that were taken a moment ago: one round trip. Returns how many of them go through; for
 * the others, which are counted no longer, *ret_wait_us as above. All of them when Redis does not answer, or is NULL. */
size_t rate_limiter_confirm(struct rate_limiter *limiter, struct redis *redis, const char *subject, size_t n,
                            struct instant now, int64_t *ret_wait_us);

/* Exchanges with Redis what was counted since the last time. Any failure: what was taken counts in this process alone. */
enum status rate_limiter_settle(struct rate_limiter *limiter, struct redis *redis, struct err *err) MUST_CHECK;

#endif
