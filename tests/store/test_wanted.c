#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/document_batch.h"
#include "jobs/document_text.h"
#include "lib/base/settings.h"
#include "tests/support/assert_status.h"
#include "tests/support/redis_cache.h"

#define KEY "wt:wanted:{u}"

static const struct document_request series = {.section = SECTION_TIME_SERIES, .range = {.name = RANGE_30D}};
static const struct document_request playbooks = {.section = SECTION_PLAYBOOKS, .range = {.name = RANGE_YTD}};
static const struct document_request symbol = {.section = SECTION_SYMBOL, .symbol = "brk b"};

static int set_up(void **state)
{
    static char prefix[] = "wt:";

    (void)redis_cache_set_up(state, &(const struct settings){.key_prefix = prefix,
                                                             .cache_ttl_epoch_s = 3600,
                                                             .cache_max_value = 100000,
                                                             .active_window_s = 1000,
                                                             .wanted_documents = 4});
    return 0;
}

static void note(struct redis_cache *f, const struct document_request *request)
{
    struct err err = {0};

    OK(wanted_note(f->cache, f->redis, &f->settings, "u", request, &err));
}

static struct wanted read_record(struct redis_cache *f)
{
    static const char *const user = "u";
    struct wanted wanted = {0};
    struct err err = {0};

    OK(wanted_read(f->cache, f->redis, &f->settings, 1, &user, &wanted, &err));
    return wanted;
}

static void add_member(struct redis_cache *f, const char *bytes, size_t len)
{
    const char *zadd[] = {"ZADD", KEY, "9999999999999", bytes};
    const size_t lengths[] = {4, strlen(KEY), 13, len};
    struct err err = {0};

    redis_append(f->redis, 4, zadd, lengths);
    OK(redis_flush(f->redis, &err));
}

static void test_wanted_read_gives_what_was_noted_last_first(void **state)
{
    struct redis_cache *f = *state;
    struct wanted wanted;

    clock_set_override((struct instant){INT64_C(1700000000000000)});
    note(f, &series);
    clock_set_override((struct instant){INT64_C(1700000000002000)});
    note(f, &playbooks);
    clock_set_override((struct instant){INT64_C(1700000000004000)});
    note(f, &symbol);
    clock_set_override((struct instant){INT64_C(1700000000006000)});
    note(f, &series);
    wanted = read_record(f);
    assert_int_equal(wanted.n, 3);
    assert_int_equal(wanted.n_dropped, 0);
    assert_int_equal(wanted.requests[0].section, SECTION_TIME_SERIES);
    assert_int_equal(wanted.requests[0].range.name, RANGE_30D);
    assert_int_equal(wanted.requests[1].section, SECTION_SYMBOL);
    assert_string_equal(wanted.requests[1].symbol, "BRK B");
    assert_int_equal(wanted.requests[2].section, SECTION_PLAYBOOKS);
    wanted_release(&wanted);
}

static void test_wanted_note_leaves_precomputed_documents_out(void **state)
{
    struct redis_cache *f = *state;
    struct document_request request = document_precomputed(17);

    note(f, &request);
    assert_int_equal(redis_cache_integer(f, "EXISTS", KEY), 0);
    request.null_as_zero = true; /* a variant is not precomputed */
    note(f, &request);
    assert_int_equal(redis_cache_integer(f, "ZCARD", KEY), 1);
    f->settings.wanted_documents = 0;
    note(f, &series);
    assert_int_equal(redis_cache_integer(f, "ZCARD", KEY), 1);
}

static void test_wanted_note_keeps_the_last_few(void **state)
{
    struct redis_cache *f = *state;
    struct document_request trade = {
        .section = SECTION_TRADE, .asset = ASSET_STOCKS, .range = {.name = RANGE_ALL_TIME}};
    struct wanted wanted;

    for (trade.trade_id = 1; trade.trade_id <= 50; trade.trade_id++) {
        clock_set_override((struct instant){INT64_C(1700000000000000) + trade.trade_id * 1000});
        note(f, &trade);
    }
    assert_int_equal(redis_cache_integer(f, "ZCARD", KEY), 4);
    wanted = read_record(f);
    assert_int_equal(wanted.n, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(wanted.requests[i].trade_id, 50 - i);
    wanted_release(&wanted);
}

static void test_wanted_forgets_what_was_not_asked_within_the_window(void **state)
{
    struct redis_cache *f = *state;
    struct wanted wanted;

    clock_set_override((struct instant){INT64_C(1700000000000000)});
    note(f, &series);
    assert_in_range(redis_cache_integer(f, "TTL", KEY), 900, 1000);
    clock_set_override((struct instant){INT64_C(1700001001000000)});
    wanted = read_record(f);
    assert_int_equal(wanted.n, 0);
    wanted_release(&wanted);
    note(f, &symbol);
    assert_int_equal(redis_cache_integer(f, "ZCARD", KEY), 1); /* the old one is gone */
}

static void test_wanted_read_drops_damaged_members_for_good(void **state)
{
    struct document_request core = document_precomputed(17);
    struct redis_cache *f = *state;
    struct buf text = BUF_INIT;
    struct wanted wanted;

    note(f, &series);
    add_member(f, "anything", 8);
    document_append_text(&playbooks, &text);
    add_member(f, text.data, text.len + 1); /* a good text and a NUL */
    buf_clear(&text);
    document_append_text(&core, &text); /* a good text of what need not be noted */
    add_member(f, text.data, text.len);
    buf_release(&text);
    wanted = read_record(f);
    assert_int_equal(wanted.n, 1);
    assert_int_equal(wanted.n_dropped, 3);
    wanted_release(&wanted);
    assert_int_equal(redis_cache_integer(f, "ZCARD", KEY), 1);
}

static void test_wanted_survives_another_type_under_its_key(void **state)
{
    const struct redis_reply *reply;
    struct redis_cache *f = *state;
    struct err err = {0};
    struct wanted wanted;

    OK(redis_command(f->redis, &reply, &err, "SET", KEY, "foreign", NULL));
    wanted = read_record(f);
    assert_int_equal(wanted.n, 0);
    assert_int_equal(wanted.n_dropped, 1);
    wanted_release(&wanted);
    assert_int_equal(redis_cache_integer(f, "EXISTS", KEY), 0);
    OK(redis_command(f->redis, &reply, &err, "SET", KEY, "foreign", NULL));
    note(f, &series); /* clears the way */
    note(f, &series);
    assert_int_equal(redis_cache_integer(f, "ZCARD", KEY), 1);
}

static void test_wanted_forget_takes_one_off(void **state)
{
    struct redis_cache *f = *state;
    struct wanted wanted;
    struct err err = {0};

    note(f, &series);
    note(f, &symbol);
    wanted = read_record(f);
    OK(wanted_forget(f->cache, f->redis, "u", wanted.texts[0], &err));
    wanted_release(&wanted);
    assert_int_equal(redis_cache_integer(f, "ZCARD", KEY), 1);
}

static bool calls_for_job(struct redis_cache *f, const char *tag, bool shared)
{
    struct cache_tags tags = {2, {{"notes", false}, {tag, shared}}};
    struct err err = {0};
    bool needed = false;

    OK(wanted_call_for_job(f->cache, f->redis, &f->settings, NULL, "u", &tags, &needed, &err));
    return needed;
}

/* A job exactly when a document of the user depends on the tag. */
static void test_wanted_call_for_job_when_a_document_depends(void **state)
{
    struct document_request tags = {.section = SECTION_GROUPED, .dimensions = DIMENSION_BIT(DIMENSION_TAG)};
    struct document_request positions = {.section = SECTION_POSITIONS, .range = {.name = RANGE_ALL_TIME}};
    struct redis_cache *f = *state;

    assert_true(calls_for_job(f, "stocks", false));
    assert_true(calls_for_job(f, "settings", false));
    assert_false(calls_for_job(f, "images", false));
    assert_false(calls_for_job(f, "playbooks", false));
    note(f, &series);
    assert_false(calls_for_job(f, "playbooks", false));
    note(f, &playbooks);
    assert_true(calls_for_job(f, "playbooks", false));
    assert_false(calls_for_job(f, "tags", false));
    note(f, &tags);
    assert_true(calls_for_job(f, "tags", false));
    note(f, &positions);
    assert_false(calls_for_job(f, "prices", true));
}

/* --- whole lists ---------------------------------------------------------------------------------- */

static void test_wanted_collections_are_read_beside_documents(void **state)
{
    struct redis_cache *f = *state;
    static const char *const names[] = {"stocks", "trade-notes"};
    struct wanted wanted = {0};
    const char *user = "u";
    struct err err = {{0}};

    note(f, &playbooks);
    OK(wanted_note_collections(f->cache, f->redis, &f->settings, "u", 2, names, &err));
    OK(wanted_note_collections(f->cache, f->redis, &f->settings, "u", 1, names, &err));
    OK(wanted_read(f->cache, f->redis, &f->settings, 1, &user, &wanted, &err));
    assert_int_equal(wanted.n, 1);
    assert_int_equal(wanted.n_dropped, 0);
    assert_int_equal(wanted.n_collections, 2);
    for (size_t i = 0; i < 2; i++) /* noted within one millisecond they may come either way */
        assert_true(strcmp(wanted.collections[0], names[i]) == 0 || strcmp(wanted.collections[1], names[i]) == 0);
    wanted_release(&wanted);
}

/* A record of another type is deleted, and the next note taken. */
static void test_wanted_collections_replace_what_is_in_the_way(void **state)
{
    struct redis_cache *f = *state;
    static const char *const names[] = {"stocks"};
    struct err err = {{0}};

    OK(redis_command(f->redis, &(const struct redis_reply *){NULL}, &err, "SET", "wt:wanted:{u}", "x", NULL));
    OK(wanted_note_collections(f->cache, f->redis, &f->settings, "u", 1, names, &err));
    OK(wanted_note_collections(f->cache, f->redis, &f->settings, "u", 1, names, &err));
    assert_int_equal(redis_cache_integer(f, "ZCARD", "wt:wanted:{u}"), 1);
}

/* --- batches -------------------------------------------------------------------------------------- */

static struct document_batch open_batch(struct redis_cache *f, size_t n, const char *const *ids)
{
    struct document_batch batch;
    struct err err = {0};
    size_t dropped = 0;

    OK(document_batch_init(&batch, n, ids, &err));
    OK(document_batch_open(&batch, f->cache, f->redis, &f->settings, &dropped, &err));
    return batch;
}

/* An epoch nobody's document depends on is not even created. */
static void test_document_batch_opens_the_epochs_of_each_users_tags(void **state)
{
    static const char *const ids[] = {"v", "u", "v"};
    struct redis_cache *f = *state;
    struct document_batch batch;

    note(f, &playbooks);
    batch = open_batch(f, 3, ids);
    assert_int_equal(batch.n, 2);
    assert_string_equal(batch.users[0].user_id, "u");
    assert_int_equal(batch.users[0].n, document_precomputed_count() + 1);
    assert_int_equal(user_documents_count_due(&batch.users[0]), batch.users[0].n);
    assert_int_equal(batch.users[0].tags->n, 4);
    for (size_t t = 0; t < 4; t++)
        assert_true(batch.users[0].epochs.values[t] != 0);
    assert_int_equal(batch.users[1].n, document_precomputed_count());
    assert_int_equal(user_documents_needs(&batch.users[1]), 0);
    assert_int_equal(redis_cache_integer(f, "HLEN", "wt:epoch:{u}"), 4);
    assert_int_equal(redis_cache_integer(f, "HLEN", "wt:epoch:{v}"), 3);
    document_batch_release(&batch);
}

static void store_all(struct redis_cache *f, const struct user_documents *user, int64_t ttl_s, int64_t until_s)
{
    struct instant later = {clock_now().us + until_s * US_PER_SECOND};
    struct cache_body body = {.bytes = "{}", .len = 2, .computed_at = clock_now(), .valid_until = later};
    struct err err = {0};

    for (size_t i = 0; i < user->n; i++) {
        struct document_request request = user_documents_request(user, i);
        struct cache_epochs epochs = document_pick_epochs(&request, user->tags, &user->epochs);
        struct buf key = BUF_INIT;
        struct cache_store store = {.tags = document_tags(&request), .epochs = &epochs, .body = &body, .ttl_s = ttl_s};

        document_append_key(f->cache, &request, user->user_id, &key);
        store.key = key.data;
        OK(cache_store_many(f->cache, f->redis, &store, 1, &err));
        OK(store.status);
        buf_release(&key);
    }
}

static size_t judge(struct redis_cache *f, struct user_documents *user)
{
    struct err err = {0};
    size_t n_valid = 0;

    OK(user_documents_judge(user, f->cache, f->redis, &f->settings, 0, &n_valid, &err));
    assert_int_equal(user_documents_count_due(user), user->n - n_valid);
    return n_valid;
}

static void test_user_documents_judge_finds_what_is_invalid_or_about_to_expire(void **state)
{
    static const char *const ids[] = {"u"};
    struct redis_cache *f = *state;
    struct cache_tags changed = {1, {{"playbooks", false}}};
    struct document_batch batch;
    struct err err = {0};

    f->settings.cache_ttl_analytics_s = 1000;
    note(f, &playbooks);
    note(f, &series);
    batch = open_batch(f, 1, ids);
    assert_int_equal(judge(f, &batch.users[0]), 0);
    store_all(f, &batch.users[0], 1000, 100000);
    assert_int_equal(judge(f, &batch.users[0]), batch.users[0].n);
    document_batch_release(&batch);

    OK(cache_invalidate(f->cache, f->redis, "u", &changed, &err));
    batch = open_batch(f, 1, ids);
    assert_int_equal(judge(f, &batch.users[0]), batch.users[0].n - 1);
    assert_int_equal(user_documents_needs(&batch.users[0]), DOCUMENT_NEEDS_PLAYBOOKS | DOCUMENT_NEEDS_RULES);
    store_all(f, &batch.users[0], 199, 100000); /* in their last fifth */
    assert_int_equal(judge(f, &batch.users[0]), 0);
    store_all(f, &batch.users[0], 1000, 100); /* they end with their day: computed again they would last no longer */
    assert_int_equal(judge(f, &batch.users[0]), batch.users[0].n);
    document_batch_release(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_wanted_read_gives_what_was_noted_last_first, set_up,
                                        redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_wanted_note_leaves_precomputed_documents_out, set_up,
                                        redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_wanted_note_keeps_the_last_few, set_up, redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_wanted_forgets_what_was_not_asked_within_the_window, set_up,
                                        redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_wanted_read_drops_damaged_members_for_good, set_up, redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_wanted_survives_another_type_under_its_key, set_up, redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_wanted_forget_takes_one_off, set_up, redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_wanted_collections_are_read_beside_documents, set_up,
                                        redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_wanted_collections_replace_what_is_in_the_way, set_up,
                                        redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_wanted_call_for_job_when_a_document_depends, set_up,
                                        redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_document_batch_opens_the_epochs_of_each_users_tags, set_up,
                                        redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_user_documents_judge_finds_what_is_invalid_or_about_to_expire, set_up,
                                        redis_cache_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
