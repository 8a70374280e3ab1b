#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/base/settings.h"
#include "lib/store/rate_limiter.h"
#include "tests/support/assert_status.h"
#include "tests/support/random_numbers.h"

#define S US_PER_SECOND

static struct settings *settings;
static struct cache *cache;
static struct redis *redis, *nowhere;
static struct instant now;
static int64_t wait_us;

static int set_up_all(void **state)
{
    struct err err = {0};

    (void)state;
    OK(settings_load(&settings, &err));
    OK(cache_new(settings, &cache, &err));
    OK(redis_new(&(struct redis_options){.url = getenv("TEST_REDIS_URL"), .client_name = "test", .timeout_ms = 2000},
                 &redis, &err));
    OK(redis_new(&(struct redis_options){.url = "unix:///nowhere", .client_name = "test", .timeout_ms = 200}, &nowhere,
                 &err));
    return 0;
}

static int tear_down_all(void **state)
{
    (void)state;
    redis_free(&nowhere);
    redis_free(&redis);
    cache_free(&cache);
    settings_free(&settings);
    return 0;
}

static int set_up(void **state)
{
    const struct redis_reply *reply;
    struct err err = {0};

    (void)state;
    OK(redis_command(redis, &reply, &err, "FLUSHALL", NULL));
    now.us = INT64_C(1767225600) * S;
    return 0;
}

static struct rate_limiter *make(enum rate_algorithm algorithm, int64_t limit, int64_t window_s)
{
    const struct rate_policy policy = {algorithm, limit, window_s * S};
    struct rate_limiter *l = NULL;
    struct err err = {0};

    OK(rate_limiter_new(&policy, "test", cache, &l, &err));
    return l;
}

static int64_t take_many(struct rate_limiter *l, const char *subject, int64_t n)
{
    int64_t taken = 0;

    for (int64_t i = 0; i < n; i++)
        taken += rate_limiter_take(l, subject, now, &wait_us);
    return taken;
}

static void settle(struct rate_limiter *l)
{
    struct err err = {0};

    OK(rate_limiter_settle(l, redis, &err));
}

static void test_one_process_counts_each_subject_by_itself(void **state)
{
    struct rate_limiter *l = make(RATE_FIXED, 5, 60);

    (void)state;
    assert_int_equal(take_many(l, "ann", 8), 5);
    assert_int_equal(wait_us, 60 * S);
    assert_int_equal(take_many(l, "bob", 3), 3);
    now.us += 60 * S;
    assert_int_equal(take_many(l, "ann", 8), 5);
    rate_limiter_free(&l);
}

static void test_a_policy_that_is_off_lets_everything_through(void **state)
{
    struct rate_limiter *l = make(RATE_OFF, 0, 1);

    (void)state;
    assert_null(l);
    assert_int_equal(take_many(l, "ann", 100), 100);
    assert_int_equal(rate_limiter_confirm(l, redis, "ann", 3, now, &wait_us), 3);
    settle(l);
    rate_limiter_free(&l);
}

static void test_two_processes_settle_with_each_other(void **state)
{
    static const enum rate_algorithm algorithms[] = {RATE_FIXED, RATE_SLIDING, RATE_BUCKET};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct rate_limiter *a = make(algorithms[i], 10, 60), *b = make(algorithms[i], 10, 60);
        set_up(NULL);
        assert_int_equal(take_many(a, "ann", 7), 7);
        settle(a);
        assert_int_equal(take_many(b, "ann", 1), 1); /* does not know yet */
        settle(b);
        assert_int_equal(take_many(b, "ann", 9), 2);
        settle(b);
        settle(a); /* has nothing to tell, so asks nothing */
        assert_int_equal(take_many(a, "ann", 1), 1);
        settle(a);
        assert_int_equal(take_many(a, "ann", 9), 0);
        rate_limiter_free(&a);
        rate_limiter_free(&b);
    }
}

static void test_confirm_is_exact_over_processes(void **state)
{
    struct rate_limiter *a = make(RATE_SLIDING, 10, 60), *b = make(RATE_SLIDING, 10, 60);

    (void)state;
    assert_int_equal(take_many(a, "ann", 8), 8);
    assert_int_equal(take_many(b, "ann", 8), 8);
    assert_int_equal(rate_limiter_confirm(a, redis, "ann", 8, now, &wait_us), 8);
    wait_us = 0;
    assert_int_equal(rate_limiter_confirm(b, redis, "ann", 8, now, &wait_us), 2);
    assert_int_equal(wait_us, 66 * S); /* the next window, and a tenth of it: then the ten weigh nine */
    assert_int_equal(take_many(b, "ann", 1), 0);
    rate_limiter_free(&a);
    rate_limiter_free(&b);
}

/* The second's settling may come between taking and confirming: nothing is counted twice. */
static void test_confirm_after_settle_counts_once(void **state)
{
    struct rate_limiter *l = make(RATE_FIXED, 10, 60);

    (void)state;
    assert_int_equal(take_many(l, "ann", 6), 6);
    settle(l);
    assert_int_equal(rate_limiter_confirm(l, redis, "ann", 6, now, &wait_us), 6);
    assert_int_equal(take_many(l, "ann", 9), 4);
    rate_limiter_free(&l);
}

static void test_without_redis_the_limit_holds_in_the_process(void **state)
{
    struct rate_limiter *l = make(RATE_BUCKET, 10, 60);
    struct err err = {0};

    (void)state;
    assert_int_equal(take_many(l, "ann", 7), 7);
    assert_int_not_equal(rate_limiter_settle(l, nowhere, &err), STATUS_OK);
    assert_int_equal(rate_limiter_confirm(l, NULL, "ann", 1, now, &wait_us), 1);
    assert_int_equal(take_many(l, "ann", 7), 3);
    assert_int_equal(rate_limiter_confirm(l, nowhere, "ann", 3, now, &wait_us), 3);
    assert_int_equal(take_many(l, "ann", 7), 0);
    rate_limiter_free(&l);
}

static void test_a_foreign_value_under_the_key_is_replaced(void **state)
{
    const struct redis_reply *reply;
    struct rate_limiter *l = make(RATE_FIXED, 10, 60);
    struct err err = {0};

    (void)state;
    OK(redis_command(redis, &reply, &err, "SET", "ratelimit:test:ann", "nonsense", NULL));
    assert_int_equal(take_many(l, "ann", 4), 4);
    settle(l);
    OK(redis_command(redis, &reply, &err, "PTTL", "ratelimit:test:ann", NULL));
    assert_in_range(redis_reply_integer(reply), 1, 120000);
    assert_int_equal(take_many(l, "ann", 9), 6);
    rate_limiter_free(&l);
}

/* More subjects than there is room for: none is refused for another's sake, and memory does not grow. */
static void test_many_subjects_replace_the_quiet_ones(void **state)
{
    struct rate_limiter *l = make(RATE_FIXED, 2, 3600);
    char subject[32];

    (void)state;
    for (int i = 0; i < 10 * RATE_LIMITER_SUBJECTS; i++) {
        (void)snprintf(subject, sizeof subject, "user-%d", i);
        now.us++;
        assert_int_equal(take_many(l, subject, 3), 2);
    }
    assert_int_equal(take_many(l, subject, 1), 0); /* the last is still known */
    settle(l);
    rate_limiter_free(&l);
}

/* The script in Redis and rate_state_*() decide alike, whatever comes when. */
static void test_script_agrees_with_the_arithmetic(void **state)
{
    const struct rate_policy policies[] = {
        {RATE_FIXED, 13, 7 * S}, {RATE_SLIDING, 13, 7 * S}, {RATE_BUCKET, 13, 7 * S}, {RATE_BUCKET, 1000000, 3600 * S}};

    (void)state;
    random_state = 20260105;
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        const struct rate_policy *p = &policies[i];
        struct rate_limiter *l = make(p->algorithm, p->limit, p->window_us / S);
        struct rate_state model = {0, 0, 0};
        set_up(NULL);
        for (int step = 0; step < 400; step++) {
            int64_t n = 1 + below(4), taken;
            now.us += below(4) ? below(p->window_us / 3) : below(3 * p->window_us);
            rate_state_advance(p, &model, now.us);
            int64_t room = rate_state_room(p, &model, now.us), expected = room < 0 ? 0 : room < n ? room : n;
            /* A process that knows nothing asks Redis about everything. */
            rate_limiter_free(&l);
            l = make(p->algorithm, p->limit, p->window_us / S);
            taken = take_many(l, "ann", n);
            int64_t admitted = (int64_t)rate_limiter_confirm(l, redis, "ann", (size_t)taken, now, &wait_us);
            if (taken != n || admitted != expected)
                fail_msg("policy %zu, step %d: %lld admitted, not %lld", i, step, (long long)admitted,
                         (long long)expected);
            if (admitted < n && wait_us != rate_state_wait_us(p, (rate_state_add(p, &model, admitted), &model), now.us))
                fail_msg("policy %zu, step %d: wait", i, step);
            if (admitted == n)
                rate_state_add(p, &model, admitted);
        }
        rate_limiter_free(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_one_process_counts_each_subject_by_itself, set_up),
        cmocka_unit_test_setup(test_a_policy_that_is_off_lets_everything_through, set_up),
        cmocka_unit_test_setup(test_two_processes_settle_with_each_other, set_up),
        cmocka_unit_test_setup(test_confirm_is_exact_over_processes, set_up),
        cmocka_unit_test_setup(test_confirm_after_settle_counts_once, set_up),
        cmocka_unit_test_setup(test_without_redis_the_limit_holds_in_the_process, set_up),
        cmocka_unit_test_setup(test_a_foreign_value_under_the_key_is_replaced, set_up),
        cmocka_unit_test_setup(test_many_subjects_replace_the_quiet_ones, set_up),
        cmocka_unit_test_setup(test_script_agrees_with_the_arithmetic, set_up),
    };
    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
