#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/prune.h"
#include "tests/support/assert_status.h"
#include "tests/support/redis_cache.h"

struct fixture {
    struct settings settings;
    struct cache *cache;
    struct redis *redis;
};

static char prefix[] = "pt:";

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->settings = (struct settings){.key_prefix = prefix,
                                    .cache_ttl_epoch_s = 3600,
                                    .cache_max_value = 100000,
                                    .active_window_s = 1000,
                                    .dead_letter_age_s = 1000};
    redis_cache_open(&f->settings, &f->cache, &f->redis);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    redis_cache_close(&f->cache, &f->redis);
    free(f);
    return 0;
}

/* Words up to a NULL, as one command. */
#define REDIS(f, ...)                                                                                                  \
    do {                                                                                                               \
        const struct redis_reply *ignored;                                                                             \
        struct err err = {0};                                                                                          \
        OK(redis_command((f)->redis, &ignored, &err, __VA_ARGS__, NULL));                                              \
    } while (0)

static int64_t integer(struct fixture *f, const char *command, const char *key)
{
    const struct redis_reply *reply;
    struct err err = {0};

    OK(redis_command(f->redis, &reply, &err, command, key, NULL));
    return redis_reply_integer(reply);
}

static struct prune_counts run(struct fixture *f, const atomic_bool *stop)
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
    struct fixture *f = *state;

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
    struct fixture *f = *state;
    struct prune_counts counts = run(f, NULL);

    assert_int_equal(counts.users + counts.dead_letters + counts.consumers + counts.keys_seen, 0);
    assert_int_equal(integer(f, "EXISTS", "pt:jobs"), 0);
}

/* The boundary is exact: one second more than the window goes. */
static void test_prune_users_at_the_edge_of_the_window(void **state)
{
    struct fixture *f = *state;

    clock_set_override((struct instant){2000 * US_PER_SECOND});
    REDIS(f, "ZADD", "pt:active:users", "999", "out", "1000", "edge", "1001", "in");
    assert_int_equal(run(f, NULL).users, 1);
    clock_clear_override();
    assert_int_equal(integer(f, "ZCARD", "pt:active:users"), 2);
}

static void test_prune_stops_when_told(void **state)
{
    struct fixture *f = *state;
    const atomic_bool stop = true;

    REDIS(f, "ZADD", "pt:active:users", "1", "old");
    assert_int_equal(run(f, &stop).users, 0);
    assert_int_equal(run(f, NULL).users, 1);
}

static void test_prune_walk_goes_on_where_the_last_run_ended(void **state)
{
    struct fixture *f = *state;

    REDIS(f, "SET", "pt:analytics:x", "1");
    REDIS(f, "SET", "pt:schedule:prune", "00000000ffffffff"); /* at the end of any small table */
    assert_int_equal(run(f, NULL).keys_bounded, 0);
    assert_int_equal(integer(f, "EXISTS", "pt:schedule:prune"), 0);
    assert_int_equal(run(f, NULL).keys_bounded, 1);
    assert_in_range(integer(f, "TTL", "pt:analytics:x"), 3500, 3600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_prune_removes_consumers_with_nothing_pending, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_prune_of_an_empty_redis_does_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_prune_users_at_the_edge_of_the_window, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_prune_stops_when_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_prune_walk_goes_on_where_the_last_run_ended, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("prune", tests, NULL, NULL);
}
