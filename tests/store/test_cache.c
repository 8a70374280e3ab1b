/* The cache protocol against a real Redis (TEST_REDIS_URL). Every test has a user of its own. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/settings.h"
#include "lib/store/cache.h"
#include "tests/support/assert_status.h"

#define BODY "{\"computed_at\":\"1\",\"data\":{\"pnl\":\"12.34\"}}"

static const struct cache_tags tags = {2, {{"stocks", false}, {"market", true}}};
static const struct cache_tags only_stocks = {1, {{"stocks", false}}};

struct fixture {
    struct cache *cache;
    struct redis *redis;
    char user[32], key[64];
    struct cache_epochs epochs;
};
static int serial;

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char prefix[] = "t:";
    struct settings settings = {.key_prefix = prefix, .cache_ttl_epoch_s = 3600, .cache_max_value = 100000};
    const char *url = getenv("TEST_REDIS_URL");
    struct err err = {0};

    assert_non_null(f);
    if (url == NULL)
        fail_msg("TEST_REDIS_URL is not set");
    OK(cache_new(&settings, &f->cache, &err));
    OK(redis_new(&(struct redis_options){.url = url, .client_name = "test", .timeout_ms = 2000}, &f->redis, &err));
    (void)snprintf(f->user, sizeof f->user, "user %d.%d", (int)getpid(), ++serial);
    (void)snprintf(f->key, sizeof f->key, "t:doc:%d.%d", (int)getpid(), serial);
    OK(cache_open_epochs(f->cache, f->redis, &tags, 1, (const char *const[]){f->user}, &f->epochs, &err));
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

static struct cache_store store_body(struct fixture *f, const struct cache_body *body)
{
    struct cache_store s = {.key = f->key, .tags = &tags, .epochs = &f->epochs, .body = body, .ttl_s = 900};
    struct err err = {0};

    OK(cache_store_many(f->cache, f->redis, &s, 1, &err));
    s.body = NULL;
    return s;
}

static struct cache_store store(struct fixture *f, const char *body, size_t volatile_start, size_t volatile_end)
{
    return store_body(f, &(struct cache_body){.bytes = body,
                                              .len = strlen(body),
                                              .volatile_start = volatile_start,
                                              .volatile_end = volatile_end,
                                              .computed_at = clock_now(),
                                              .valid_until = INSTANT_NEVER,
                                              .cost_us = 7});
}

static struct cache_lookup look(struct fixture *f)
{
    struct cache_lookup l = {.key = f->key, .user_id = f->user, .tags = &tags};
    struct err err = {0};

    OK(cache_lookup_many(f->cache, f->redis, &l, 1, &err));
    return l;
}

static int64_t command(struct fixture *f, const char *a, const char *b, const char *c, const char *d)
{
    const struct redis_reply *reply;
    struct err err = {0};

    OK(redis_command(f->redis, &reply, &err, a, b, c, d, NULL));
    return redis_reply_integer(reply);
}

static void test_lookup_after_store_is_a_hit(void **state)
{
    struct fixture *f = *state;
    struct cache_store s = store(f, BODY, 0, 0);
    struct cache_lookup l = look(f);

    assert_int_equal(s.status, STATUS_OK);
    assert_int_equal(l.verdict, CACHE_HIT);
    assert_int_equal(l.header.body_size, strlen(BODY));
    assert_memory_equal(l.body, BODY, strlen(BODY));
    assert_string_equal(l.header.etag, s.header.etag);
    assert_in_range(command(f, "PTTL", f->key, NULL, NULL), 800000, 900000);
}

/* An absence is a value like any other: judged by the same epochs, replaced by what is there later. */
static void test_store_of_what_is_not_found_is_a_value_of_its_own(void **state)
{
    struct fixture *f = *state;
    char text[5000]; /* as a document it would be packed */
    struct cache_body body = {.bytes = text, .len = sizeof text, .computed_at = clock_now(), .not_found = true};
    struct cache_counters counters;
    struct cache_lookup l;
    struct err err = {0};

    memset(text, 'x', sizeof text);
    body.valid_until = INSTANT_NEVER;
    OK(store_body(f, &body).status);
    l = look(f);
    assert_int_equal(l.verdict, CACHE_HIT);
    assert_int_equal(l.header.encoding, CACHE_NOT_FOUND);
    assert_int_equal(l.header.body_size, sizeof text);
    assert_memory_equal(l.body, text, sizeof text);
    (void)store(f, BODY, 0, 0);
    l = look(f);
    assert_int_equal(l.header.encoding, CACHE_IDENTITY);
    OK(store_body(f, &body).status);
    OK(cache_invalidate(f->cache, f->redis, f->user, &only_stocks, &err));
    assert_int_equal(look(f).verdict, CACHE_MISS_EPOCH);
    cache_read_counters(f->cache, &counters);
    assert_int_equal(counters.not_found_stored, 2);
    assert_int_equal(counters.not_found_served, 1);
}

static void test_lookup_of_nothing_is_absent(void **state)
{
    assert_int_equal(look(*state).verdict, CACHE_MISS_ABSENT);
}

/* Neighbours share a reading of epochs only where they are one user's, of the same tags. */
static void test_lookup_of_many_judges_each_by_its_own_epochs(void **state)
{
    struct fixture *f = *state;
    struct cache_lookup lookups[] = {
        {.key = f->key, .user_id = f->user, .tags = &tags}, {.key = f->key, .user_id = "stranger", .tags = &tags},
        {.key = f->key, .user_id = f->user, .tags = &tags}, {.key = f->key, .user_id = f->user, .tags = &only_stocks},
        {.key = f->key, .user_id = f->user, .tags = &tags}, {.key = "t:doc:none", .user_id = f->user, .tags = &tags},
        {.key = f->key, .user_id = f->user, .tags = &tags},
    };
    static const enum cache_verdict expected[] = {CACHE_HIT, CACHE_MISS_EPOCH,  CACHE_HIT, CACHE_MISS_DAMAGED,
                                                  CACHE_HIT, CACHE_MISS_ABSENT, CACHE_HIT};
    const struct redis_reply *reply;
    struct err err = {0};
    size_t len;

    (void)store(f, BODY, 0, 0);
    (void)command(f, "CONFIG", "RESETSTAT", NULL, NULL);
    OK(cache_lookup_many(f->cache, f->redis, lookups, 7, &err));
    for (size_t i = 0; i < 7; i++)
        if (lookups[i].verdict != expected[i])
            fail_msg("lookup %zu: %s", i, cache_verdict_name(lookups[i].verdict));
    assert_memory_equal(lookups[6].body, BODY, strlen(BODY));
    OK(redis_command(f->redis, &reply, &err, "INFO", "commandstats", NULL));
    assert_non_null(strstr(redis_reply_bytes(reply, &len),
                           "cmdstat_hmget:calls=9,")); /* two for each group, one for the fourth's */
    OK(cache_invalidate(f->cache, f->redis, f->user, &only_stocks, &err));
    OK(cache_lookup_many(f->cache, f->redis, &lookups[4], 3, &err));
    assert_int_equal(lookups[4].verdict, CACHE_MISS_EPOCH);
    assert_int_equal(lookups[6].verdict, CACHE_MISS_EPOCH);
}

static void test_invalidate_of_either_tag_makes_a_miss(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    static const struct cache_tags market = {1, {{"market", true}}};

    (void)store(f, BODY, 0, 0);
    OK(cache_invalidate(f->cache, f->redis, f->user, &only_stocks, &err));
    assert_int_equal(look(f).verdict, CACHE_MISS_EPOCH);
    OK(cache_open_epochs(f->cache, f->redis, &tags, 1, (const char *const[]){f->user}, &f->epochs, &err));
    (void)store(f, BODY, 0, 0);
    assert_int_equal(look(f).verdict, CACHE_HIT);
    OK(cache_invalidate(f->cache, f->redis, NULL, &market, &err));
    assert_int_equal(look(f).verdict, CACHE_MISS_EPOCH);
}

static void test_store_after_invalidation_during_compute_is_a_miss(void **state)
{
    struct fixture *f = *state;
    struct cache_epochs again;
    struct err err = {0};

    OK(cache_invalidate(f->cache, f->redis, f->user, &only_stocks, &err));
    (void)store(f, BODY, 0, 0);
    assert_int_equal(look(f).verdict, CACHE_MISS_EPOCH);
    OK(cache_open_epochs(f->cache, f->redis, &tags, 1, (const char *const[]){f->user}, &again, &err));
    assert_int_equal(look(f).verdict, CACHE_MISS_EPOCH);
}

static void test_store_after_flush_is_a_miss(void **state)
{
    struct fixture *f = *state;

    (void)command(f, "FLUSHALL", NULL, NULL, NULL);
    (void)store(f, BODY, 0, 0);
    assert_int_equal(look(f).verdict, CACHE_MISS_EPOCH);
}

static void test_store_with_the_same_content_keeps_body_and_etag(void **state)
{
    struct fixture *f = *state;
    struct cache_store first = store(f, "{\"at\":\"1\",\"data\":5}", 6, 9), second;
    struct cache_lookup l;

    (void)command(f, "PEXPIRE", f->key, "5000", NULL);
    second = store(f, "{\"at\":\"2\",\"data\":5}", 6, 9);
    l = look(f);
    assert_true(second.unchanged);
    assert_int_equal(l.verdict, CACHE_HIT);
    assert_string_equal(l.header.etag, first.header.etag);
    assert_memory_equal(l.body, "{\"at\":\"1\"", 9);
    assert_true(l.header.computed_at.us > first.header.computed_at.us);
    assert_in_range(command(f, "PTTL", f->key, NULL, NULL), 800000, 900000);
    assert_false(store(f, "{\"at\":\"2\",\"data\":6}", 6, 9).unchanged);
    assert_int_equal(look(f).verdict, CACHE_HIT);
}

static void test_lookup_of_damage_is_a_miss_and_store_replaces_it(void **state)
{
    static const char *const damages[][4] = {{"SETRANGE", NULL, "400", "X"},
                                             {"APPEND", NULL, "X", NULL},
                                             {"SET", NULL, "garbage", NULL},
                                             {"SET", NULL, "", NULL}};
    struct fixture *f = *state;

    for (size_t i = 0; i < 5; i++) {
        (void)store(f, BODY, 0, 0);
        if (i < 4) {
            (void)command(f, damages[i][0], f->key, damages[i][2], damages[i][3]);
        } else {
            (void)command(f, "DEL", f->key, NULL, NULL);
            (void)command(f, "LPUSH", f->key, "x", NULL);
        }
        if (look(f).verdict != CACHE_MISS_DAMAGED)
            fail_msg("damage %zu was not seen", i);
        (void)store(f, BODY, 0, 0);
        if (look(f).verdict != CACHE_HIT)
            fail_msg("damage %zu was not replaced", i);
    }
}

static void test_lookup_of_a_flipped_body_byte_is_damaged_and_replaced(void **state)
{
    struct fixture *f = *state;
    char offset[24];

    (void)store(f, BODY, 0, 0);
    (void)snprintf(offset, sizeof offset, "%d", (int)command(f, "STRLEN", f->key, NULL, NULL) - 5);
    (void)command(f, "SETRANGE", f->key, offset, "9");
    assert_int_equal(look(f).verdict, CACHE_MISS_DAMAGED);
    assert_false(store(f, BODY, 0, 0).unchanged);
    assert_int_equal(look(f).verdict, CACHE_HIT);
}

static void test_open_epochs_agrees_and_survives_foreign_values(void **state)
{
    struct fixture *f = *state;
    struct cache_epochs again;
    struct buf key = BUF_INIT;
    struct err err = {0};
    const char *const users[] = {f->user};

    OK(cache_open_epochs(f->cache, f->redis, &tags, 1, users, &again, &err));
    assert_memory_equal(again.values, f->epochs.values, sizeof again.values);
    buf_append_string(&key, "t:epoch:{");
    cache_append_user(&key, f->user);
    buf_append_string(&key, "}");
    (void)command(f, "HSET", key.data, "stocks", "garbage");
    OK(cache_open_epochs(f->cache, f->redis, &tags, 1, users, &again, &err));
    assert_true(again.values[0] != 0 && again.values[0] != f->epochs.values[0]);
    (void)command(f, "SET", key.data, "x", NULL);
    OK(cache_open_epochs(f->cache, f->redis, &tags, 1, users, &again, &err));
    assert_true(again.values[0] != 0);
    assert_in_range(command(f, "TTL", key.data, NULL, NULL), 3500, 3600);
    buf_release(&key);
}

/* --- two writers at once ------------------------------------------------------------------------------ */

enum { RACE_THREADS = 4, RACE_ROUNDS = 400 };

struct racer {
    struct fixture f; /* a copy with a connection of its own */
    int number;
    size_t n_hits, n_unchanged, n_bad;
};

/* A body is "<round>:<letter>...", the round being volatile, so that writers keep and replace each other's bodies. */
static void *race(void *argument)
{
    struct racer *r = argument;

    for (int round = 0; round < RACE_ROUNDS; round++) {
        char body[64], letter = (char)('a' + (round / 8 + r->number) % 2);
        struct cache_body about;
        struct cache_store one;
        struct cache_lookup found = {.key = r->f.key, .user_id = r->f.user, .tags = &tags};
        struct buf hash = BUF_INIT;

        (void)snprintf(body, sizeof body, "%d%03d:%c%c%c", r->number, round, letter, letter, letter);
        about = (struct cache_body){.bytes = body,
                                    .len = strlen(body),
                                    .volatile_end = 4,
                                    .computed_at = clock_now(),
                                    .valid_until = INSTANT_NEVER,
                                    .cost_us = 7};
        one =
            (struct cache_store){.key = r->f.key, .tags = &tags, .epochs = &r->f.epochs, .body = &about, .ttl_s = 900};
        r->n_bad += cache_store_many(r->f.cache, r->f.redis, &one, 1, NULL) != STATUS_OK;
        r->n_unchanged += one.unchanged;
        r->n_bad += cache_lookup_many(r->f.cache, r->f.redis, &found, 1, NULL) != STATUS_OK;
        if (found.verdict == CACHE_HIT) {
            r->n_hits++;
            cache_append_hash(&hash, found.body, found.header.body_size);
            r->n_bad += found.header.body_size != 8 || strcmp(hash.data, found.header.etag) != 0;
        } else if (found.verdict != CACHE_MISS_DAMAGED) {
            r->n_bad++;
        }
        buf_release(&hash);
    }
    return NULL;
}

static void test_writers_that_race_never_mix_a_header_with_another_body(void **state)
{
    struct fixture *f = *state;
    struct racer racers[RACE_THREADS];
    pthread_t threads[RACE_THREADS];
    size_t n_hits = 0, n_unchanged = 0, n_bad = 0;
    struct err err = {0};

    for (int i = 0; i < RACE_THREADS; i++) {
        racers[i] = (struct racer){.f = *f, .number = i};
        OK(redis_new(
            &(struct redis_options){.url = getenv("TEST_REDIS_URL"), .client_name = "test", .timeout_ms = 2000},
            &racers[i].f.redis, &err));
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < RACE_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        redis_free(&racers[i].f.redis);
        n_hits += racers[i].n_hits;
        n_unchanged += racers[i].n_unchanged;
        n_bad += racers[i].n_bad;
    }
    assert_int_equal(n_bad, 0);
    assert_true(n_hits > 0 && n_unchanged > 0);
}

static void test_store_to_another_instance_is_refused(void **state)
{
    struct fixture *f = *state;

    f->epochs.instance[0] = f->epochs.instance[0] == 'a' ? 'b' : 'a';
    assert_int_equal(store(f, BODY, 0, 0).status, STATUS_CONFLICT);
    assert_int_equal(look(f).verdict, CACHE_MISS_ABSENT);
}

static void test_store_of_a_large_body_is_packed(void **state)
{
    struct fixture *f = *state;
    char body[5000];
    struct buf out = BUF_INIT;
    struct cache_lookup l;

    memset(body, 'a', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    (void)store(f, body, 0, 0);
    l = look(f);
    assert_int_equal(l.verdict, CACHE_HIT);
    assert_int_equal(l.header.encoding, CACHE_GZIP);
    assert_true(l.header.body_size < 200);
    assert_int_equal(cache_body_unpack(&l.header, l.body, 4998, &out), STATUS_LIMIT);
    assert_int_equal(cache_body_unpack(&l.header, l.body, 4999, &out), STATUS_OK);
    assert_string_equal(out.data, body);
    buf_release(&out);
}

/* CACHE_MAX_VALUE, here 100,000, is about what is stored, not about what it unpacks to. */
static void test_store_over_the_size_limit_stores_nothing(void **state)
{
    struct fixture *f = *state;
    static char body[120001];
    uint32_t random = 1;

    memset(body, 'a', sizeof body - 1);
    assert_int_equal(store(f, body, 0, 0).status, STATUS_OK);
    for (size_t i = 0; i < sizeof body - 1; i++) {
        random = random * 1664525 + 1013904223;
        body[i] = (char)(1 + (random >> 24) % 255);
    }
    assert_int_equal(command(f, "DEL", f->key, NULL, NULL), 1);
    assert_int_equal(store(f, body, 0, 0).status, STATUS_LIMIT);
    assert_int_equal(look(f).verdict, CACHE_MISS_ABSENT);
}

static void test_store_over_maxmemory_is_refused_but_invalidation_works(void **state)
{
    struct fixture *f = *state;
    struct cache_store s;
    struct err err = {0};

    (void)store(f, BODY, 0, 0);
    (void)command(f, "CONFIG", "SET", "maxmemory-policy", "noeviction");
    (void)command(f, "CONFIG", "SET", "maxmemory", "1");
    s = store(f, "other", 0, 0);
    assert_int_equal(look(f).verdict, CACHE_HIT);
    OK(cache_invalidate(f->cache, f->redis, f->user, &only_stocks, &err));
    assert_int_equal(look(f).verdict, CACHE_MISS_EPOCH);
    (void)command(f, "CONFIG", "SET", "maxmemory", "0");
    assert_int_equal(s.status, STATUS_UNAVAILABLE);
}

static void erase(struct fixture *f)
{
    struct cache_invalidation one = {.user_id = f->user, .tags = &only_stocks, .erased = true};
    struct err err = {0};

    OK(cache_invalidate_many(f->cache, f->redis, &one, 1, &err));
    assert_int_equal(one.status, STATUS_OK);
}

static void test_store_after_erasure_during_compute_stores_nothing(void **state)
{
    struct fixture *f = *state;
    struct cache_store s;

    erase(f);
    s = store(f, BODY, 0, 0);
    assert_int_equal(s.status, STATUS_CONFLICT);
    assert_int_equal(command(f, "EXISTS", f->key, NULL, NULL), 0);
}

static void test_store_of_an_erased_user_stores_nothing_for_a_day(void **state)
{
    struct fixture *f = *state;
    struct buf tombstone = BUF_INIT;
    struct cache_store s;
    struct err err = {0};

    erase(f);
    OK(cache_open_epochs(f->cache, f->redis, &tags, 1, (const char *const[]){f->user}, &f->epochs, &err));
    assert_int_equal(f->epochs.values[0], 0);
    assert_int_not_equal(f->epochs.values[1], 0); /* the shared tag is nobody's */
    s = store(f, BODY, 0, 0);
    assert_int_equal(s.status, STATUS_CONFLICT);
    assert_int_equal(command(f, "EXISTS", f->key, NULL, NULL), 0);
    cache_append_tombstone_key(f->cache, &tombstone, f->user);
    assert_in_range(command(f, "TTL", tombstone.data, NULL, NULL), CACHE_TOMBSTONE_S - 100, CACHE_TOMBSTONE_S);
    (void)command(f, "DEL", tombstone.data, NULL, NULL);
    OK(cache_open_epochs(f->cache, f->redis, &tags, 1, (const char *const[]){f->user}, &f->epochs, &err));
    (void)store(f, BODY, 0, 0);
    assert_int_equal(look(f).verdict, CACHE_HIT);
    buf_release(&tombstone);
}

/* Two users' values in one call, the first erased: the second's is stored. */
static void test_store_of_many_refuses_only_the_erased(void **state)
{
    struct fixture *f = *state;
    struct cache_epochs others;
    struct cache_body b = {
        .bytes = BODY, .len = strlen(BODY), .computed_at = clock_now(), .valid_until = INSTANT_NEVER, .cost_us = 7};
    struct cache_store s[3] = {{.key = f->key, .tags = &tags, .epochs = &f->epochs, .body = &b, .ttl_s = 900},
                               {.key = "t:doc:other", .tags = &tags, .epochs = &others, .body = &b, .ttl_s = 900},
                               {.key = f->key, .tags = &tags, .epochs = &f->epochs, .body = &b, .ttl_s = 900}};
    struct err err = {0};

    OK(cache_open_epochs(f->cache, f->redis, &tags, 1, (const char *const[]){"another"}, &others, &err));
    erase(f);
    OK(cache_store_many(f->cache, f->redis, s, 3, &err));
    assert_int_equal(s[0].status, STATUS_CONFLICT);
    assert_int_equal(s[1].status, STATUS_OK);
    assert_int_equal(s[2].status, STATUS_CONFLICT);
    assert_int_equal(command(f, "EXISTS", f->key, NULL, NULL), 0);
    assert_int_equal(command(f, "EXISTS", "t:doc:other", NULL, NULL), 1);
}

/* A full Redis takes deletions but no tombstone: only that one has not happened. */
static void test_invalidate_many_tells_each_ones_status(void **state)
{
    static const struct cache_tags market = {1, {{"market", true}}};
    struct fixture *f = *state;
    struct cache_invalidation list[] = {{.user_id = f->user, .tags = &only_stocks},
                                        {.user_id = "gone", .tags = &only_stocks, .erased = true},
                                        {.tags = &market}};
    struct err err = {0};

    (void)store(f, BODY, 0, 0);
    (void)command(f, "CONFIG", "SET", "maxmemory-policy", "noeviction");
    (void)command(f, "CONFIG", "SET", "maxmemory", "1");
    OK(cache_invalidate_many(f->cache, f->redis, list, 3, &err));
    (void)command(f, "CONFIG", "SET", "maxmemory", "0");
    assert_int_equal(list[0].status, STATUS_OK);
    assert_int_not_equal(list[1].status, STATUS_OK);
    assert_int_equal(list[2].status, STATUS_OK);
    assert_int_equal(look(f).verdict, CACHE_MISS_EPOCH);
    OK(cache_invalidate_many(f->cache, f->redis, list, 0, &err));
}

static void test_invalidate_on_a_read_only_replica_fails(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};

    (void)command(f, "REPLICAOF", "127.0.0.1", "1", NULL);
    assert_int_equal(cache_invalidate(f->cache, f->redis, f->user, &only_stocks, &err), STATUS_UNAVAILABLE);
    assert_int_equal(redis_heartbeat(f->redis, &err), STATUS_UNAVAILABLE);
    assert_non_null(strstr(err.text, "not the master"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lookup_after_store_is_a_hit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lookup_of_nothing_is_absent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lookup_of_many_judges_each_by_its_own_epochs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_invalidate_of_either_tag_makes_a_miss, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_after_invalidation_during_compute_is_a_miss, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_after_flush_is_a_miss, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_with_the_same_content_keeps_body_and_etag, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lookup_of_damage_is_a_miss_and_store_replaces_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lookup_of_a_flipped_body_byte_is_damaged_and_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_open_epochs_agrees_and_survives_foreign_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_writers_that_race_never_mix_a_header_with_another_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_to_another_instance_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_of_what_is_not_found_is_a_value_of_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_of_a_large_body_is_packed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_over_the_size_limit_stores_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_over_maxmemory_is_refused_but_invalidation_works, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_after_erasure_during_compute_stores_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_of_an_erased_user_stores_nothing_for_a_day, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_of_many_refuses_only_the_erased, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_invalidate_many_tells_each_ones_status, set_up, tear_down),
        /* last: the server stays a replica */
        cmocka_unit_test_setup_teardown(test_invalidate_on_a_read_only_replica_fails, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
