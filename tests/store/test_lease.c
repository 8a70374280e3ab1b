#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/store/lease.h"
#include "tests/support/assert_status.h"

static struct redis *redis;
static const char key[] = "lease-test";

static int set_up(void **state)
{
    const struct redis_reply *reply;
    struct err err = {0};

    (void)state;
    OK(redis_new(&(struct redis_options){.url = getenv("TEST_REDIS_URL"), .client_name = "test", .timeout_ms = 2000},
                 &redis, &err));
    OK(redis_command(redis, &reply, &err, "DEL", key, NULL));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    redis_free(&redis);
    return 0;
}

static struct lease make(int64_t ttl_ms)
{
    struct err err = {0};
    struct lease lease;

    OK(lease_init(&lease, key, ttl_ms, &err));
    return lease;
}

static int64_t ttl_left_ms(void)
{
    const struct redis_reply *reply;
    struct err err = {0};

    OK(redis_command(redis, &reply, &err, "PTTL", key, NULL));
    return redis_reply_integer(reply);
}

static void test_lease_has_one_holder_at_a_time(void **state)
{
    struct lease a = make(60000), b = make(60000);
    struct err err = {0};

    (void)state;
    assert_string_not_equal(a.token, b.token);
    OK(lease_take(&a, redis, &err));
    assert_int_equal(lease_take(&b, redis, &err), STATUS_CONFLICT);
    assert_non_null(strstr(err.text, key));
    assert_int_equal(lease_renew(&b, redis, &err), STATUS_CONFLICT);
    OK(lease_give_back(&b, redis, &err)); /* not b's: nothing happens */
    assert_int_equal(lease_take(&b, redis, &err), STATUS_CONFLICT);
    OK(lease_give_back(&a, redis, &err));
    OK(lease_take(&b, redis, &err));
    lease_release(&a);
    lease_release(&b);
}

static void test_lease_runs_out_unless_renewed(void **state)
{
    struct lease a = make(60000), longer;
    struct err err = {0};

    (void)state;
    OK(lease_take(&a, redis, &err));
    assert_in_range(ttl_left_ms(), 1, 60000);
    longer = a;
    longer.ttl_ms = 3600000;
    OK(lease_renew(&longer, redis, &err));
    assert_in_range(ttl_left_ms(), 60001, 3600000);
    lease_release(&a);
}

static void test_lease_that_is_gone_is_renewed_unless_somebody_else_took_it(void **state)
{
    struct lease a = make(60000), b = make(60000);
    const struct redis_reply *reply;
    struct err err = {0};

    (void)state;
    OK(lease_take(&a, redis, &err));
    OK(redis_command(redis, &reply, &err, "DEL", key, NULL));
    OK(lease_renew(&a, redis, &err));
    assert_in_range(ttl_left_ms(), 1, 60000);
    assert_int_equal(lease_take(&b, redis, &err), STATUS_CONFLICT);
    OK(redis_command(redis, &reply, &err, "DEL", key, NULL));
    OK(lease_take(&b, redis, &err));
    assert_int_equal(lease_renew(&a, redis, &err), STATUS_CONFLICT);
    OK(lease_renew(&b, redis, &err));
    lease_release(&a);
    lease_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lease_has_one_holder_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lease_runs_out_unless_renewed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lease_that_is_gone_is_renewed_unless_somebody_else_took_it, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
