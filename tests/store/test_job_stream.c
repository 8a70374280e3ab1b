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
#include "tests/support/redis_cache.h"

static int set_up(void **state)
{
    static char prefix[] = "js:";
    const struct settings settings = {.key_prefix = prefix, .cache_ttl_epoch_s = 3600, .cache_max_value = 100000};
    struct redis_cache *f = redis_cache_set_up(state, &settings);
    struct err err = {0};

    OK(job_stream_prepare(f->cache, f->redis, &err));
    return 0;
}

static size_t take(struct redis_cache *f, const char *consumer, int64_t idle_ms, struct job jobs[4])
{
    struct err err = {0};
    size_t n = 99;

    OK(job_stream_take(f->cache, f->redis, consumer, idle_ms, 1, jobs, 4, &n, &err));
    return n;
}

static void add(struct redis_cache *f, const char *user)
{
    struct err err = {0};

    OK(job_stream_add(f->cache, f->redis, "analytics", user, "a test", &err));
}

static void finish(struct redis_cache *f, const struct job *job)
{
    struct err err = {0};

    OK(job_stream_finish(f->cache, f->redis, &job, 1, &err));
}

static struct job_stream_state inspect(struct redis_cache *f)
{
    struct job_stream_state s;
    struct err err = {0};

    OK(job_stream_inspect(f->cache, f->redis, &s, &err));
    return s;
}

static void test_take_hands_out_each_job_once_until_finished(void **state)
{
    struct redis_cache *f = *state;
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
    assert_true(jobs[0].attempts == 0 && jobs[0].deliveries == 1);
    assert_int_equal(take(f, "two", 60000, others), 0);
    OK(job_stream_inspect(f->cache, f->redis, &s, &err));
    assert_true(s.depth == 2 && s.in_flight == 2 && s.dead == 0 && s.oldest_age_ms < 60000);
    finish(f, &jobs[0]);
    OK(job_stream_inspect(f->cache, f->redis, &s, &err));
    assert_true(s.depth == 1 && s.in_flight == 1);
}

static void test_take_claims_a_dead_workers_job_which_is_no_attempt(void **state)
{
    struct redis_cache *f = *state;
    struct job jobs[4];

    add(f, "u");
    assert_int_equal(take(f, "dead", 60000, jobs), 1);
    assert_int_equal(take(f, "alive", -1, jobs), 0);
    for (int deliveries = 2; deliveries < 5; deliveries++) {
        assert_int_equal(take(f, "alive", 0, jobs), 1);
        assert_true(jobs[0].attempts == 0 && jobs[0].deliveries == deliveries);
    }
}

static void test_put_back_keeps_attempts_and_age(void **state)
{
    struct redis_cache *f = *state;
    struct job jobs[4];
    struct err err = {0};

    add(f, "u");
    assert_int_equal(take(f, "one", 60000, jobs), 1);
    jobs[0].attempts = 3;
    jobs[0].born_ms = 12345;
    OK(job_stream_put_back(f->cache, f->redis, &jobs[0], &err));
    assert_true(inspect(f).depth == 1 && inspect(f).in_flight == 0);
    assert_int_equal(take(f, "two", 60000, jobs), 1);
    assert_true(jobs[0].attempts == 3 && jobs[0].born_ms == 12345 && jobs[0].deliveries == 1);
    assert_string_equal(jobs[0].reason, "a test");
}

static void test_failed_job_comes_again_when_due_and_not_before(void **state)
{
    struct redis_cache *f = *state;
    struct job_stream_state s;
    struct job jobs[4];
    struct err err = {0};
    int64_t next_ms;

    add(f, "a b");
    assert_int_equal(take(f, "one", 60000, jobs), 1);
    jobs[0].attempts = 2;
    OK(job_stream_retry_later(f->cache, f->redis, &jobs[0], "two\nlines", 5000, &err));
    s = inspect(f);
    assert_true(s.depth == 1 && s.in_flight == 0 && s.retrying == 1);
    OK(job_stream_resume(f->cache, f->redis, 4999, &next_ms, &err));
    assert_int_equal(next_ms, 5000);
    assert_int_equal(take(f, "two", 60000, jobs), 0);
    OK(job_stream_resume(f->cache, f->redis, 5000, &next_ms, &err));
    assert_int_equal(take(f, "two", 60000, jobs), 1);
    assert_string_equal(jobs[0].user_id, "a b");
    assert_string_equal(jobs[0].reason, "a test");
    assert_int_equal(jobs[0].attempts, 2);
    OK(job_stream_resume(f->cache, f->redis, INT64_MAX / 2, &next_ms, &err));
    assert_true(next_ms == INT64_MAX);
    assert_int_equal(take(f, "two", 60000, jobs), 0);
}

static void test_kept_job_is_not_claimed(void **state)
{
    struct redis_cache *f = *state;
    struct job jobs[4], others[4];
    const struct job *kept = &jobs[0];
    const struct redis_reply *reply;
    struct err err = {0};

    add(f, "u");
    assert_int_equal(take(f, "slow", 60000, jobs), 1);
    /* Idle for a minute, by Redis's own account. */
    OK(redis_command(f->redis, &reply, &err, "XCLAIM", "js:jobs", "workers", "slow", "0", jobs[0].id, "IDLE", "60000",
                     "JUSTID", NULL));
    OK(job_stream_keep(f->cache, f->redis, "slow", &kept, 1, &err));
    assert_int_equal(take(f, "other", 30000, others), 0);
    assert_int_equal(take(f, "other", 0, others), 1);
    assert_int_equal(others[0].deliveries, 2);
}

static void test_leaving_forgets_a_consumer_without_jobs_only(void **state)
{
    struct redis_cache *f = *state;
    const struct redis_reply *reply;
    struct job jobs[4];
    struct err err = {0};

    add(f, "u");
    assert_int_equal(take(f, "one", 60000, jobs), 1);
    OK(job_stream_leave(f->cache, f->redis, "one", &err));
    assert_int_equal(inspect(f).in_flight, 1);
    finish(f, &jobs[0]);
    OK(job_stream_leave(f->cache, f->redis, "one", &err));
    OK(redis_command(f->redis, &reply, &err, "XINFO", "CONSUMERS", "js:jobs", "workers", NULL));
    assert_int_equal(redis_reply_length(reply), 0);
}

static void keep_letter(void *context, const struct job_entry *entry)
{
    *(struct job_entry *)context = *entry;
}

static struct job_entry bury_one(struct redis_cache *f)
{
    struct job_entry letter = {.dead_id = ""};
    struct job jobs[4];
    struct err err = {0};

    add(f, "u");
    assert_int_equal(take(f, "one", 60000, jobs), 1);
    jobs[0].attempts = 5;
    OK(job_stream_bury(f->cache, f->redis, &jobs[0], "division by zero", &err));
    OK(job_stream_visit(f->cache, f->redis, true, keep_letter, &letter, &err));
    return letter;
}

static void test_bury_moves_the_job_to_the_dead(void **state)
{
    struct redis_cache *f = *state;
    struct job_entry letter = bury_one(f);
    struct job_stream_state s = inspect(f);

    assert_true(s.depth == 0 && s.in_flight == 0 && s.dead == 1 && s.oldest_age_ms == 0);
    assert_int_equal(letter.place, JOB_DEAD);
    assert_string_equal(letter.job.user_id, "u");
    assert_int_equal(letter.job.attempts, 5);
    assert_string_equal(letter.error, "division by zero");
}

static void test_retried_letter_starts_with_no_attempt(void **state)
{
    struct redis_cache *f = *state;
    struct job_entry letter = bury_one(f);
    struct job jobs[4];
    struct err err = {0};

    OK(job_dead_retry(f->cache, f->redis, letter.dead_id, &err));
    assert_true(inspect(f).dead == 0);
    assert_int_equal(take(f, "one", 60000, jobs), 1);
    assert_int_equal(jobs[0].attempts, 0);
    assert_int_equal(job_dead_retry(f->cache, f->redis, letter.dead_id, &err), STATUS_NOT_FOUND);
    assert_int_equal(job_dead_retry(f->cache, f->redis, "tomorrow", &err), STATUS_INVALID);
}

static void test_dropped_letter_is_gone_and_a_foreign_entry_too(void **state)
{
    struct redis_cache *f = *state;
    struct job_entry letter = bury_one(f);
    const struct redis_reply *reply;
    struct err err = {0};

    OK(redis_command(f->redis, &reply, &err, "XADD", "js:jobs:dead", "9999999999999-0", "foo", "bar", NULL));
    assert_int_equal(job_dead_retry(f->cache, f->redis, "9999999999999-0", &err), STATUS_INTERNAL);
    OK(job_dead_drop(f->cache, f->redis, "9999999999999-0", &err));
    assert_int_equal(inspect(f).dead, 1);
    OK(job_dead_drop(f->cache, f->redis, letter.dead_id, &err));
    assert_int_equal(inspect(f).dead, 0);
    assert_int_equal(job_dead_drop(f->cache, f->redis, letter.dead_id, &err), STATUS_NOT_FOUND);
}

static void test_inspect_counts_kinds_beyond_one_step(void **state)
{
    struct redis_cache *f = *state;
    struct job_stream_state s;
    struct job jobs[4];
    struct err err = {0};

    for (int i = 0; i < 1200; i++)
        OK(job_stream_add(f->cache, f->redis, i % 3 == 0 ? "erase" : "analytics", "u", "a test", &err));
    assert_int_equal(take(f, "one", 60000, jobs), 4);
    s = inspect(f);
    assert_true(s.depth == 1200 && s.in_flight == 4 && s.n_kinds == 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(s.kinds[i].jobs, strcmp(s.kinds[i].name, "erase") == 0 ? 400 : 800);
}

static struct job_stream_state measure(struct redis_cache *f)
{
    struct job_stream_state s;
    struct err err = {0};

    OK(job_stream_measure(f->cache, f->redis, &s, &err));
    return s;
}

static void test_measure_tells_what_inspect_does_without_reading_the_queue(void **state)
{
    struct redis_cache *f = *state;
    const struct redis_reply *reply;
    struct job_stream_state s, all;
    struct err err = {0};
    struct job jobs[4];
    const char *text;
    size_t len;

    s = measure(f);
    assert_true(s.depth == 0 && s.in_flight == 0 && s.retrying == 0 && s.dead == 0 && s.oldest_age_ms == 0);
    for (int i = 0; i < 1200; i++)
        add(f, "u");
    assert_int_equal(take(f, "one", 60000, jobs), 4);
    jobs[0].attempts = 1;
    jobs[0].born_ms -= 5000;
    OK(job_stream_retry_later(f->cache, f->redis, &jobs[0], "it broke", INT64_MAX / 2, &err));
    OK(job_stream_bury(f->cache, f->redis, &jobs[1], "it broke", &err));
    OK(redis_command(f->redis, &reply, &err, "CONFIG", "RESETSTAT", NULL));
    s = measure(f);
    OK(redis_command(f->redis, &reply, &err, "INFO", "commandstats", NULL));
    text = redis_reply_bytes(reply, &len);
    assert_non_null(memmem(text, len, "cmdstat_xrange:calls=1,", 23));
    all = inspect(f);
    assert_true(s.depth == all.depth && s.depth == 1199);
    assert_true(s.in_flight == all.in_flight && s.in_flight == 2);
    assert_true(s.retrying == all.retrying && s.retrying == 1);
    assert_true(s.dead == all.dead && s.dead == 1);
    assert_in_range(s.oldest_age_ms, 5000, all.oldest_age_ms);
}

static void test_measure_of_a_queue_that_nobody_prepared(void **state)
{
    struct redis_cache *f = *state;
    const struct redis_reply *reply;
    struct err err = {0};

    OK(redis_command(f->redis, &reply, &err, "FLUSHALL", NULL));
    assert_int_equal(measure(f).depth, 0);
    add(f, "u");
    assert_true(measure(f).depth == 1 && measure(f).in_flight == 0);
    OK(redis_command(f->redis, &reply, &err, "SET", "js:jobs:dead", "foreign", NULL));
    assert_int_equal(job_stream_measure(f->cache, f->redis, &(struct job_stream_state){0}, &err), STATUS_CONFLICT);
}

static void test_drop_consumers_takes_the_silent_ones_without_jobs(void **state)
{
    struct redis_cache *f = *state;
    struct err err = {0};
    struct job jobs[4];
    int64_t n;

    add(f, "u");
    assert_int_equal(take(f, "gone", 60000, jobs), 1);
    finish(f, &jobs[0]);
    add(f, "u");
    assert_int_equal(take(f, "at work", 60000, jobs), 1);
    OK(job_stream_drop_consumers(f->cache, f->redis, 3600000, &n, &err));
    assert_int_equal(n, 0);
    OK(job_stream_drop_consumers(f->cache, f->redis, 0, &n, &err));
    assert_int_equal(n, 1);
    assert_int_equal(inspect(f).in_flight, 1);
    add(f, "u2");
    assert_int_equal(take(f, "gone", 60000, jobs), 1); /* it lived: it is made again */
}

static void test_other_type_under_the_key_is_named(void **state)
{
    struct redis_cache *f = *state;
    const struct redis_reply *reply;
    struct err err = {0};

    OK(redis_command(f->redis, &reply, &err, "DEL", "js:jobs", NULL));
    OK(redis_command(f->redis, &reply, &err, "SET", "js:jobs", "mine", NULL));
    assert_int_equal(job_stream_prepare(f->cache, f->redis, &err), STATUS_INTERNAL);
    assert_non_null(strstr(err.text, "js:jobs"));
}

static void test_take_drops_what_is_no_job_and_what_was_trimmed(void **state)
{
    struct redis_cache *f = *state;
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
    struct redis_cache *f = *state;
    const struct redis_reply *reply;
    struct job jobs[4];
    struct err err = {0};

    OK(redis_command(f->redis, &reply, &err, "DEL", "js:jobs", NULL));
    add(f, "u");
    assert_int_equal(take(f, "one", 60000, jobs), 1);
}

static void test_active_users_list_newest_first_within_the_window(void **state)
{
    struct redis_cache *f = *state;
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, redis_cache_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_take_hands_out_each_job_once_until_finished),
        TEST(test_take_claims_a_dead_workers_job_which_is_no_attempt),
        TEST(test_put_back_keeps_attempts_and_age),
        TEST(test_failed_job_comes_again_when_due_and_not_before),
        TEST(test_kept_job_is_not_claimed),
        TEST(test_leaving_forgets_a_consumer_without_jobs_only),
        TEST(test_bury_moves_the_job_to_the_dead),
        TEST(test_retried_letter_starts_with_no_attempt),
        TEST(test_dropped_letter_is_gone_and_a_foreign_entry_too),
        TEST(test_inspect_counts_kinds_beyond_one_step),
        TEST(test_measure_tells_what_inspect_does_without_reading_the_queue),
        TEST(test_measure_of_a_queue_that_nobody_prepared),
        TEST(test_drop_consumers_takes_the_silent_ones_without_jobs),
        TEST(test_other_type_under_the_key_is_named),
        TEST(test_take_drops_what_is_no_job_and_what_was_trimmed),
        TEST(test_take_after_a_flush_recreates_the_group),
        TEST(test_active_users_list_newest_first_within_the_window),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
