#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/warm.h"
#include "lib/base/text.h"
#include "lib/store/activity_hours.h"
#include "lib/store/job_stream.h"
#include "tests/support/assert_status.h"
#include "tests/support/redis_cache.h"

static int set_up(void **state)
{
    static char prefix[] = "ah:";

    (void)redis_cache_set_up(state, &(const struct settings){.key_prefix = prefix,
                                                             .cache_ttl_epoch_s = 3600,
                                                             .cache_max_value = 100000,
                                                             .cache_ttl_analytics_s = 900,
                                                             .active_window_s = 604800,
                                                             .warm_users = 4});
    return 0;
}

static struct instant at(const char *text)
{
    struct instant t = {0};

    assert_int_equal(instant_parse(text, &t), STATUS_OK);
    return t;
}

static void note(struct redis_cache *f, const char *user, const char *when, int minutes)
{
    struct err err = {0};

    for (int i = 0; i < minutes; i++) {
        OK(activity_hours_append_note(f->cache, f->redis, user, at(when), &err));
        OK(redis_flush(f->redis, &err));
    }
}

/* The ids, joined by spaces. */
static const char *join(char **ids, size_t n)
{
    static char text[512];

    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        strcat(text, i > 0 ? " " : "");
        strcat(text, ids[i]);
    }
    text_array_free(ids, n);
    return text;
}

static const char *likely(struct redis_cache *f, const char *when, size_t max)
{
    struct err err = {0};
    char **ids = NULL;
    size_t n = 0;

    OK(activity_hours_likely(f->cache, f->redis, at(when), max, &ids, &n, &err));
    return join(ids, n);
}

static void test_hour_of_week_begins_on_monday(void **state)
{
    (void)state;
    assert_int_equal(activity_hour_of_week(at("2025-06-02T00:00:00Z")), 0); /* a Monday */
    assert_int_equal(activity_hour_of_week(at("2025-06-02T00:59:59Z")), 0);
    assert_int_equal(activity_hour_of_week(at("2025-06-03T13:00:00Z")), 37);
    assert_int_equal(activity_hour_of_week(at("2025-06-08T23:59:59Z")), 167);
}

static void test_likely_are_those_of_this_hour_of_the_week(void **state)
{
    struct redis_cache *f = *state;

    note(f, "monday", "2025-06-02T09:30:00Z", 5);
    note(f, "tuesday", "2025-06-03T09:30:00Z", 5);
    note(f, "rare", "2025-06-02T09:30:00Z", 1);
    assert_string_equal(likely(f, "2025-06-09T09:00:00Z", 10), "monday rare");
    assert_string_equal(likely(f, "2025-06-09T09:00:00Z", 1), "monday");
    assert_string_equal(likely(f, "2025-06-10T09:00:00Z", 10), "tuesday");
    assert_string_equal(likely(f, "2025-06-11T09:00:00Z", 10), "");
}

/* As the hour passes, who comes in the next one counts for more; the last hour of the week is followed by the first. */
static void test_likely_move_on_to_the_next_hour(void **state)
{
    struct redis_cache *f = *state;

    note(f, "late", "2025-06-08T23:30:00Z", 4);
    note(f, "early", "2025-06-09T00:30:00Z", 4);
    note(f, "both", "2025-06-08T23:30:00Z", 2);
    note(f, "both", "2025-06-09T00:30:00Z", 3);
    assert_string_equal(likely(f, "2025-06-15T23:06:00Z", 10), "late both early");
    assert_string_equal(likely(f, "2025-06-15T23:54:00Z", 10), "early both late");
    assert_string_equal(likely(f, "2025-06-16T00:00:00Z", 10), "early both");
}

static void test_weights_halve_every_four_weeks(void **state)
{
    struct redis_cache *f = *state;

    note(f, "old", "2025-05-05T09:30:00Z", 3);
    note(f, "new", "2025-06-02T09:30:00Z", 2);
    assert_string_equal(likely(f, "2025-06-09T09:00:00Z", 10), "new old"); /* 2 against 3 / 2 */
    note(f, "old", "2025-05-05T09:30:00Z", 2);
    assert_string_equal(likely(f, "2025-06-09T09:00:00Z", 10), "old new"); /* 2 against 5 / 2 */
}

static void test_prune_and_forget(void **state)
{
    struct redis_cache *f = *state;
    struct err err = {0};
    int64_t n = 0;

    note(f, "old", "2025-01-06T09:30:00Z", 1);
    note(f, "ann", "2025-06-02T09:30:00Z", 1);
    note(f, "bob", "2025-06-02T09:30:00Z", 2);
    OK(activity_hours_prune(f->cache, f->redis, at("2025-06-09T09:00:00Z"), 112 * INT64_C(86400), &n, &err));
    assert_int_equal(n, 1);
    assert_string_equal(likely(f, "2025-06-09T09:00:00Z", 10), "bob ann");
    OK(active_users_forget(f->cache, f->redis, "bob", &err));
    assert_string_equal(likely(f, "2025-06-09T09:00:00Z", 10), "ann");
}

static void visit(struct redis_cache *f, const char *user, const char *when)
{
    struct err err = {0};

    clock_set_override(at(when));
    OK(active_users_visit(f->cache, f->redis, user, &err));
}

/* Present first, then likely, then recent; each once, at most WARM_USERS. */
static void test_warm_choose_orders_present_likely_recent(void **state)
{
    struct redis_cache *f = *state;
    struct err err = {0};
    char **ids = NULL;
    size_t n = 0;

    visit(f, "yesterday", "2025-06-08T09:00:00Z");
    visit(f, "habit", "2025-06-02T09:30:00Z");
    visit(f, "habit", "2025-06-02T09:31:00Z");
    visit(f, "gone", "2025-05-12T09:30:00Z"); /* outside the window, but this is the hour */
    visit(f, "present", "2025-06-09T08:50:00Z");
    clock_set_override(at("2025-06-09T09:00:00Z"));
    OK(warm_choose(&f->settings, f->cache, f->redis, &ids, &n, &err));
    assert_string_equal(join(ids, n), "present habit gone yesterday");
    f->settings.warm_users = 2;
    OK(warm_choose(&f->settings, f->cache, f->redis, &ids, &n, &err));
    assert_string_equal(join(ids, n), "present habit");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hour_of_week_begins_on_monday),
        cmocka_unit_test_setup_teardown(test_likely_are_those_of_this_hour_of_the_week, set_up, redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_likely_move_on_to_the_next_hour, set_up, redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_weights_halve_every_four_weeks, set_up, redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_prune_and_forget, set_up, redis_cache_tear_down),
        cmocka_unit_test_setup_teardown(test_warm_choose_orders_present_likely_recent, set_up, redis_cache_tear_down),
    };

    return cmocka_run_group_tests_name("activity_hours", tests, NULL, NULL);
}
