/* A cache on the tests' own Redis (TEST_REDIS_URL), as the state of a cmocka test. */
#ifndef PNLCACHE_TESTS_REDIS_CACHE_H
#define PNLCACHE_TESTS_REDIS_CACHE_H

#include "lib/base/settings.h"
#include "lib/store/cache.h"

struct redis_cache {
    struct settings settings;
    struct cache *cache;
    struct redis *redis;
};

/* A new *state with a copy of these settings, whose texts stay the caller's; Redis is emptied. Any failure fails the test. */
struct redis_cache *redis_cache_set_up(void **state, const struct settings *settings);
/* Also gives the clock back, which a test may have turned. 0, as cmocka wants it. */
int redis_cache_tear_down(void **state);

/* COMMAND key, whose answer is a number. */
int64_t redis_cache_integer(struct redis_cache *f, const char *command, const char *key);

#endif
