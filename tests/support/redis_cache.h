/* A cache on the tests' own Redis (TEST_REDIS_URL). */
#ifndef PNLCACHE_TESTS_REDIS_CACHE_H
#define PNLCACHE_TESTS_REDIS_CACHE_H

#include "lib/base/settings.h"
#include "lib/store/cache.h"

/* Of these settings, which stay the caller's; Redis is emptied. Any failure fails the test. */
void redis_cache_open(const struct settings *settings, struct cache **ret_cache, struct redis **ret_redis);
void redis_cache_close(struct cache **cache, struct redis **redis);

#endif
