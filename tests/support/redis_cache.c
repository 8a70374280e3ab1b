#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/assert_status.h"
#include "tests/support/redis_cache.h"

void redis_cache_open(const struct settings *settings, struct cache **ret_cache, struct redis **ret_redis)
{
    const struct redis_options options = {.url = getenv("TEST_REDIS_URL"), .client_name = "test", .timeout_ms = 2000};
    const struct redis_reply *reply;
    struct err err = {0};

    OK(cache_new(settings, ret_cache, &err));
    OK(redis_new(&options, ret_redis, &err));
    OK(redis_command(*ret_redis, &reply, &err, "FLUSHALL", NULL));
}

void redis_cache_close(struct cache **cache, struct redis **redis)
{
    redis_free(redis);
    cache_free(cache);
}
