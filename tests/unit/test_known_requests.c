#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/known_requests.h"

static struct known_requests *new_known(void)
{
    struct known_requests *known;
    struct err err;

    assert_int_equal(known_requests_new(&known, &err), STATUS_OK);
    return known;
}

static struct exchange *new_exchange(void)
{
    struct exchange *x;
    struct err err;

    assert_int_equal(exchange_new(&x, &err), STATUS_OK);
    return x;
}

static struct record_params params_of(const char *text, size_t len)
{
    const unsigned char *at = (const unsigned char *)text;

    return (struct record_params){at, at + len};
}

static struct exchange *take(struct known_requests *known, const char *text)
{
    return known_requests_take(known, params_of(text, strlen(text)));
}

/* The request comes and is answered by x. What was not kept. */
static struct exchange *answer(struct known_requests *known, const char *text, struct exchange *x)
{
    assert_null(take(known, text));
    struct exchange *left = known_requests_keep(known, x);
    known_requests_end(known);
    return left;
}

static void test_kept_from_the_second_time_on(void **state)
{
    struct known_requests *known = new_known();
    struct exchange *x = new_exchange();

    (void)state;
    assert_ptr_equal(answer(known, "GET /a", x), x);
    assert_null(answer(known, "GET /a", x));
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(take(known, "GET /a"), x);
        assert_true(x->known);
        assert_null(take(known, "GET /a")); /* it is with the caller */
        assert_null(known_requests_keep(known, x));
        known_requests_end(known);
    }
    known_requests_free(&known);
    assert_null(known);
}

static void test_only_the_very_same_bytes(void **state)
{
    struct known_requests *known = new_known();
    struct exchange *x = new_exchange();
    char text[] = "GET /api/stocks Bearer abcdef";

    (void)state;
    assert_ptr_equal(answer(known, text, x), x);
    assert_null(answer(known, text, x));
    for (size_t i = 0; i < strlen(text); i++) {
        text[i] ^= 1;
        assert_null(take(known, text));
        text[i] ^= 1;
    }
    assert_null(known_requests_take(known, params_of(text, strlen(text) - 1)));
    assert_null(known_requests_take(known, params_of(text, strlen(text) + 1)));
    assert_ptr_equal(take(known, text), x);
    exchange_free(&x);
    known_requests_free(&known);
}

static void test_what_was_decided_is_not_kept(void **state)
{
    struct known_requests *known = new_known();
    struct exchange *x = new_exchange();

    (void)state;
    buf_append_string(&x->key, "analytics:x");
    memcpy(x->user_id, "ann", 4);
    x->route = 7;
    assert_ptr_equal(answer(known, "a", x), x);
    x->admitted = x->limited = x->bypass = x->recompute = x->session.read = true;
    x->next = x;
    assert_null(answer(known, "a", x));
    assert_ptr_equal(take(known, "a"), x);
    assert_false(x->admitted || x->limited || x->bypass || x->recompute || x->session.read || x->next);
    assert_string_equal(x->key.data, "analytics:x");
    assert_string_equal(x->user_id, "ann");
    assert_int_equal(x->route, 7);
    exchange_clear(x);
    assert_false(x->known);
    exchange_free(&x);
    known_requests_free(&known);
}

static void test_nothing_is_kept_of_a_request_that_is_over_or_too_long(void **state)
{
    struct known_requests *known = new_known();
    struct exchange *x = new_exchange();
    static char text[4097];

    (void)state;
    memset(text, 'x', sizeof(text));
    for (int i = 0; i < 3; i++) {
        assert_null(take(known, "a"));
        known_requests_end(known);
        assert_ptr_equal(known_requests_keep(known, x), x);
        assert_null(known_requests_take(known, params_of(text, sizeof(text))));
        assert_ptr_equal(known_requests_keep(known, x), x);
    }
    assert_null(known_requests_take(known, params_of(text, sizeof(text) - 1)));
    assert_ptr_equal(known_requests_keep(known, x), x);
    assert_null(known_requests_take(known, params_of(text, sizeof(text) - 1)));
    assert_null(known_requests_keep(known, x));
    known_requests_clear(known);
    assert_null(known_requests_take(known, params_of(text, sizeof(text) - 1)));
    known_requests_free(&known);
}

/* However many come once, none of them takes the place of one that comes again. */
static void test_what_comes_once_displaces_nothing(void **state)
{
    struct known_requests *known = new_known();
    struct exchange *x = new_exchange(), *other = new_exchange();
    char text[32];

    (void)state;
    assert_ptr_equal(answer(known, "again", x), x);
    assert_null(answer(known, "again", x));
    for (int i = 0; i < 20000; i++) {
        snprintf(text, sizeof(text), "once %d", i);
        assert_ptr_equal(answer(known, text, other), other);
    }
    assert_ptr_equal(take(known, "again"), x);
    exchange_free(&x);
    exchange_free(&other);
    known_requests_free(&known);
}

/* Of many that come again each is in one place, or with the caller. */
static void test_of_two_in_one_place_the_later_is_kept(void **state)
{
    enum { MANY = 3000 };
    struct known_requests *known = new_known();
    size_t kept = 0, displaced = 0;
    char text[32];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        struct exchange *x = new_exchange(), *left;

        snprintf(text, sizeof(text), "%d", i);
        assert_ptr_equal(answer(known, text, x), x);
        left = answer(known, text, x);
        assert_ptr_not_equal(left, x);
        displaced += left != NULL;
        exchange_free(&left);
        assert_ptr_equal(take(known, text), x);
        assert_null(known_requests_keep(known, x));
    }
    for (int i = 0; i < MANY; i++) {
        snprintf(text, sizeof(text), "%d", i);
        struct exchange *x = take(known, text);
        kept += x != NULL;
        exchange_free(&x);
    }
    assert_true(kept > 0 && kept < MANY);
    assert_int_equal(kept + displaced, MANY);
    known_requests_free(&known);
}

static void test_no_table(void **state)
{
    struct exchange *x = new_exchange();

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(answer(NULL, "a", x), x);
    known_requests_clear(NULL);
    exchange_free(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_from_the_second_time_on),
        cmocka_unit_test(test_only_the_very_same_bytes),
        cmocka_unit_test(test_what_was_decided_is_not_kept),
        cmocka_unit_test(test_nothing_is_kept_of_a_request_that_is_over_or_too_long),
        cmocka_unit_test(test_what_comes_once_displaces_nothing),
        cmocka_unit_test(test_of_two_in_one_place_the_later_is_kept),
        cmocka_unit_test(test_no_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
