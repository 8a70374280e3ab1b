#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/store/job_stats.h"
#include "tests/support/assert_status.h"
#include "tests/support/redis_cache.h"

static int set_up(void **state)
{
    static char prefix[] = "st:";

    (void)redis_cache_set_up(state, &(const struct settings){.key_prefix = prefix, .cache_max_value = 100000});
    return 0;
}

static void add(struct redis_cache *f, const char *kind, enum job_outcome outcome, size_t n, int64_t took_ms)
{
    struct err err = {0};

    OK(job_stats_add(f->cache, f->redis, kind, outcome, n, took_ms, &err));
}

static struct job_stats read_kind(struct redis_cache *f, const char *kind)
{
    struct job_stats stats[JOB_STATS_KINDS];
    struct err err = {0};
    size_t i = 0;

    OK(job_stats_read(f->cache, f->redis, stats, &err));
    while (strcmp(job_stats_kinds[i], kind) != 0)
        i++;
    return stats[i];
}

static void test_job_stats_add_up_by_kind_and_outcome(void **state)
{
    struct redis_cache *f = *state;
    struct job_stats s = read_kind(f, "analytics");

    assert_true(s.done == 0 && s.failed == 0 && s.given_up == 0 && s.last_done_s == 0 && s.timed_ms == 0);
    clock_set_override((struct instant){1700000000 * US_PER_SECOND});
    add(f, "analytics", JOB_OUTCOME_DONE, 3, 40);
    add(f, "analytics", JOB_OUTCOME_DONE, 2, -1);
    add(f, "analytics", JOB_OUTCOME_FAILED, 1, -1);
    add(f, "analytics", JOB_OUTCOME_GIVEN_UP, 1, -1);
    s = read_kind(f, "analytics");
    assert_true(s.done == 5 && s.failed == 1 && s.given_up == 1);
    assert_true(s.last_done_s == 1700000000 && s.timed_ms == 120);
    assert_int_equal(read_kind(f, "erase").done, 0);
}

/* A bound belongs to its bucket. */
static void test_job_stats_put_durations_into_buckets(void **state)
{
    struct redis_cache *f = *state;
    struct job_stats s;

    for (size_t i = 0; i < JOB_STATS_BUCKETS; i++) {
        add(f, "warm", JOB_OUTCOME_DONE, 1, job_stats_bucket_ms[i]);
        add(f, "warm", JOB_OUTCOME_DONE, 1, job_stats_bucket_ms[i] + 1);
    }
    s = read_kind(f, "warm");
    assert_int_equal(s.buckets[0], 1);
    for (size_t i = 1; i < JOB_STATS_BUCKETS; i++)
        assert_int_equal(s.buckets[i], 2);
    assert_int_equal(s.buckets[JOB_STATS_BUCKETS], 1);
}

static void test_job_stats_of_foreign_kinds_and_fields_stay_bounded(void **state)
{
    struct redis_cache *f = *state;
    const struct redis_reply *reply;
    struct err err = {0};

    add(f, "nonsense", JOB_OUTCOME_GIVEN_UP, 1, -1);
    add(f, "more nonsense", JOB_OUTCOME_GIVEN_UP, 1, -1);
    assert_int_equal(read_kind(f, "other").given_up, 2);
    assert_int_equal(redis_cache_integer(f, "HLEN", "st:stats:jobs"), 1);
    OK(redis_command(f->redis, &reply, &err, "HSET", "st:stats:jobs", "erase:done", "-5", "warm:done", "many", NULL));
    assert_int_equal(read_kind(f, "erase").done, 0);
    assert_int_equal(read_kind(f, "warm").done, 0);
    OK(redis_command(f->redis, &reply, &err, "SET", "st:stats:jobs", "foreign", NULL));
    assert_int_equal(job_stats_add(f->cache, f->redis, "warm", JOB_OUTCOME_DONE, 1, 1, &err), STATUS_CONFLICT);
    assert_int_equal(job_stats_read(f->cache, f->redis, (struct job_stats[JOB_STATS_KINDS]){{0}}, &err),
                     STATUS_CONFLICT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_job_stats_add_up_by_kind_and_outcome, set_up, redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_job_stats_put_durations_into_buckets, set_up, redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_job_stats_of_foreign_kinds_and_fields_stay_bounded, set_up,
                                        redis_cache_tear_down),
    };

    return cmocka_run_group_tests_name("job_stats", tests, NULL, NULL);
}
