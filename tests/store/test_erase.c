/* Erasing a user from a real Redis (TEST_REDIS_URL), and what else remembers webhooks there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/erase.h"
#include "lib/base/settings.h"
#include "lib/store/job_stream.h"
#include "lib/store/seen.h"
#include "tests/support/assert_status.h"
#include "tests/support/redis_cache.h"

static struct err err;

static int set_up(void **state)
{
    static char prefix[] = "er.ase:";
    const struct settings settings = {.key_prefix = prefix, .cache_ttl_epoch_s = 3600, .cache_max_value = 100000};
    struct redis_cache *f = redis_cache_set_up(state, &settings);
    const struct redis_reply *reply;

    OK(redis_command(f->redis, &reply, &err, "CONFIG", "SET", "maxmemory-policy", "noeviction", NULL));
    OK(job_stream_prepare(f->cache, f->redis, &err));
    return 0;
}

static int64_t number(struct redis_cache *f, const char *a, const char *b, const char *c)
{
    const struct redis_reply *reply;

    OK(redis_command(f->redis, &reply, &err, a, b, c, NULL));
    return redis_reply_integer(reply);
}

static void put(struct redis_cache *f, const char *key)
{
    const struct redis_reply *reply;

    OK(redis_command(f->redis, &reply, &err, "SET", key, "x", NULL));
}

static void erase(struct redis_cache *f, const char *user_id, size_t expected_keys)
{
    static const struct cache_tags stocks = {1, {{"stocks", false}}};
    struct cache_invalidation one = {.user_id = user_id, .tags = &stocks, .erased = true};
    size_t n = 99;

    OK(cache_invalidate_many(f->cache, f->redis, &one, 1, &err));
    OK(erase_user(f->cache, f->redis, user_id, NULL, NULL, &n, &err));
    assert_int_equal(n, expected_keys);
}

static void test_erase_takes_every_key_of_the_user_and_no_other(void **state)
{
    static const char *const anns[] = {"er.ase:analytics:stocks:{ann}:7d", "er.ase:user:{ann}:notes:all",
                                       "er.ase:epoch:{ann}", "er.ase:data:x:{ann}:00"};
    static const char *const others[] = {
        "er.ase:epoch:{anna}",     "er.ase:epoch:{Ann}", "er.ase:analytics:stocks:{bob}:ann",
        "erxase:user:{ann}:notes", "er.ase:ann",         "er.ase:epoch:shared"};
    struct redis_cache *f = *state;

    for (size_t i = 0; i < sizeof anns / sizeof anns[0]; i++)
        put(f, anns[i]);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        put(f, others[i]);
    (void)number(f, "DEL", "er.ase:epoch:{ann}", NULL); /* a hash, when it is ours */
    erase(f, "ann", 3);
    for (size_t i = 0; i < sizeof anns / sizeof anns[0]; i++)
        assert_int_equal(number(f, "EXISTS", anns[i], NULL), 0);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(number(f, "EXISTS", others[i], NULL), 1);
    assert_int_equal(number(f, "EXISTS", "er.ase:erased:{ann}", NULL), 1);
    erase(f, "ann", 0); /* again is harmless */
}

/* What SCAN's patterns give a meaning to is encoded in keys. */
static void test_erase_takes_an_id_literally(void **state)
{
    struct redis_cache *f = *state;

    put(f, "er.ase:x:{a%2A}");
    put(f, "er.ase:x:{ab}");
    put(f, "er.ase:x:{%5Ba-z%5D}");
    put(f, "er.ase:x:{b}");
    erase(f, "a*", 1);
    erase(f, "[a-z]", 1);
    assert_int_equal(number(f, "EXISTS", "er.ase:x:{ab}", NULL), 1);
    assert_int_equal(number(f, "EXISTS", "er.ase:x:{b}", NULL), 1);
}

static void test_erase_walks_a_large_key_space_to_its_end(void **state)
{
    struct redis_cache *f = *state;
    char key[64];

    for (int i = 0; i < 5000; i++) {
        (void)snprintf(key, sizeof key, "er.ase:doc:{%s}:%d", i % 2 ? "ann" : "bob", i);
        redis_append_words(f->redis, "SET", key, "x", NULL);
    }
    OK(redis_flush(f->redis, &err));
    erase(f, "ann", 2500);
    assert_int_equal(number(f, "EXISTS", "er.ase:doc:{bob}:4998", NULL), 1);
}

static bool say_no(void *context)
{
    (void)context;
    return false;
}

static void test_erase_stops_when_told(void **state)
{
    struct redis_cache *f = *state;
    char key[64];
    size_t n;

    for (int i = 0; i < 5000; i++) {
        (void)snprintf(key, sizeof key, "er.ase:doc:{ann}:%d", i);
        redis_append_words(f->redis, "SET", key, "x", NULL);
    }
    OK(redis_flush(f->redis, &err));
    assert_int_equal(erase_user(f->cache, f->redis, "ann", say_no, NULL, &n, &err), STATUS_UNAVAILABLE);
}

static void test_erase_takes_the_user_out_of_queue_and_active_users(void **state)
{
    struct redis_cache *f = *state;
    struct job jobs[4];
    size_t n;

    OK(job_stream_add(f->cache, f->redis, "analytics", "bob", "a test", &err));
    OK(job_stream_add(f->cache, f->redis, "analytics", "ann", "a test", &err));
    OK(job_stream_take(f->cache, f->redis, "c", 1000, 1, jobs, 4, &n, &err));
    assert_int_equal(n, 2);
    OK(job_stream_bury(f->cache, f->redis, &jobs[1], "broken", &err));
    OK(job_stream_retry_later(f->cache, f->redis, &jobs[0], "broken", INT64_MAX / 4096, &err));
    OK(job_stream_add(f->cache, f->redis, "analytics", "ann", "a test", &err));
    OK(job_stream_take(f->cache, f->redis, "c", 1000, 1, jobs, 4, &n, &err));
    assert_int_equal(n, 1);
    OK(job_stream_retry_later(f->cache, f->redis, &jobs[0], "broken", INT64_MAX / 4096, &err));
    assert_int_equal(number(f, "ZCARD", "er.ase:jobs:later", NULL), 2);
    for (int i = 0; i < 2500; i++) /* more than a page */
        OK(job_stream_add(f->cache, f->redis, "analytics", "ann", "a test", &err));
    OK(job_stream_add(f->cache, f->redis, ERASE_JOB, "ann", "a test", &err));
    OK(active_users_touch(f->cache, f->redis, "ann", &err));
    OK(active_users_touch(f->cache, f->redis, "bob", &err));
    erase(f, "ann", 0);
    assert_int_equal(number(f, "XLEN", "er.ase:jobs", NULL), 1);        /* the erasure itself */
    assert_int_equal(number(f, "ZCARD", "er.ase:jobs:later", NULL), 1); /* bob's */
    assert_int_equal(number(f, "XLEN", "er.ase:jobs:dead", NULL), 0);
    assert_int_equal(number(f, "ZCARD", "er.ase:active:users", NULL), 1);
    OK(active_users_touch(f->cache, f->redis, "ann", &err)); /* a read by a token that is still good */
    assert_int_equal(number(f, "ZCARD", "er.ase:active:users", NULL), 1);
}

static void test_seen_mark_many_tells_repeats(void **state)
{
    struct redis_cache *f = *state;
    struct seen_mark marks[] = {{.id = "msg_1"}, {.id = "msg_2"}, {.id = "msg_1"}, {.id = "odd{id}*"}};

    OK(seen_mark_many(f->cache, f->redis, marks, 4, 660, &err));
    assert_false(marks[0].is_repeat);
    assert_false(marks[1].is_repeat);
    assert_true(marks[2].is_repeat);
    assert_false(marks[3].is_repeat);
    assert_in_range(number(f, "TTL", "er.ase:seen:webhook:msg_1", NULL), 600, 660);
    OK(seen_unmark(f->cache, f->redis, "msg_1", &err));
    OK(seen_mark_many(f->cache, f->redis, marks, 2, 660, &err));
    assert_false(marks[0].is_repeat);
    assert_true(marks[1].is_repeat);
    OK(seen_mark_many(f->cache, f->redis, marks, 0, 660, &err));
}

static void test_seen_mark_many_of_a_full_redis_finds_no_repeat(void **state)
{
    struct redis_cache *f = *state;
    struct seen_mark mark = {.id = "msg_1"};
    const struct redis_reply *reply;

    OK(redis_command(f->redis, &reply, &err, "CONFIG", "SET", "maxmemory", "1", NULL));
    OK(seen_mark_many(f->cache, f->redis, &mark, 1, 660, &err));
    assert_false(mark.is_repeat);
    OK(redis_command(f->redis, &reply, &err, "CONFIG", "SET", "maxmemory", "0", NULL));
    assert_int_equal(number(f, "EXISTS", "er.ase:seen:webhook:msg_1", NULL), 0);
}

static void test_job_stream_add_many_tells_each_ones_status(void **state)
{
    struct redis_cache *f = *state;
    struct job_request requests[] = {{.kind = "analytics", .user_id = "ann", .reason = "x"},
                                     {.kind = ERASE_JOB, .user_id = "bob", .reason = "y"}};
    const struct redis_reply *reply;

    OK(job_stream_add_many(f->cache, f->redis, requests, 2, &err));
    assert_int_equal(number(f, "XLEN", "er.ase:jobs", NULL), 2);
    OK(redis_command(f->redis, &reply, &err, "CONFIG", "SET", "maxmemory", "1", NULL));
    OK(job_stream_add_many(f->cache, f->redis, requests, 2, &err));
    OK(redis_command(f->redis, &reply, &err, "CONFIG", "SET", "maxmemory", "0", NULL));
    assert_int_equal(requests[0].status, STATUS_LIMIT);
    assert_int_equal(requests[1].status, STATUS_LIMIT);
    assert_int_equal(number(f, "XLEN", "er.ase:jobs", NULL), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, redis_cache_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_erase_takes_every_key_of_the_user_and_no_other),
        TEST(test_erase_takes_an_id_literally),
        TEST(test_erase_walks_a_large_key_space_to_its_end),
        TEST(test_erase_stops_when_told),
        TEST(test_erase_takes_the_user_out_of_queue_and_active_users),
        TEST(test_seen_mark_many_tells_repeats),
        TEST(test_seen_mark_many_of_a_full_redis_finds_no_repeat),
        TEST(test_job_stream_add_many_tells_each_ones_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
