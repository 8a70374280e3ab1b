#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/rate_limit.h"

#define S US_PER_SECOND
#define NOW (INT64_C(1767225600) * S) /* a whole minute */

static const struct rate_policy fixed = {RATE_FIXED, 10, 60 * S}, sliding = {RATE_SLIDING, 10, 60 * S},
                                bucket = {RATE_BUCKET, 10, 60 * S};

static void test_policy_parse_reads_the_three_algorithms_and_off(void **state)
{
    static const struct {
        const char *text;
        struct rate_policy expected;
    } cases[] = {
        {"off", {RATE_OFF, 0, 0}},
        {"fixed:1/1", {RATE_FIXED, 1, S}},
        {"sliding:600/60", {RATE_SLIDING, 600, 60 * S}},
        {"bucket:1000000/3600", {RATE_BUCKET, 1000000, 3600 * S}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rate_policy policy = {RATE_OFF, -1, -1};
        if (!rate_policy_parse(cases[i].text, &policy) || policy.algorithm != cases[i].expected.algorithm ||
            policy.limit != cases[i].expected.limit || policy.window_us != cases[i].expected.window_us)
            fail_msg("case %zu: %s", i, cases[i].text);
    }
}

static void test_policy_parse_refuses_everything_else(void **state)
{
    static const char *const texts[] = {"",
                                        "on",
                                        "OFF",
                                        "off ",
                                        "sliding",
                                        "sliding:",
                                        "sliding:/60",
                                        "sliding:6",
                                        "sliding:6/",
                                        "sliding:0/60",
                                        "fixed:-1/1",
                                        "fixed:6/0",
                                        "fixed:6/1s",
                                        "fixed: 6/1",
                                        "bucket:1000001/1",
                                        "bucket:1/3601",
                                        "token:5/1",
                                        "fixed:6/1/1",
                                        "xfixed:6/1",
                                        "fixed:6 /1"};
    struct rate_policy policy = {RATE_OFF, 7, 7};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (rate_policy_parse(texts[i], &policy))
            fail_msg("accepted: '%s'", texts[i]);
    assert_int_equal(policy.limit, 7);
}

static int64_t room_at(const struct rate_policy *policy, struct rate_state *state, int64_t now_us)
{
    rate_state_advance(policy, state, now_us);
    return rate_state_room(policy, state, now_us);
}

static void test_fixed_forgets_at_the_border_of_windows(void **state)
{
    struct rate_state s = {0, 0, 0};

    (void)state;
    assert_int_equal(room_at(&fixed, &s, NOW + 59 * S), 10);
    rate_state_add(&fixed, &s, 10);
    assert_int_equal(room_at(&fixed, &s, NOW + 60 * S - 1), 0);
    assert_int_equal(rate_state_wait_us(&fixed, &s, NOW + 60 * S - 1), 1);
    assert_int_equal(room_at(&fixed, &s, NOW + 60 * S), 10);
    assert_int_equal(rate_state_wait_us(&fixed, &s, NOW + 60 * S), 0);
}

/* Ten in the last window count for five in the middle of this one. */
static void test_sliding_weighs_the_window_before(void **state)
{
    struct rate_state s = {0, 0, 0};

    (void)state;
    assert_int_equal(room_at(&sliding, &s, NOW + 30 * S), 10);
    rate_state_add(&sliding, &s, 10);
    assert_int_equal(room_at(&sliding, &s, NOW + 60 * S), 0);
    assert_int_equal(room_at(&sliding, &s, NOW + 90 * S), 5);
    rate_state_add(&sliding, &s, 5);
    assert_int_equal(room_at(&sliding, &s, NOW + 90 * S), 0);
    assert_int_equal(room_at(&sliding, &s, NOW + 119 * S), 4);
    assert_int_equal(room_at(&sliding, &s, NOW + 240 * S), 10);
}

static void test_bucket_lets_a_burst_through_and_refills_evenly(void **state)
{
    struct rate_state s = {0, 0, 0};

    (void)state;
    assert_int_equal(room_at(&bucket, &s, NOW), 10);
    rate_state_add(&bucket, &s, 10);
    assert_int_equal(room_at(&bucket, &s, NOW + 6 * S - 1), 0);
    assert_int_equal(rate_state_wait_us(&bucket, &s, NOW + 6 * S - 1), 1);
    assert_int_equal(room_at(&bucket, &s, NOW + 6 * S), 1);
    assert_int_equal(room_at(&bucket, &s, NOW + 36 * S), 6);
    assert_int_equal(room_at(&bucket, &s, NOW + 3600 * S), 10);
}

static void test_a_clock_that_goes_back_gives_no_room(void **state)
{
    const struct rate_policy *policies[] = {&fixed, &sliding, &bucket};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct rate_state s = {0, 0, 0};
        assert_int_equal(room_at(policies[i], &s, NOW), 10);
        rate_state_add(policies[i], &s, 10);
        assert_int_equal(room_at(policies[i], &s, NOW - 3600 * S), 0);
        assert_true(rate_state_wait_us(policies[i], &s, NOW - 3600 * S) > 0);
    }
}

/* What the wait promises is exact: no room a microsecond before, room at its end, whatever was counted. */
static void test_after_the_wait_there_is_room_and_not_before(void **state)
{
    const struct rate_policy policies[] = {fixed, sliding, bucket, {RATE_SLIDING, 7, S}, {RATE_BUCKET, 7, S}};

    (void)state;
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++)
        for (int64_t first = 1; first <= 30; first++) {
            const struct rate_policy *p = &policies[i];
            struct rate_state s = {0, 0, 0}, before;
            int64_t now_us = NOW + 17 * p->window_us / 60;

            rate_state_advance(p, &s, now_us);
            rate_state_add(p, &s, first);
            now_us += p->window_us * 4 / 5;
            rate_state_advance(p, &s, now_us);
            rate_state_add(p, &s, 12);
            int64_t wait_us = rate_state_wait_us(p, &s, now_us);
            before = s;
            if (room_at(p, &before, now_us + wait_us - 1) >= 1 || room_at(p, &s, now_us + wait_us) < 1)
                fail_msg("policy %zu, %lld at first: waited %lld us", i, (long long)first, (long long)wait_us);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_parse_reads_the_three_algorithms_and_off),
        cmocka_unit_test(test_policy_parse_refuses_everything_else),
        cmocka_unit_test(test_fixed_forgets_at_the_border_of_windows),
        cmocka_unit_test(test_sliding_weighs_the_window_before),
        cmocka_unit_test(test_bucket_lets_a_burst_through_and_refills_evenly),
        cmocka_unit_test(test_a_clock_that_goes_back_gives_no_room),
        cmocka_unit_test(test_after_the_wait_there_is_room_and_not_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
