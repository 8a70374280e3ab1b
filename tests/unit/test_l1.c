#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/store/l1.h"
#include "tests/support/random_numbers.h"

enum { KEYS = 30, MAX_BODY = 3000, STEPS = 20000 };

static struct l1 *make(size_t max_entries, size_t max_bytes)
{
    struct l1 *l1 = NULL;

    assert_int_equal(l1_new(max_entries, max_bytes, &l1, NULL), STATUS_OK);
    return l1;
}

static bool store(struct l1 *l1, const char *key, char fill, size_t len)
{
    char body[100000];
    struct cache_header header = {.body_size = len, .cost_us = fill};

    assert_true(len <= sizeof body);
    memset(body, fill, len);
    return l1_store(l1, key, &header, body);
}

/* The letter its body is made of; 0: it is not there. */
static char fetch(struct l1 *l1, const char *key)
{
    struct l1_value *value = l1_get(l1, key);
    char fill = 0;

    if (value != NULL) {
        fill = (char)value->header.cost_us;
        assert_string_equal(value->key, key);
        for (size_t i = 0; i < value->header.body_size; i++)
            if (value->body[i] != fill)
                fail_msg("byte %zu of %s is not '%c'", i, key, fill);
    }
    l1_put(&value);
    assert_null(value);
    return fill;
}

static void test_store_over_the_entry_limit_drops_the_one_used_longest_ago(void **state)
{
    struct l1 *l1 = make(3, 1 << 20);
    struct l1_usage usage;

    (void)state;
    assert_true(store(l1, "a", 'a', 10) && store(l1, "b", 'b', 10) && store(l1, "c", 'c', 10));
    assert_int_equal(fetch(l1, "a"), 'a');
    assert_true(store(l1, "d", 'd', 10));
    assert_int_equal(fetch(l1, "b"), 0);
    assert_int_equal(fetch(l1, "a"), 'a');
    assert_int_equal(fetch(l1, "c"), 'c');
    assert_int_equal(fetch(l1, "d"), 'd');
    l1_read_usage(l1, &usage);
    assert_int_equal(usage.entries, 3);
    assert_int_equal(usage.evicted, 1);
    assert_int_equal(usage.stored, 4);
    l1_free(&l1);
}

static void test_store_over_the_byte_limit_drops_as_many_as_it_takes(void **state)
{
    struct l1 *l1 = make(1000, 100000);
    struct l1_usage usage;

    (void)state;
    for (char key[2] = "a"; key[0] <= 'z'; key[0]++)
        assert_true(store(l1, key, key[0], 8000));
    l1_read_usage(l1, &usage);
    assert_in_range(usage.bytes, 80000, 100000);
    assert_in_range(usage.entries, 10, 12);
    assert_int_equal(fetch(l1, "z"), 'z');
    assert_int_equal(fetch(l1, "a"), 0);
    assert_false(store(l1, "z", 'Z', 100000 / 8));
    assert_int_equal(fetch(l1, "z"), 0);
    l1_read_usage(l1, &usage);
    assert_int_equal(usage.too_large, 1);
    l1_free(&l1);
}

static void test_a_value_outlives_its_replacement_and_its_cache_entry(void **state)
{
    struct l1 *l1 = make(1, 1 << 20);
    struct l1_value *value;

    (void)state;
    assert_true(store(l1, "a", '1', 100));
    value = l1_get(l1, "a");
    assert_true(store(l1, "a", '2', 200));
    assert_int_equal(fetch(l1, "a"), '2');
    assert_true(store(l1, "b", '3', 10));
    assert_int_equal(value->header.body_size, 100);
    assert_int_equal(value->body[99], '1');
    l1_put(&value);
    l1_free(&l1);
}

static void test_a_cache_of_nothing_keeps_nothing(void **state)
{
    struct l1 *l1 = make(0, 65536);

    (void)state;
    (void)store(l1, "a", 'a', 10);
    assert_int_equal(fetch(l1, "a"), 0);
    l1_free(&l1);
}

/* --- any sequence of calls, against a list ------------------------------------------------------- */

struct model {
    size_t n, max_entries, max_bytes, bytes;
    struct {
        size_t key, size;
        char fill;
    } entries[KEYS + 1]; /* oldest first */
};

static size_t footprint(size_t len)
{
    return sizeof(struct l1_value) + strlen("key 00") + 1 + len;
}

static void model_take(struct model *m, size_t i)
{
    m->bytes -= m->entries[i].size;
    memmove(&m->entries[i], &m->entries[i + 1], (m->n - i - 1) * sizeof *m->entries);
    m->n--;
}

static void model_add(struct model *m, size_t key, char fill, size_t size)
{
    m->bytes += size;
    m->entries[m->n].key = key;
    m->entries[m->n].fill = fill;
    m->entries[m->n++].size = size;
}

static size_t model_find(const struct model *m, size_t key)
{
    size_t i = 0;

    while (i < m->n && m->entries[i].key != key)
        i++;
    return i;
}

static void model_store(struct model *m, size_t key, char fill, size_t len)
{
    size_t i = model_find(m, key), size = footprint(len);

    if (i < m->n)
        model_take(m, i);
    if (size <= m->max_bytes / 8)
        model_add(m, key, fill, size);
    while (m->n > m->max_entries || m->bytes > m->max_bytes)
        model_take(m, 0);
}

static char model_fetch(struct model *m, size_t key)
{
    size_t i = model_find(m, key), size;
    char fill;

    if (i == m->n)
        return 0;
    fill = m->entries[i].fill;
    size = m->entries[i].size;
    model_take(m, i);
    model_add(m, key, fill, size);
    return fill;
}

static void run_sequence(size_t max_entries, size_t max_bytes)
{
    struct model model = {.max_entries = max_entries, .max_bytes = max_bytes};
    struct l1 *l1 = make(max_entries, max_bytes);
    struct l1_usage usage;

    for (size_t step = 0; step < STEPS; step++) {
        size_t i = (size_t)below(KEYS), len = (size_t)below(MAX_BODY);
        char key[16], fill = (char)('a' + below(26)), got, expected;

        (void)snprintf(key, sizeof key, "key %02zu", i);
        if (below(3) == 0) {
            (void)store(l1, key, fill, len);
            model_store(&model, i, fill, len);
            continue;
        }
        got = fetch(l1, key);
        expected = model_fetch(&model, i);
        if (got != expected)
            fail_msg("step %zu: %s holds '%c' instead of '%c'", step, key, got, expected);
        l1_read_usage(l1, &usage);
        assert_int_equal(usage.entries, model.n);
        assert_int_equal(usage.bytes, model.bytes);
    }
    l1_free(&l1);
}

static void test_any_sequence_of_calls_agrees_with_a_list(void **state)
{
    (void)state;
    random_state = 4;
    run_sequence(10, 1 << 20);
    run_sequence(KEYS, 24000);
    run_sequence(12, 22000);
}

/* --- threads ---------------------------------------------------------------------------------------- */

static void *read_and_replace(void *argument)
{
    struct l1 *l1 = argument;

    for (int i = 0; i < 20000; i++) {
        char key[2] = {(char)('a' + i % 7), '\0'};
        struct l1_value *value = l1_get(l1, key);

        for (size_t at = 0; value != NULL && at < value->header.body_size; at++)
            if (value->body[at] != (char)value->header.cost_us)
                return argument;
        l1_put(&value);
        if (i % 3 == 0) {
            char body[64];
            struct cache_header header = {.body_size = (size_t)(i % 64), .cost_us = 'A' + i % 26};

            memset(body, (int)header.cost_us, sizeof body);
            (void)l1_store(l1, key, &header, body);
        }
    }
    return NULL;
}

static void test_threads_that_read_and_replace_see_whole_values(void **state)
{
    struct l1 *l1 = make(4, 65536);
    pthread_t threads[4];
    void *problem;

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_and_replace, l1), 0);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &problem), 0);
        assert_null(problem);
    }
    l1_free(&l1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_over_the_entry_limit_drops_the_one_used_longest_ago),
        cmocka_unit_test(test_store_over_the_byte_limit_drops_as_many_as_it_takes),
        cmocka_unit_test(test_a_value_outlives_its_replacement_and_its_cache_entry),
        cmocka_unit_test(test_a_cache_of_nothing_keeps_nothing),
        cmocka_unit_test(test_any_sequence_of_calls_agrees_with_a_list),
        cmocka_unit_test(test_threads_that_read_and_replace_see_whole_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
