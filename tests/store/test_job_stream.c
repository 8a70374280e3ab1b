#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/settings.h"
#include "lib/store/job_stream.h"
#include "tests/support/assert_status.h"

struct fixture {
    struct cache *cache;
    struct redis *redis;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char prefix[] = "js:";
    struct settings settings = {.key_prefix = prefix, .cache_ttl_epoch_s = 3600, .cache_max_value = 100000};
    const struct redis_reply *reply;
    struct err err = {0};

    assert_non_null(f);
    OK(cache_new(&settings, &f->cache, &err));
    OK(redis_new(&(struct redis_options){.url = getenv("TEST_REDIS_URL"), .client_name = "test", .timeout_ms = 2000},
                 &f->redis, &err));
    OK(redis_command(f->redis, &reply, &err, "DEL", "js:jobs", "js:jobs:dead", "js:active:users", NULL));
    OK(job_stream_prepare(f->cache, f->redis, &err));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    redis_free(&f->redis);
    cache_free(&f->cache);
    free(f);
    return 0;
}

static size_t take(struct fixture *f, const char *consumer, int64_t idle_ms, struct job jobs[4])
{
    struct err err = {0};
    size_t n = 99;

    OK(job_stream_take(f->cache, f->redis, consumer, idle_ms, 1, jobs, 4, &n, &err));
    return n;
}

static void add(struct fixture *f, const char *user)
{
    struct err err = {0};

    OK(job_stream_add(f->cache, f->redis, "analytics", user, "a test", &err));
}

static void test_take_hands_out_each_job_once_until_finished(void **state)
{
    struct fixture *f = *state;
    struct job_stream_state s;
    struct job jobs[4], others[4];
    struct err err = {0};

    OK(job_stream_prepare(f->cache, f->redis, &err)); /* again: no harm */
    add(f, "a b");
    add(f, "u2");
    assert_int_equal(take(f, "one", 60000, jobs), 2);
    assert_string_equal(jobs[0].user_id, "a b");
    assert_string_equal(jobs[0].kind, "analytics");
    assert_string_equal(jobs[0].reason, "a test");
    assert_int_equal(jobs[0].attempts, 1);
    assert_int_equal(take(f, "two", 60000, others), 0);
    OK(job_stream_inspect(f->cache, f->redis, &s, &err));
    assert_true(s.depth == 2 && s.in_flight == 2 && s.dead == 0 && s.oldest_age_ms < 60000);
    OK(job_stream_finish(f->cache, f->redis, &jobs[0], &err));
    OK(job_stream_inspect(f->cache, f->redis, &s, &err));
    assert_true(s.depth == 1 && s.in_flight == 1);
}

static void test_take_claims_a_dead_workers_job_and_counts_attempts(void **state)
{
    struct fixture *f = *state;
    struct job jobs[4];

    add(f, "u");
    assert_int_equal(take(f, "dead", 60000, jobs), 1);
    for (int attempts = 2; attempts < 5; attempts++) {
        assert_int_equal(take(f, "alive", 0, jobs), 1);
        assert_int_equal(jobs[0].attempts, attempts);
    }
}

static void test_bury_moves_the_job_to_the_dead(void **state)
{
    struct fixture *f = *state;
    struct job_stream_state s;
    struct job jobs[4];
    struct err err = {0};

    add(f, "u");
    assert_int_equal(take(f, "one", 60000, jobs), 1);
    OK(job_stream_bury(f->cache, f->redis, &jobs[0], "division by zero", &err));
    OK(job_stream_inspect(f->cache, f->redis, &s, &err));
    assert_true(s.depth == 0 && s.in_flight == 0 && s.dead == 1 && s.oldest_age_ms == 0);
}

static void test_take_drops_what_is_no_job_and_what_was_trimmed(void **state)
{
    struct fixture *f = *state;
    const struct redis_reply *reply;
    struct job_stream_state s;
    struct job jobs[4];
    struct err err = {0};

    OK(redis_command(f->redis, &reply, &err, "XADD", "js:jobs", "*", "foo", "bar", NULL));
    OK(redis_command(f->redis, &reply, &err, "XADD", "js:jobs", "*", "kind", "k", "user", "\xff", NULL));
    add(f, "u");
    assert_int_equal(take(f, "one", 60000, jobs), 1);
    OK(redis_command(f->redis, &reply, &err, "XTRIM", "js:jobs", "MAXLEN", "0", NULL));
    assert_int_equal(take(f, "two", 0, jobs), 0);
    OK(job_stream_inspect(f->cache, f->redis, &s, &err));
    assert_true(s.depth == 0 && s.in_flight == 0);
}

static void test_take_after_a_flush_recreates_the_group(void **state)
{
    struct fixture *f = *state;
    const struct redis_reply *reply;
    struct job jobs[4];
    struct err err = {0};

    OK(redis_command(f->redis, &reply, &err, "DEL", "js:jobs", NULL));
    add(f, "u");
    assert_int_equal(take(f, "one", 60000, jobs), 1);
}

static void test_active_users_list_newest_first_within_the_window(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    char **ids;
    size_t n;

    for (int64_t i = 0; i < 3; i++) {
        clock_set_override((struct instant){(1000 + i * 100) * US_PER_SECOND});
        OK(active_users_touch(f->cache, f->redis, (const char *const[]){"a", "b b", "c"}[i], &err));
    }
    OK(active_users_list(f->cache, f->redis, 150, 10, &ids, &n, &err));
    clock_clear_override();
    assert_int_equal(n, 2);
    assert_string_equal(ids[0], "c");
    assert_string_equal(ids[1], "b b");
    free(ids[0]);
    free(ids[1]);
    free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_take_hands_out_each_job_once_until_finished, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_take_claims_a_dead_workers_job_and_counts_attempts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bury_moves_the_job_to_the_dead, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_take_drops_what_is_no_job_and_what_was_trimmed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_take_after_a_flush_recreates_the_group, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_active_users_list_newest_first_within_the_window, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
