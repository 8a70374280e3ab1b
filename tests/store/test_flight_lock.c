/* Against a real Redis (TEST_REDIS_URL). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/settings.h"
#include "lib/store/flight_lock.h"
#include "tests/support/assert_status.h"

#define KEY "t:doc:{u}:flight"
#define LOCK_KEY "t:lock:doc:{u}:flight"

static struct cache *cache;
static struct redis *redis;
static struct err err;

static int set_up(void **state)
{
    char prefix[] = "t:";
    struct settings settings = {.key_prefix = prefix, .cache_ttl_epoch_s = 3600, .cache_max_value = 100000};
    const struct redis_reply *reply;

    (void)state;
    OK(cache_new(&settings, &cache, &err));
    OK(redis_new(&(struct redis_options){.url = getenv("TEST_REDIS_URL"), .client_name = "test", .timeout_ms = 2000},
                 &redis, &err));
    OK(redis_command(redis, &reply, &err, "DEL", LOCK_KEY, NULL));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    redis_free(&redis);
    cache_free(&cache);
    return 0;
}

static bool is_held(const char *key)
{
    bool held[2];

    OK(flight_lock_look(cache, redis, 2, (const char *const[]){"t:another", key}, held, &err));
    assert_false(held[0]);
    return held[1];
}

static int64_t ttl_left_ms(void)
{
    const struct redis_reply *reply;

    OK(redis_command(redis, &reply, &err, "PTTL", LOCK_KEY, NULL));
    return redis_reply_integer(reply);
}

static void test_take_shuts_out_the_others_until_it_is_given_back(void **state)
{
    struct flight_lock ours, theirs;

    (void)state;
    flight_lock_init(&ours, 60000);
    flight_lock_init(&theirs, 60000);
    assert_false(is_held(KEY));
    OK(flight_lock_take(&ours, cache, redis, KEY, &err));
    assert_true(is_held(KEY));
    assert_true(ttl_left_ms() > 0 && ttl_left_ms() <= 60000);
    assert_int_equal(flight_lock_take(&theirs, cache, redis, KEY, &err), STATUS_CONFLICT);
    flight_lock_give_back(&theirs, redis); /* it has none: nothing happens */
    assert_true(is_held(KEY));
    flight_lock_give_back(&ours, redis);
    assert_false(is_held(KEY));
    OK(flight_lock_take(&theirs, cache, redis, KEY, &err));
    flight_lock_give_back(&ours, redis); /* it is somebody else's by now */
    assert_true(is_held(KEY));
    flight_lock_give_back(&theirs, redis);
    flight_lock_release(&ours);
    flight_lock_release(&theirs);
}

static void test_a_lock_that_ran_out_and_was_taken_by_another_is_not_given_back(void **state)
{
    struct flight_lock late, next;
    const struct redis_reply *reply;

    (void)state;
    flight_lock_init(&late, 60000);
    flight_lock_init(&next, 60000);
    OK(flight_lock_take(&late, cache, redis, KEY, &err));
    OK(redis_command(redis, &reply, &err, "DEL", LOCK_KEY, NULL)); /* as if its time had passed */
    OK(flight_lock_take(&next, cache, redis, KEY, &err));
    flight_lock_renew(&late, redis, clock_monotonic_ms() + 100000);
    flight_lock_give_back(&late, redis);
    assert_true(is_held(KEY));
    flight_lock_give_back(&next, redis);
    assert_false(is_held(KEY));
    flight_lock_release(&late);
    flight_lock_release(&next);
}

static void test_renew_waits_for_a_third_of_the_time_and_then_gives_all_of_it(void **state)
{
    struct flight_lock lock;
    const struct redis_reply *reply;

    (void)state;
    flight_lock_init(&lock, 60000);
    flight_lock_renew(&lock, redis, clock_monotonic_ms() + 30000); /* not held */
    assert_false(is_held(KEY));
    OK(flight_lock_take(&lock, cache, redis, KEY, &err));
    OK(redis_command(redis, &reply, &err, "PEXPIRE", LOCK_KEY, "5000", NULL));
    flight_lock_renew(&lock, redis, clock_monotonic_ms() + 10000);
    assert_true(ttl_left_ms() <= 5000);
    flight_lock_renew(&lock, redis, clock_monotonic_ms() + 30000);
    assert_true(ttl_left_ms() > 5000);
    flight_lock_release(&lock); /* held: it runs out by itself */
    OK(redis_command(redis, &reply, &err, "DEL", LOCK_KEY, NULL));
}

static void test_take_without_redis_is_no_conflict(void **state)
{
    struct redis *none = NULL;
    struct flight_lock lock;
    bool held;

    (void)state;
    OK(redis_new(&(struct redis_options){.url = "unix:///nonexistent/s", .client_name = "t", .timeout_ms = 100}, &none,
                 &err));
    flight_lock_init(&lock, 60000);
    assert_int_equal(flight_lock_take(&lock, cache, none, KEY, &err), STATUS_UNAVAILABLE);
    assert_int_equal(flight_lock_look(cache, none, 1, (const char *const[]){KEY}, &held, &err), STATUS_UNAVAILABLE);
    flight_lock_give_back(&lock, none);
    flight_lock_release(&lock);
    redis_free(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_take_shuts_out_the_others_until_it_is_given_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_lock_that_ran_out_and_was_taken_by_another_is_not_given_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_renew_waits_for_a_third_of_the_time_and_then_gives_all_of_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_take_without_redis_is_no_conflict, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
