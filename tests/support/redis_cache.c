#include "tests/support/redis_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/assert_status.h"

struct redis_cache *redis_cache_set_up(void **state, const struct settings *settings)
{
    const struct redis_options options = {.url = getenv("TEST_REDIS_URL"), .client_name = "test", .timeout_ms = 2000};
    struct redis_cache *f = calloc(1, sizeof *f);
    const struct redis_reply *reply;
    struct err err = {0};

    assert_non_null(f);
    f->settings = *settings;
    OK(cache_new(&f->settings, &f->cache, &err));
    OK(redis_new(&options, &f->redis, &err));
    OK(redis_command(f->redis, &reply, &err, "FLUSHALL", NULL));
    *state = f;
    return f;
}

int redis_cache_tear_down(void **state)
{
    struct redis_cache *f = *state;

    clock_clear_override();
    redis_free(&f->redis);
    cache_free(&f->cache);
    free(f);
    return 0;
}

int64_t redis_cache_integer(struct redis_cache *f, const char *command, const char *key)
{
    const struct redis_reply *reply;
    struct err err = {0};

    OK(redis_command(f->redis, &reply, &err, command, key, NULL));
    return redis_reply_integer(reply);
}
