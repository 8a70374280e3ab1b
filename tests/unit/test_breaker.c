#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/store/breaker.h"
#include "tests/support/assert_status.h"

struct change {
    int opened, closed;
    char why[128];
};

static void note(void *context, bool closed, const char *why)
{
    struct change *c = context;

    c->opened += !closed;
    c->closed += closed;
    strncpy(c->why, why, sizeof c->why - 1);
}

static struct change change;

/* Far from 0, as the monotonic clock is. */
#define NOW INT64_C(1000000)

static struct breaker *new_breaker(void)
{
    struct breaker_options options = {
        .first_pause_ms = 100, .last_pause_ms = 800, .on_change = note, .context = &change};
    struct breaker *b = NULL;
    struct err err;

    change = (struct change){0};
    OK(breaker_new(&options, &b, &err));
    return b;
}

static bool admits(struct breaker *b, bool probes, int64_t now_ms)
{
    return breaker_admit(b, probes, now_ms, NULL) == STATUS_OK;
}

/* Opens it, or fails a probe: *ret_pause_ms is what it waits. The next probe is admitted exactly at its end. */
static int64_t fail_at(struct breaker *b, int64_t now_ms)
{
    int64_t at_ms;

    breaker_fail(b, BREAKER_REFUSED, "refused", now_ms);
    at_ms = breaker_retry_at_ms(b);
    assert_false(admits(b, true, at_ms - 1));
    return at_ms;
}

static void test_admit_while_closed_lets_everybody_connect(void **state)
{
    struct breaker *b = new_breaker();

    (void)state;
    assert_true(admits(b, false, NOW) && admits(b, true, NOW));
    breaker_succeed(b, NOW);
    assert_int_equal(breaker_state(b), BREAKER_CLOSED);
    assert_int_equal(change.opened + change.closed, 0);
    assert_int_equal(breaker_retry_at_ms(b), 0);
    breaker_free(&b);
    breaker_free(&b);
}

static void test_fail_opens_it_for_all_but_one_prober_after_the_pause(void **state)
{
    struct breaker *b = new_breaker();
    struct err err = {0};
    int64_t at_ms = fail_at(b, NOW);

    (void)state;
    assert_true(at_ms >= NOW + 50 && at_ms <= NOW + 100);
    assert_int_equal(breaker_state(b), BREAKER_OPEN);
    assert_int_equal(breaker_admit(b, false, at_ms + 10000, &err), STATUS_UNAVAILABLE);
    assert_non_null(strstr(err.text, "refused"));
    assert_int_equal(breaker_state(b), BREAKER_OPEN);
    assert_true(admits(b, true, at_ms));
    assert_int_equal(breaker_state(b), BREAKER_PROBING);
    assert_false(admits(b, true, at_ms));
    assert_false(admits(b, false, at_ms));
    breaker_succeed(b, at_ms + 7);
    assert_int_equal(breaker_state(b), BREAKER_CLOSED);
    assert_true(admits(b, false, at_ms + 7));
    breaker_free(&b);
}

static void test_changes_are_told_once_each(void **state)
{
    struct breaker *b = new_breaker();
    int64_t at_ms = fail_at(b, NOW);

    (void)state;
    breaker_fail(b, BREAKER_REFUSED, "another thread's", NOW + 1);
    for (int i = 0; i < 3; i++) {
        assert_true(admits(b, true, at_ms));
        at_ms = fail_at(b, at_ms);
    }
    assert_int_equal(change.opened, 1);
    assert_string_equal(change.why, "refused");
    assert_true(admits(b, true, at_ms));
    breaker_succeed(b, at_ms);
    breaker_succeed(b, at_ms);
    assert_int_equal(change.opened, 1);
    assert_int_equal(change.closed, 1);
    breaker_free(&b);
}

/* With jitter a pause lies between half of its length and all of it. */
static void test_pauses_double_up_to_the_last(void **state)
{
    static const int64_t pauses[] = {100, 200, 400, 800, 800, 800};
    struct breaker *b = new_breaker();
    int64_t now_ms = NOW;

    (void)state;
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        int64_t at_ms = fail_at(b, now_ms);

        if (at_ms < now_ms + pauses[i] / 2 || at_ms > now_ms + pauses[i])
            fail_msg("pause %zu: %lld ms", i, (long long)(at_ms - now_ms));
        now_ms = at_ms;
        assert_true(admits(b, true, now_ms));
    }
    breaker_free(&b);
}

static void test_a_server_that_comes_and_goes_is_tried_less_often_until_it_stays(void **state)
{
    struct breaker *b = new_breaker();
    int64_t at_ms = fail_at(b, NOW), again_ms;

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_true(admits(b, true, at_ms));
        breaker_succeed(b, at_ms);
        again_ms = at_ms + 10;
        at_ms = fail_at(b, again_ms);
    }
    assert_true(at_ms - again_ms >= 400);
    assert_true(admits(b, true, at_ms));
    breaker_succeed(b, at_ms);
    again_ms = at_ms + 60000;
    assert_true(fail_at(b, again_ms) - again_ms <= 100);
    breaker_free(&b);
}

static void test_an_open_breaker_keeps_its_pause_when_others_fail_too(void **state)
{
    struct breaker *b = new_breaker();
    int64_t at_ms = fail_at(b, NOW);

    (void)state;
    for (int i = 0; i < 5; i++)
        breaker_fail(b, BREAKER_SILENT, "late", NOW + 40);
    assert_int_equal(breaker_retry_at_ms(b), at_ms);
    breaker_free(&b);
}

static void test_silences_grow_once_an_outage(void **state)
{
    struct breaker *b = new_breaker();
    int64_t at_ms = fail_at(b, NOW);

    (void)state;
    assert_int_equal(breaker_silences(b), 0); /* refused: whoever has a connection keeps it */
    breaker_fail(b, BREAKER_SILENT, "silent", NOW + 1);
    breaker_fail(b, BREAKER_SILENT, "silent", NOW + 2);
    assert_int_equal(breaker_silences(b), 1);
    assert_true(admits(b, true, at_ms));
    breaker_succeed(b, at_ms);
    breaker_fail(b, BREAKER_SILENT, "silent", at_ms + 1);
    assert_int_equal(breaker_silences(b), 2);
    breaker_free(&b);
}

static void test_jitter_stays_within_half_and_all(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t ms = breaker_jitter_ms(1000);
        assert_true(ms >= 500 && ms <= 1000);
    }
    assert_int_equal(breaker_jitter_ms(0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_admit_while_closed_lets_everybody_connect),
        cmocka_unit_test(test_fail_opens_it_for_all_but_one_prober_after_the_pause),
        cmocka_unit_test(test_changes_are_told_once_each),
        cmocka_unit_test(test_pauses_double_up_to_the_last),
        cmocka_unit_test(test_a_server_that_comes_and_goes_is_tried_less_often_until_it_stays),
        cmocka_unit_test(test_an_open_breaker_keeps_its_pause_when_others_fail_too),
        cmocka_unit_test(test_silences_grow_once_an_outage),
        cmocka_unit_test(test_jitter_stays_within_half_and_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
