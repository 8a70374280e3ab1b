#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "fcgi/cache_order.h"

#define ALL (ORDER_BIT(ORDER_KINDS) - 1)

static const struct {
    const char *body;
    unsigned allowed;
    enum cache_order_kind kind;
    const char *text;     /* NULL: refused */
    const char *field[3]; /* what the problems name, in this order */
} cases[] = {
    {"{\"user_id\": \"u-42\"}", ALL, ORDER_USER, "u-42", {0}},
    {"{\"symbol\": \"brk.b\"}", ALL, ORDER_SYMBOL, "BRK.B", {0}},
    {"{\"symbols\": [\"b\", \"A\", \"B\"]}", ALL, ORDER_SYMBOLS, "A,B", {0}},
    {"{\"tag\": \"stocks\"}", ALL, ORDER_TAG, "stocks", {0}},
    {"{\"all\": true}", ALL, ORDER_ALL, "", {0}},
    {"{}", ALL, 0, NULL, {""}},
    {"{\"other\": 1}", ALL, 0, NULL, {"other"}},
    {"{\"all\": true}", ORDER_BIT(ORDER_USER), 0, NULL, {"all"}},
    {"{\"all\": 1}", ALL, 0, NULL, {"all"}},
    {"{\"all\": null}", ALL, 0, NULL, {"all"}},
    {"{\"user_id\": null}", ALL, 0, NULL, {"user_id"}},
    {"{\"user_id\": \"a\", \"tag\": \"stocks\", \"x\": 1}", ALL, 0, NULL, {"tag", "x"}},
    {"{\"user_id\": \"\", \"tag\": \"stocks\"}", ALL, 0, NULL, {"user_id", "tag"}},
    {"{\"tag\": \"no-such\"}", ALL, 0, NULL, {"tag"}},
    {"{\"dataset\": \"no-such\"}", ALL, 0, NULL, {"dataset"}},
    {"{\"symbol\": \"A,B\"}", ALL, 0, NULL, {"symbol"}},
    {"{\"symbol\": \"\"}", ALL, 0, NULL, {"symbol"}},
    {"{\"symbols\": []}", ALL, 0, NULL, {"symbols"}},
    {"{\"symbols\": [\"A\", 1]}", ALL, 0, NULL, {"symbols"}},
    {"{\"symbols\": [\"A,B\"]}", ALL, 0, NULL, {"symbols"}},
    {"{\"symbols\": [\"A\", \"?\"]}", ALL, 0, NULL, {"symbols"}},
    {"{\"symbols\": {\"a\": \"A\"}}", ALL, 0, NULL, {"symbols"}},
};

static void check_case(size_t i)
{
    struct problem_fields problems = {.n = 0};
    struct cache_order order;
    struct buf body = BUF_INIT;
    struct err err = {""};

    buf_append_string(&body, cases[i].body);
    if (cache_order_read(&body, cases[i].allowed, NULL, &order, &problems, &err) != STATUS_OK)
        fail_msg("case %zu: %s", i, err.text);
    for (size_t k = 0; k < 3 && cases[i].field[k]; k++)
        if (k >= problems.n || strcmp(problems.fields[k].field, cases[i].field[k]) != 0)
            fail_msg("case %zu: problem %zu names '%s'", i, k, k < problems.n ? problems.fields[k].field : "nothing");
    if ((problems.n == 0) != (cases[i].text != NULL))
        fail_msg("case %zu: %zu problems", i, problems.n);
    if (cases[i].text &&
        (order.kind != cases[i].kind || strcmp(order.text.data ? order.text.data : "", cases[i].text) != 0))
        fail_msg("case %zu: %s '%s'", i, cache_order_name(order.kind), order.text.data);
    cache_order_release(&order);
    buf_release(&body);
}

static void test_an_order_is_one_member_and_every_other_a_problem(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_case(i);
}

static void test_what_is_no_object_is_refused(void **state)
{
    static const char *const bodies[] = {"", "[]", "1", "\"user_id\"", "{", "null"};

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct problem_fields problems = {.n = 0};
        struct cache_order order;
        struct buf body = BUF_INIT;
        struct err err = {""};

        buf_append_string(&body, bodies[i]);
        if (cache_order_read(&body, ALL, NULL, &order, &problems, &err) != STATUS_INVALID || err.text[0] == '\0')
            fail_msg("case %zu", i);
        cache_order_release(&order);
        buf_release(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_order_is_one_member_and_every_other_a_problem),
        cmocka_unit_test(test_what_is_no_object_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
