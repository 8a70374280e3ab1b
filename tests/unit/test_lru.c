#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/lru.h"
#include "tests/support/random_numbers.h"

enum { MEMBERS = 40, STEPS = 20000 };

/* What it should be: the members' numbers, oldest first. */
struct model {
    size_t n, order[MEMBERS];
};

static bool model_take(struct model *m, size_t member)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->order[i] == member) {
            memmove(&m->order[i], &m->order[i + 1], (m->n - i - 1) * sizeof *m->order);
            m->n--;
            return true;
        }
    return false;
}

/* Few hashes, so that many members share one, and buckets share several. */
static uint64_t hash_of(size_t member)
{
    return member % 7 * 16;
}

static bool is_found(const struct lru *lru, const struct lru_node *member, uint64_t hash)
{
    for (const struct lru_node *n = lru_first(lru, hash); n != NULL; n = lru_next(n))
        if (n == member)
            return true;
    return false;
}

static void assert_same(const struct lru *lru, const struct model *m, const struct lru_node *members, size_t step)
{
    const struct lru_node *n = lru->ends.newer;
    size_t n_found = 0;

    if (lru->n != m->n)
        fail_msg("step %zu: %zu members instead of %zu", step, lru->n, m->n);
    for (size_t i = 0; i < m->n; i++, n = n->newer)
        if (n != &members[m->order[i]] || n->newer->older != n || !is_found(lru, n, hash_of(m->order[i])))
            fail_msg("step %zu: place %zu holds the wrong member, or it is not found", step, i);
    assert_ptr_equal(n, &lru->ends);
    for (size_t i = 0; i < MEMBERS; i++)
        n_found += is_found(lru, &members[i], hash_of(i));
    if (n_found != m->n)
        fail_msg("step %zu: %zu members are found instead of %zu", step, n_found, m->n);
}

static void test_any_sequence_of_calls_agrees_with_a_list(void **state)
{
    struct lru_node members[MEMBERS];
    struct model model = {0};
    struct lru lru;

    (void)state;
    random_state = 20261126;
    assert_int_equal(lru_init(&lru, 10, NULL), STATUS_OK);
    assert_null(lru_oldest(&lru));
    for (size_t step = 0; step < STEPS; step++) {
        size_t i = (size_t)below(MEMBERS);
        bool inside = model_take(&model, i), removed = inside && below(2) == 0;

        if (removed)
            lru_remove(&lru, &members[i]);
        else if (inside)
            lru_touch(&lru, &members[i]);
        else
            lru_add(&lru, &members[i], hash_of(i));
        if (!removed)
            model.order[model.n++] = i;
        assert_same(&lru, &model, members, step);
        assert_ptr_equal(lru_oldest(&lru), model.n > 0 ? &members[model.order[0]] : NULL);
    }
    lru_release(&lru);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_sequence_of_calls_agrees_with_a_list)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
