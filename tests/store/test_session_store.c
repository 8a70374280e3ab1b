/* Sessions in a real Redis (TEST_REDIS_URL). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/store/session_store.h"
#include "tests/support/assert_status.h"
#include "tests/support/redis_cache.h"

#define NOW_S INT64_C(1700000000)
static const struct instant now = {NOW_S * US_PER_SECOND};
static const struct session_terms terms = {.idle_s = 1000, .lifetime_s = 3000};
static struct err err;

static int set_up(void **state)
{
    char prefix[] = "pre:";
    struct settings settings = {.key_prefix = prefix, .cache_ttl_epoch_s = 3600, .cache_max_value = 100000};

    redis_cache_set_up(state, &settings);
    return 0;
}

/* A name of 64 digits that ends with these. */
static const char *name_of(unsigned n)
{
    static char name[SESSION_NAME_SIZE];

    (void)snprintf(name, sizeof name, "%064u", n);
    return name;
}

static const char *key_of(unsigned n)
{
    static char key[SESSION_NAME_SIZE + 16];

    (void)snprintf(key, sizeof key, "pre:session:%s", name_of(n));
    return key;
}

static enum status create(struct redis_cache *f, unsigned n, const char *user_id, int64_t created_s)
{
    struct session session = {.role = 2, .created_s = created_s};

    memcpy(session.user_id, user_id, strlen(user_id) + 1);
    return session_create(f->cache, f->redis, name_of(n), &terms, &session, &err);
}

static struct session_lookup look(struct redis_cache *f, unsigned n, struct instant at)
{
    struct session_lookup lookup = {.name = name_of(n)};

    session_read_many(f->cache, f->redis, &terms, at, &lookup, 1);
    return lookup;
}

static void test_create_read_end(void **state)
{
    struct redis_cache *f = *state;
    size_t n = 9;

    OK(create(f, 1, "a b%{}", NOW_S));
    struct session_lookup found = look(f, 1, now);
    OK(found.status);
    assert_string_equal(found.session.user_id, "a b%{}");
    assert_int_equal(found.session.role, 2);
    assert_int_equal(found.session.created_s, NOW_S);
    assert_in_range(found.session.expires_s, NOW_S + 990, NOW_S + 1000);
    assert_int_equal(redis_cache_integer(f, "ZCARD", "pre:sessions:{a%20b%25%7B%7D}"), 1);
    assert_int_equal(look(f, 2, now).status, STATUS_NOT_FOUND);
    OK(session_end(f->cache, f->redis, name_of(1), "a b%{}", &n, &err));
    assert_int_equal(n, 1);
    assert_int_equal(look(f, 1, now).status, STATUS_NOT_FOUND);
    OK(session_end(f->cache, f->redis, name_of(1), "a b%{}", &n, &err));
    assert_int_equal(n, 0);
    assert_int_equal(redis_cache_integer(f, "EXISTS", "pre:sessions:{a%20b%25%7B%7D}"), 0);
}

static void test_read_many_tells_each_its_own(void **state)
{
    struct redis_cache *f = *state;
    struct session_lookup lookups[3];
    char names[3][SESSION_NAME_SIZE];

    OK(create(f, 0, "ann", NOW_S));
    OK(create(f, 2, "bob", NOW_S));
    for (unsigned i = 0; i < 3; i++) {
        memcpy(names[i], name_of(i), SESSION_NAME_SIZE);
        lookups[i].name = names[i];
    }
    session_read_many(f->cache, f->redis, &terms, now, lookups, 3);
    OK(lookups[0].status);
    assert_string_equal(lookups[0].session.user_id, "ann");
    assert_int_equal(lookups[1].status, STATUS_NOT_FOUND);
    assert_string_equal(lookups[2].session.user_id, "bob");
}

static void test_slide_never_passes_the_lifetime(void **state)
{
    struct redis_cache *f = *state;
    struct session_lookup found;

    OK(create(f, 1, "ann", NOW_S));
    for (int64_t later_s = 0; later_s < 3000; later_s += 900) {
        struct instant then = {(NOW_S + later_s) * US_PER_SECOND};
        int64_t expected_s = later_s + 1000 < 3000 ? 1000 : 3000 - later_s;

        found = look(f, 1, now);
        OK(session_slide(f->cache, f->redis, name_of(1), &terms, &found.session, then, &err));
        assert_in_range(redis_cache_integer(f, "TTL", key_of(1)), expected_s - 10, expected_s);
    }
    /* Whatever its TTL says. */
    assert_int_equal(look(f, 1, (struct instant){(NOW_S + 3000) * US_PER_SECOND}).status, STATUS_NOT_FOUND);
    assert_int_equal(redis_cache_integer(f, "PERSIST", key_of(1)), 1);
    found = look(f, 1, now);
    OK(found.status);
    assert_int_equal(found.session.expires_s, NOW_S + 3000);
}

static void test_slide_brings_no_session_back(void **state)
{
    struct redis_cache *f = *state;
    size_t n;

    OK(create(f, 1, "ann", NOW_S));
    OK(create(f, 2, "ann", NOW_S));
    struct session_lookup found = look(f, 1, now);
    OK(session_end(f->cache, f->redis, name_of(1), "ann", &n, &err));
    assert_int_equal(session_slide(f->cache, f->redis, name_of(1), &terms, &found.session, now, &err),
                     STATUS_NOT_FOUND);
    assert_int_equal(redis_cache_integer(f, "EXISTS", key_of(1)), 0);
    assert_int_equal(redis_cache_integer(f, "ZCARD", "pre:sessions:{ann}"), 1);
}

static void note(void *context, const char *name)
{
    assert_int_equal(strlen(name), SESSION_NAME_LEN);
    ++*(size_t *)context;
}

static void test_end_all_takes_every_session_of_the_user_and_no_other(void **state)
{
    struct redis_cache *f = *state;
    size_t n = 9, noted = 0;

    for (unsigned i = 0; i < 20; i++)
        OK(create(f, i, i % 2 ? "ann" : "anna", NOW_S));
    OK(session_end_all(f->cache, f->redis, "ann", note, &noted, &n, &err));
    assert_int_equal(n, 10);
    assert_int_equal(noted, 10);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(look(f, i, now).status, i % 2 ? STATUS_NOT_FOUND : STATUS_OK);
    OK(session_end_all(f->cache, f->redis, "ann", NULL, NULL, &n, &err));
    assert_int_equal(n, 0);
}

static void test_the_index_forgets_what_has_ended_and_holds_a_bounded_number(void **state)
{
    struct redis_cache *f = *state;

    OK(create(f, 0, "ann", NOW_S - 2000)); /* ended 1000 s ago, as far as the index knows */
    OK(create(f, 1, "ann", NOW_S));
    assert_int_equal(redis_cache_integer(f, "ZCARD", "pre:sessions:{ann}"), 1);
    for (unsigned i = 2; i <= SESSIONS_PER_USER; i++)
        OK(create(f, i, "ann", NOW_S + 1));
    OK(look(f, 1, now).status);
    OK(create(f, SESSIONS_PER_USER + 1, "ann", NOW_S + 2));
    assert_int_equal(look(f, 1, now).status, STATUS_NOT_FOUND);
    OK(look(f, 2, now).status);
    assert_int_equal(redis_cache_integer(f, "ZCARD", "pre:sessions:{ann}"), SESSIONS_PER_USER);
    assert_in_range(redis_cache_integer(f, "TTL", "pre:sessions:{ann}"), 2990, 3000);
}

static void test_an_erased_user_gets_no_session(void **state)
{
    static const struct cache_tags stocks = {1, {{"stocks", false}}};
    struct cache_invalidation one = {.user_id = "ann", .tags = &stocks, .erased = true};
    struct redis_cache *f = *state;

    OK(cache_invalidate_many(f->cache, f->redis, &one, 1, &err));
    assert_int_equal(create(f, 1, "ann", NOW_S), STATUS_CONFLICT);
    assert_int_equal(redis_cache_integer(f, "EXISTS", key_of(1)), 0);
    assert_int_equal(redis_cache_integer(f, "EXISTS", "pre:sessions:{ann}"), 0);
    OK(create(f, 2, "bob", NOW_S));
}

static void test_parse_key_knows_its_own(void **state)
{
    struct redis_cache *f = *state;
    char name[SESSION_NAME_SIZE];

    assert_true(session_parse_key(f->cache, key_of(7), strlen(key_of(7)), name));
    assert_string_equal(name, name_of(7));
    assert_false(session_parse_key(f->cache, key_of(7), strlen(key_of(7)) - 1, name));
    assert_false(session_parse_key(f->cache, key_of(7) + 4, strlen(key_of(7)) - 4, name));
    assert_false(session_parse_key(f->cache, "", 0, name));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, redis_cache_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_create_read_end),
        TEST(test_read_many_tells_each_its_own),
        TEST(test_slide_never_passes_the_lifetime),
        TEST(test_slide_brings_no_session_back),
        TEST(test_end_all_takes_every_session_of_the_user_and_no_other),
        TEST(test_the_index_forgets_what_has_ended_and_holds_a_bounded_number),
        TEST(test_an_erased_user_gets_no_session),
        TEST(test_parse_key_knows_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
