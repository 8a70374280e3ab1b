#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "jobs/document.h"

static struct settings *settings;
static struct cache *cache;

static int set_up(void **state)
{
    struct err err = {{0}};

    (void)state;
    setenv("PNLCACHE_CONF", "/dev/null", 1);
    setenv("KEY_PREFIX", "t:", 1);
    setenv("CACHE_TTL_ANALYTICS", "777", 1);
    if (settings_load(&settings, &err) != STATUS_OK || cache_new(settings, &cache, &err) != STATUS_OK) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cache_free(&cache);
    settings_free(&settings);
    return 0;
}

static char *key_of(const struct document_request *request, const char *user_id)
{
    struct buf key = BUF_INIT;
    size_t len;
    char *text;

    document_append_key(cache, request, user_id, &key);
    text = buf_take_data(&key, &len);
    assert_non_null(text);
    return text;
}

static void assert_key(enum section section, enum asset asset, enum range_name range, const char *user_id,
                       const char *expected)
{
    struct document_request request = {.section = section, .asset = asset, .range = {.name = range}};
    char *key = key_of(&request, user_id);

    assert_string_equal(key, expected);
    free(key);
}

/* Design section 3. */
static void test_document_append_key_spells_the_families(void **state)
{
    (void)state;
    assert_key(SECTION_SUMMARY, ASSET_STOCKS, RANGE_30D, "u-42", "t:analytics:stocks:{u-42}:30d");
    assert_key(SECTION_SUMMARY, ASSET_OPTIONS, RANGE_ALL_TIME, "u-42", "t:analytics:options:{u-42}:all_time");
    assert_key(SECTION_CORE, ASSET_STOCKS, RANGE_YTD, "u-42", "t:analytics:stocks:{u-42}:ytd:core");
    assert_key(SECTION_RISK, ASSET_ALL, RANGE_TODAY, "u-42", "t:analytics:combined:{u-42}:today:risk");
    assert_key(SECTION_PERFORMANCE, ASSET_ALL, RANGE_6M, "a b{c}",
               "t:analytics:combined:{a%20b%7Bc%7D}:6m:performance");
}

/* One dimension has a key of its own, everything else one made of the whole request. */
static void test_document_append_key_of_groups_and_playbooks(void **state)
{
    static const char custom[] = "t:analytics:{u}:custom:";
    struct document_request request = {.section = SECTION_GROUPED, .asset = ASSET_STOCKS, .range = {.name = RANGE_30D}};
    char *one, *two, *other;

    (void)state;
    request.dimensions = DIMENSION_BIT(DIMENSION_DAY_OF_WEEK);
    one = key_of(&request, "u");
    assert_string_equal(one, "t:analytics:stocks:{u}:30d:grouped:day_of_week");
    request.dimensions |= DIMENSION_BIT(DIMENSION_TAG);
    two = key_of(&request, "u");
    assert_memory_equal(two, custom, sizeof custom - 1);
    request.range.name = RANGE_90D;
    other = key_of(&request, "u");
    assert_string_not_equal(two, other);
    free(one);
    free(two);
    free(other);
    request = (struct document_request){.section = SECTION_PLAYBOOKS, .range = {.name = RANGE_7D}};
    one = key_of(&request, "u");
    assert_memory_equal(one, custom, sizeof custom - 1);
    free(one);
}

static void test_document_append_key_of_what_is_computed_on_demand(void **state)
{
    static const enum section sections[] = {SECTION_CALENDAR, SECTION_POSITIONS, SECTION_TRADE, SECTION_SYMBOL};
    static const char custom[] = "t:analytics:{u}:custom:";

    (void)state;
    assert_key(SECTION_TIME_SERIES, ASSET_ALL, RANGE_30D, "u", "t:analytics:combined:{u}:30d:time-series");
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        struct document_request request = {.section = sections[i], .range = {.name = RANGE_ALL_TIME}, .symbol = "X"};
        char *key = key_of(&request, "u");

        assert_memory_equal(key, custom, sizeof custom - 1);
        free(key);
    }
}

static void test_document_append_key_of_single_numbers(void **state)
{
    struct document_request request = {.section = SECTION_TEXT, .asset = ASSET_STOCKS, .range = {.name = RANGE_7D}};
    char *keys[REPORT_TEXTS];

    (void)state;
    for (request.text = 0; request.text < REPORT_TEXTS; request.text++) {
        keys[request.text] = key_of(&request, "u");
        for (size_t i = 0; i < request.text; i++)
            assert_string_not_equal(keys[i], keys[request.text]);
    }
    assert_string_equal(keys[REPORT_TEXT_PNL], "t:analytics:stocks:{u}:7d:pnl");
    for (size_t i = 0; i < REPORT_TEXTS; i++)
        free(keys[i]);
}

/* Equal requests in other spellings share one key; others have their own. */
static void test_document_append_key_hashes_month_trade_and_symbol(void **state)
{
    const struct document_request base = {.section = SECTION_SYMBOL, .range = {.name = RANGE_30D}, .symbol = "BRK.b"};
    struct document_request others[6];
    char *key = key_of(&base, "u"), *other;

    (void)state;
    for (size_t i = 0; i < 6; i++)
        others[i] = base;
    others[0].symbol = "brk.B";
    others[1].symbol = "BRK.A";
    others[2].range.name = RANGE_7D;
    others[3].has_month = true;
    others[4].trade_id = 7;
    others[5].asset = ASSET_OPTIONS;
    for (size_t i = 0; i < 6; i++) {
        other = key_of(&others[i], "u");
        if ((strcmp(key, other) == 0) != (i == 0))
            fail_msg("case %zu", i);
        free(other);
    }
    free(key);
}

static void test_document_append_key_custom_ranges_differ_in_every_field(void **state)
{
    struct range_request range = {RANGE_CUSTOM, true, true, {20000}, {20010}};
    struct document_request base = {.section = SECTION_CORE, .asset = ASSET_ALL, .range = range}, others[14];
    char *key = key_of(&base, "u"), *again = key_of(&base, "u");
    static const char prefix[] = "t:analytics:{u}:custom:";

    (void)state;
    assert_string_equal(key, again);
    assert_memory_equal(key, prefix, sizeof prefix - 1);
    assert_int_equal(strlen(key), sizeof prefix - 1 + 32);
    free(again);
    for (size_t i = 0; i < 14; i++)
        others[i] = base;
    others[0].section = SECTION_RISK;
    others[1].asset = ASSET_STOCKS;
    others[2].range.start.days++;
    others[3].range.end.days++;
    others[4].range.has_start = false;
    others[5].range.has_end = false;
    others[6].section = SECTION_SUMMARY;
    others[7].null_as_zero = true;
    others[8].has_risk_free_rate = true;
    others[9].playbook_id = 1;
    others[11].without_time_series = true;
    others[12].start_is_instant = true;
    others[13].end_is_instant = true;
    others[10].dimensions = DIMENSION_BIT(DIMENSION_SIDE);
    for (size_t i = 0; i < 14; i++) {
        again = key_of(&others[i], "u");
        if (strcmp(key, again) == 0)
            fail_msg("case %zu has the same key", i);
        free(again);
    }
    free(key);
}

/* An absent bound is not a stale one: what stands in `start` then must not matter. */
static void test_document_append_key_ignores_an_absent_bound(void **state)
{
    struct document_request a = {.section = SECTION_CORE, .range = {RANGE_CUSTOM, false, true, {1}, {20010}}};
    struct document_request b = {.section = SECTION_CORE, .range = {RANGE_CUSTOM, false, true, {2}, {20010}}};
    char *key_a = key_of(&a, "u"), *key_b = key_of(&b, "u");

    (void)state;
    assert_string_equal(key_a, key_b);
    free(key_a);
    free(key_b);
}

/* Design section 3: summaries for two assets, three sections for three, eight ranges: 16 + 72. */
static void test_document_precomputed_lists_the_set_once(void **state)
{
    size_t n = document_precomputed_count(), asset_changes = 0;

    (void)state;
    assert_int_equal(n, 88);
    for (size_t i = 0; i < n; i++) {
        struct document_request request = document_precomputed(i);
        char *key = key_of(&request, "u");
        size_t index;

        assert_true(document_precomputed_index(&request, &index));
        assert_int_equal(index, i);
        assert_true(request.range.name < RANGE_PRESETS);
        assert_false(request.section == SECTION_SUMMARY && request.asset == ASSET_ALL);
        asset_changes += i > 0 && request.asset != document_precomputed(i - 1).asset;
        for (size_t k = 0; k < i; k++) {
            struct document_request earlier = document_precomputed(k);
            char *other = key_of(&earlier, "u");

            assert_string_not_equal(key, other);
            free(other);
        }
        free(key);
    }
    assert_int_equal(asset_changes, 2);
}

static void test_document_precomputed_index_knows_only_the_set(void **state)
{
    struct document_request summary_of_all = {.section = SECTION_SUMMARY, .asset = ASSET_ALL};
    struct document_request series = {.section = SECTION_TIME_SERIES, .asset = ASSET_STOCKS};
    struct document_request custom = {.section = SECTION_CORE, .range = {.name = RANGE_CUSTOM}};
    size_t index;

    (void)state;
    assert_false(document_precomputed_index(&summary_of_all, &index));
    assert_false(document_precomputed_index(&series, &index));
    assert_false(document_precomputed_index(&custom, &index));
}

static bool has_tag(const struct cache_tags *tags, const char *name)
{
    for (size_t i = 0; i < tags->n; i++)
        if (strcmp(tags->tags[i].name, name) == 0 && !tags->tags[i].shared)
            return true;
    return false;
}

static void test_document_tags_are_the_assets_and_the_settings(void **state)
{
    (void)state;
    for (size_t i = 0; i < document_precomputed_count(); i++) {
        struct document_request request = document_precomputed(i);
        const struct cache_tags *tags = document_tags(&request);

        assert_true(has_tag(tags, "settings"));
        assert_int_equal(has_tag(tags, "stocks"), request.asset != ASSET_OPTIONS);
        assert_int_equal(has_tag(tags, "options"), request.asset != ASSET_STOCKS);
        for (size_t t = 0; t < tags->n; t++)
            assert_true(has_tag(document_tags_of_needs(0), tags->tags[t].name));
    }
}

static void test_document_tags_name_what_groups_and_playbooks_read(void **state)
{
    struct document_request request = {.section = SECTION_GROUPED, .asset = ASSET_OPTIONS};

    (void)state;
    for (int d = 0; d < DIMENSIONS; d++) {
        request.dimensions = DIMENSION_BIT(d);
        assert_int_equal(has_tag(document_tags(&request), "playbooks"), d == DIMENSION_PLAYBOOK);
        assert_int_equal(has_tag(document_tags(&request), "tags"), d == DIMENSION_TAG);
        assert_false(has_tag(document_tags(&request), "stocks"));
    }
    request.dimensions = DIMENSION_BIT(DIMENSION_PLAYBOOK) | DIMENSION_BIT(DIMENSION_TAG);
    assert_int_equal(document_tags(&request)->n, 4);
    request = (struct document_request){.section = SECTION_PLAYBOOK};
    assert_true(has_tag(document_tags(&request), "playbooks"));
    assert_int_equal(document_tags(&request)->n, 4);
}

/* Prices change for everybody at once. */
static void test_document_tags_of_comprehensive_name_all_it_reads(void **state)
{
    struct document_request request = {.section = SECTION_COMPREHENSIVE, .asset = ASSET_STOCKS};
    const struct cache_tags *tags = document_tags(&request);

    (void)state;
    assert_int_equal(tags->n, 3);
    assert_true(tags->tags[2].shared);
    assert_string_equal(tags->tags[2].name, "prices");
    request.dimensions = DIMENSION_BIT(DIMENSION_TAG) | DIMENSION_BIT(DIMENSION_PLAYBOOK);
    tags = document_tags(&request);
    assert_int_equal(tags->n, 5);
    assert_true(has_tag(tags, "tags") && has_tag(tags, "playbooks") && !has_tag(tags, "options"));
}

static void test_document_tags_of_positions_name_the_shared_prices(void **state)
{
    (void)state;
    for (enum asset asset = ASSET_ALL; asset <= ASSET_OPTIONS; asset++) {
        struct document_request request = {.section = SECTION_POSITIONS, .asset = asset};
        const struct cache_tags *tags = document_tags(&request);

        assert_string_equal(tags->tags[tags->n - 1].name, "prices");
        assert_true(tags->tags[tags->n - 1].shared);
        assert_int_equal(tags->n, asset == ASSET_ALL ? 4 : 3);
        assert_int_equal(has_tag(tags, "stocks"), asset != ASSET_OPTIONS);
        assert_true(has_tag(tags, "settings"));
    }
}

static void test_document_pick_epochs_follows_the_tags(void **state)
{
    const struct cache_tags *all = document_tags_of_needs(0);
    struct cache_epochs epochs = {.instance = "0123456789012345678901234567890123456789"};

    (void)state;
    for (size_t t = 0; t < all->n; t++)
        epochs.values[t] = 100 + t;
    for (size_t i = 0; i < document_precomputed_count(); i++) {
        struct document_request request = document_precomputed(i);
        struct cache_epochs picked = document_pick_epochs(&request, all, &epochs);
        const struct cache_tags *tags = document_tags(&request);

        assert_string_equal(picked.instance, epochs.instance);
        for (size_t t = 0; t < tags->n; t++)
            assert_string_equal(all->tags[picked.values[t] - 100].name, tags->tags[t].name);
    }
}

/* A batch opens the epochs of the needs of all a user's documents, and each document takes its own. */
static void test_document_pick_epochs_from_those_of_more_needs(void **state)
{
    struct document_request request = {.section = SECTION_COMPREHENSIVE, .dimensions = DIMENSION_BIT(DIMENSION_TAG)};
    const struct cache_tags *all = document_tags_of_needs(DOCUMENT_TAG_SETS - 1), *tags = document_tags(&request);
    struct cache_epochs epochs = {.instance = "i"}, picked;

    (void)state;
    assert_int_equal(all->n, 6);
    for (size_t t = 0; t < all->n; t++)
        epochs.values[t] = 100 + t;
    picked = document_pick_epochs(&request, all, &epochs);
    assert_int_equal(tags->n, 5);
    for (size_t t = 0; t < tags->n; t++)
        assert_string_equal(all->tags[picked.values[t] - 100].name, tags->tags[t].name);
    assert_int_equal(picked.values[tags->n], 0);
}

static void test_document_depends_on_its_own_tags_only(void **state)
{
    struct document_request groups = {.section = SECTION_GROUPED, .dimensions = DIMENSION_BIT(DIMENSION_PLAYBOOK)};
    struct cache_tags changed = {1, {{"playbooks", false}}};

    (void)state;
    assert_true(document_depends_on(&groups, &changed));
    groups.dimensions = DIMENSION_BIT(DIMENSION_TAG);
    assert_false(document_depends_on(&groups, &changed));
    changed = (struct cache_tags){2, {{"notes", false}, {"tags", false}}};
    assert_true(document_depends_on(&groups, &changed));
}

static bool asks(int64_t life_us, int64_t left_us, int64_t until_us)
{
    struct instant now = {INT64_C(1750000000000000)};
    struct cache_header header = {.computed_at = {now.us + left_us - life_us},
                                  .expires_at = {now.us + left_us},
                                  .valid_until = {now.us + until_us}};

    return document_asks_for_refresh(&header, now);
}

static void test_document_asks_for_refresh_in_the_last_tenth_of_its_ttl(void **state)
{
    int64_t life_us = INT64_C(770) * US_PER_SECOND, tenth_us = life_us / 10, day_us = INT64_C(86400) * US_PER_SECOND;

    (void)state;
    assert_false(asks(life_us, tenth_us, day_us));
    assert_true(asks(life_us, tenth_us - 1, day_us));
    assert_false(asks(life_us, tenth_us - 1, tenth_us - 1)); /* it ends with the day */
}

static void test_document_ttl_is_the_setting(void **state)
{
    struct document_request request = document_precomputed(0);

    (void)state;
    assert_int_equal(document_ttl_s(settings, &request, false), 777);
    request.section = SECTION_POSITIONS;
    assert_int_equal(document_ttl_s(settings, &request, true), 120);
    assert_int_equal(document_ttl_s(settings, &request, false), 777);
    request.section = SECTION_TEXT;
    for (request.text = 0; request.text < REPORT_TEXTS; request.text++)
        assert_int_equal(document_ttl_s(settings, &request, false),
                         request.text == REPORT_TEXT_PNL || request.text == REPORT_TEXT_NET_PNL ? 1800 : 777);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document_append_key_spells_the_families),
        cmocka_unit_test(test_document_append_key_of_groups_and_playbooks),
        cmocka_unit_test(test_document_append_key_of_what_is_computed_on_demand),
        cmocka_unit_test(test_document_append_key_of_single_numbers),
        cmocka_unit_test(test_document_append_key_hashes_month_trade_and_symbol),
        cmocka_unit_test(test_document_append_key_custom_ranges_differ_in_every_field),
        cmocka_unit_test(test_document_append_key_ignores_an_absent_bound),
        cmocka_unit_test(test_document_precomputed_lists_the_set_once),
        cmocka_unit_test(test_document_precomputed_index_knows_only_the_set),
        cmocka_unit_test(test_document_tags_are_the_assets_and_the_settings),
        cmocka_unit_test(test_document_tags_name_what_groups_and_playbooks_read),
        cmocka_unit_test(test_document_tags_of_comprehensive_name_all_it_reads),
        cmocka_unit_test(test_document_tags_of_positions_name_the_shared_prices),
        cmocka_unit_test(test_document_pick_epochs_follows_the_tags),
        cmocka_unit_test(test_document_pick_epochs_from_those_of_more_needs),
        cmocka_unit_test(test_document_depends_on_its_own_tags_only),
        cmocka_unit_test(test_document_asks_for_refresh_in_the_last_tenth_of_its_ttl),
        cmocka_unit_test(test_document_ttl_is_the_setting),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
