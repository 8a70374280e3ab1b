#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/miss_queue.h"
#include "tests/support/assert_status.h"

static char landed[256]; /* the names of what has landed, in order */

static void note_landed(struct exchange *x)
{
    strcat(landed, x->request.id);
}

static struct miss_queue *new_queue(size_t max)
{
    struct miss_queue *q = NULL;
    struct err err;

    landed[0] = '\0';
    OK(miss_queue_new(max, &q, &err));
    return q;
}

/* A request for one of a user's documents; `name` is one letter. */
static struct exchange *ask(const char *name, const char *user_id, const char *key)
{
    struct exchange *x = NULL;
    struct err err;

    OK(exchange_new(&x, &err));
    (void)snprintf(x->request.id, sizeof x->request.id, "%s", name);
    (void)snprintf(x->user_id, sizeof x->user_id, "%s", user_id);
    buf_append_string(&x->key, key);
    return x;
}

static void free_all(size_t n, struct exchange **x)
{
    for (size_t i = 0; i < n; i++)
        exchange_free(&x[i]);
}

/* What a flight carries, as letters. */
static void assert_carries(const struct flight *f, const char *names)
{
    char got[64] = "";
    size_t n = 0;

    assert_non_null(f);
    for (const struct exchange *x = f->first; x; x = x->next, n++)
        strcat(got, x->request.id);
    assert_string_equal(got, names);
    assert_int_equal(f->n, n);
}

static void submit(struct miss_queue *q, struct exchange *x)
{
    assert_int_equal(miss_queue_submit(q, x), STATUS_OK);
}

static void test_requests_join_until_the_flight_begins(void **state)
{
    struct miss_queue *q = new_queue(10);
    struct exchange *x[] = {ask("a", "u", "k"), ask("b", "u", "k"), ask("c", "u", "k"), ask("d", "u", "k")};

    (void)state;
    submit(q, x[0]);
    submit(q, x[1]);
    struct flight *f = miss_queue_take(q);
    submit(q, x[2]); /* it has begun: these may not get its result */
    submit(q, x[3]);
    assert_carries(f, "ab");
    miss_queue_land(q, f, note_landed);
    assert_string_equal(landed, "ab");
    f = miss_queue_take(q);
    assert_carries(f, "cd");
    miss_queue_land(q, f, note_landed);
    assert_string_equal(landed, "abcd");
    miss_queue_free(&q);
    free_all(4, x);
}

static void test_only_alike_requests_join(void **state)
{
    struct miss_queue *q = new_queue(10);
    struct exchange *x[] = {ask("a", "u", "k"), ask("b", "u", "other"), ask("c", "u", "k"), ask("d", "u", "k"),
                            ask("e", "u", "k")};

    (void)state;
    x[2]->bypass = true;
    x[3]->recompute = true;
    for (size_t i = 0; i < 5; i++)
        submit(q, x[i]);
    static const char *const expected[] = {"ae", "b", "c", "d"};
    for (size_t i = 0; i < 4; i++) {
        struct flight *f = miss_queue_take(q);
        assert_carries(f, expected[i]);
        miss_queue_land(q, f, note_landed);
    }
    miss_queue_free(&q);
    free_all(5, x);
}

static void test_a_full_queue_refuses_new_flights_and_lets_others_join(void **state)
{
    struct miss_queue *q = new_queue(2);
    struct exchange *x[] = {ask("a", "u", "1"), ask("b", "u", "2"), ask("c", "u", "3"), ask("d", "u", "1")};

    (void)state;
    submit(q, x[0]);
    submit(q, x[1]);
    assert_int_equal(miss_queue_submit(q, x[2]), STATUS_LIMIT);
    submit(q, x[3]);
    struct flight *f = miss_queue_take(q);
    assert_carries(f, "ad");
    assert_int_equal(miss_queue_submit(q, x[2]), STATUS_LIMIT); /* it still holds its place */
    miss_queue_land(q, f, note_landed);
    submit(q, x[2]);
    for (int i = 0; i < 2; i++)
        miss_queue_land(q, miss_queue_take(q), note_landed);
    assert_string_equal(landed, "adbc");
    miss_queue_free(&q);
    free_all(4, x);
}

static void test_users_take_turns(void **state)
{
    struct miss_queue *q = new_queue(10);
    struct exchange *x[] = {ask("a", "busy", "1"), ask("b", "busy", "2"), ask("c", "busy", "3"), ask("d", "calm", "4"),
                            ask("e", "late", "5")};

    (void)state;
    for (size_t i = 0; i < 5; i++)
        submit(q, x[i]);
    for (size_t i = 0; i < 5; i++)
        miss_queue_land(q, miss_queue_take(q), note_landed);
    assert_string_equal(landed, "adebc");
    miss_queue_free(&q);
    free_all(5, x);
}

static void test_a_parked_flight_takes_in_its_successor_and_whoever_comes(void **state)
{
    struct miss_queue *q = new_queue(10);
    struct exchange *x[] = {ask("a", "u", "k"), ask("b", "u", "k"), ask("c", "u", "k"), ask("d", "v", "x")};
    struct flight *due[4];
    bool go_on;

    (void)state;
    submit(q, x[0]);
    struct flight *f = miss_queue_take(q);
    submit(q, x[1]);
    miss_queue_park(q, f, 1);
    assert_int_equal(f->n_parked, 1);
    submit(q, x[2]);
    assert_carries(f, "abc");
    submit(q, x[3]); /* nobody waits behind a parked flight */
    miss_queue_land(q, miss_queue_take(q), note_landed);
    assert_string_equal(landed, "d");
    assert_int_equal(miss_queue_await_due(q, INT64_MAX / 2, due, 4, &go_on), 1);
    assert_true(go_on);
    assert_ptr_equal(due[0], f);
    miss_queue_unpark(q, f);
    assert_ptr_equal(miss_queue_take(q), f);
    miss_queue_land(q, f, note_landed);
    assert_string_equal(landed, "dabc");
    miss_queue_free(&q);
    free_all(4, x);
}

static void test_await_due_gives_only_what_is_due(void **state)
{
    struct miss_queue *q = new_queue(10);
    struct exchange *x[] = {ask("a", "u", "1"), ask("b", "u", "2"), ask("c", "u", "3")};
    struct flight *f[3], *due[4];
    bool go_on;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        submit(q, x[i]);
        f[i] = miss_queue_take(q);
        miss_queue_park(q, f[i], i == 1 ? 1 : 100000);
    }
    assert_int_equal(miss_queue_await_due(q, INT64_MAX / 2, due, 4, &go_on), 1);
    assert_ptr_equal(due[0], f[1]);
    miss_queue_look_again(q, f[1], 100000);
    assert_int_equal(miss_queue_await_due(q, clock_monotonic_ms() + 2, due, 4, &go_on), 0);
    assert_true(go_on);
    miss_queue_close_parking(q);
    assert_int_equal(miss_queue_await_due(q, INT64_MAX / 2, due, 4, &go_on), 0);
    assert_false(go_on);
    miss_queue_stop(q);
    for (size_t i = 0; i < 3; i++) { /* nothing is forgotten, and nothing is parked any more */
        struct flight *left = miss_queue_take(q);
        if (i == 0) {
            miss_queue_park(q, left, 100000);
            left = miss_queue_take(q);
        }
        miss_queue_land(q, left, note_landed);
    }
    assert_int_equal(strlen(landed), 3);
    assert_null(miss_queue_take(q));
    miss_queue_free(&q);
    miss_queue_free(&q);
    free_all(3, x);
}

static void test_free_takes_what_is_left(void **state)
{
    struct miss_queue *q = new_queue(10);
    struct exchange *x[] = {ask("a", "u", "1"), ask("b", "u", "2")};

    (void)state;
    submit(q, x[0]);
    miss_queue_park(q, miss_queue_take(q), 1000);
    submit(q, x[1]);
    miss_queue_free(&q);
    free_all(2, x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_join_until_the_flight_begins),
        cmocka_unit_test(test_only_alike_requests_join),
        cmocka_unit_test(test_a_full_queue_refuses_new_flights_and_lets_others_join),
        cmocka_unit_test(test_users_take_turns),
        cmocka_unit_test(test_a_parked_flight_takes_in_its_successor_and_whoever_comes),
        cmocka_unit_test(test_await_due_gives_only_what_is_due),
        cmocka_unit_test(test_free_takes_what_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
