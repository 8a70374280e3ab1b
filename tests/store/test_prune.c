#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/prune.h"
#include "lib/base/text.h"
#include "lib/store/key_walk.h"
#include "tests/support/assert_status.h"
#include "tests/support/redis_cache.h"

static int set_up(void **state)
{
    static char prefix[] = "pt:";

    (void)redis_cache_set_up(state, &(const struct settings){.key_prefix = prefix,
                                                             .cache_ttl_epoch_s = 3600,
                                                             .cache_max_value = 100000,
                                                             .active_window_s = 1000,
                                                             .dead_letter_age_s = 1000});
    return 0;
}

/* Words up to a NULL, as one command. */
#define REDIS(f, ...)                                                                                                  \
    do {                                                                                                               \
        const struct redis_reply *ignored;                                                                             \
        struct err err = {0};                                                                                          \
        OK(redis_command((f)->redis, &ignored, &err, __VA_ARGS__, NULL));                                              \
    } while (0)

static struct prune_counts run(struct redis_cache *f, const atomic_bool *stop)
{
    struct prune_options options = {
        .settings = &f->settings, .cache = f->cache, .redis = f->redis, .consumer_idle_ms = 0, .stop = stop};
    struct prune_counts counts;
    struct err err = {0};

    OK(prune(&options, &counts, &err));
    return counts;
}

static void test_prune_removes_consumers_with_nothing_pending(void **state)
{
    struct redis_cache *f = *state;

    REDIS(f, "XGROUP", "CREATE", "pt:jobs", "workers", "0", "MKSTREAM");
    REDIS(f, "XADD", "pt:jobs", "*", "kind", "analytics", "user", "ann");
    REDIS(f, "XREADGROUP", "GROUP", "workers", "at-work", "COUNT", "1", "STREAMS", "pt:jobs", ">");
    REDIS(f, "XGROUP", "CREATECONSUMER", "pt:jobs", "workers", "gone:1");
    REDIS(f, "XGROUP", "CREATECONSUMER", "pt:jobs", "workers", "gone:2");
    assert_int_equal(run(f, NULL).consumers, 2);
    assert_int_equal(run(f, NULL).consumers, 0);
    {
        const struct redis_reply *reply;
        struct err err = {0};

        OK(redis_command(f->redis, &reply, &err, "XPENDING", "pt:jobs", "workers", NULL));
        assert_int_equal(redis_reply_integer(redis_reply_element(reply, 0)), 1);
    }
}

static void test_prune_of_an_empty_redis_does_nothing(void **state)
{
    struct redis_cache *f = *state;
    struct prune_counts counts = run(f, NULL);

    assert_int_equal(counts.users + counts.dead_letters + counts.consumers + counts.keys_seen, 0);
    assert_int_equal(redis_cache_integer(f, "EXISTS", "pt:jobs"), 0);
}

/* The boundary is exact: one second more than the window goes. */
static void test_prune_users_at_the_edge_of_the_window(void **state)
{
    struct redis_cache *f = *state;

    clock_set_override((struct instant){2000 * US_PER_SECOND});
    REDIS(f, "ZADD", "pt:active:users", "999", "out", "1000", "edge", "1001", "in");
    assert_int_equal(run(f, NULL).users, 1);
    clock_clear_override();
    assert_int_equal(redis_cache_integer(f, "ZCARD", "pt:active:users"), 2);
}

static void test_prune_stops_when_told(void **state)
{
    struct redis_cache *f = *state;
    const atomic_bool stop = true;

    REDIS(f, "ZADD", "pt:active:users", "1", "old");
    assert_int_equal(run(f, &stop).users, 0);
    assert_int_equal(run(f, NULL).users, 1);
}

/* The first step of a walk over keys that take several: *cursor is where it ended. Returns how many of the names it saw
 * are values. */
static size_t step_once(struct redis_cache *f, char cursor[KEY_WALK_CURSOR_SIZE])
{
    const struct redis_reply *keys;
    struct err err = {0};

    (void)snprintf(cursor, KEY_WALK_CURSOR_SIZE, "%s", KEY_WALK_START);
    OK(key_walk_step(f->redis, "pt:analytics:*", cursor, &keys, &err));
    assert_false(key_walk_is_over(cursor));
    return redis_reply_length(keys);
}

/* The table only grows meanwhile, so a walk meets each key exactly once. */
static void test_prune_walk_goes_on_where_the_last_run_ended(void **state)
{
    enum { KEYS = 3000 };
    struct redis_cache *f = *state;
    char key[64], cursor[KEY_WALK_CURSOR_SIZE], position[17];
    size_t seen;

    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "pt:analytics:%d", i);
        REDIS(f, "SET", key, "1");
    }
    seen = step_once(f, cursor);
    assert_in_range(seen, 1, KEYS - 1);
    hex64_format(strtoull(cursor, NULL, 10), position);
    REDIS(f, "SET", "pt:schedule:prune", position);
    assert_int_equal(run(f, NULL).keys_bounded, KEYS - seen);
    assert_int_equal(redis_cache_integer(f, "EXISTS", "pt:schedule:prune"), 0);
    assert_int_equal(run(f, NULL).keys_bounded, seen);
    assert_in_range(redis_cache_integer(f, "TTL", key), 3500, 3600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_prune_removes_consumers_with_nothing_pending, set_up,
                                        redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_prune_of_an_empty_redis_does_nothing, set_up, redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_prune_users_at_the_edge_of_the_window, set_up, redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_prune_stops_when_told, set_up, redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_prune_walk_goes_on_where_the_last_run_ended, set_up,
                                        redis_cache_tear_down),
    };

    return cmocka_run_group_tests_name("prune", tests, NULL, NULL);
}
