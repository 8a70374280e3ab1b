/* Every place found is the one that sorting everything gives, whatever the values look like. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/analytics/ranking.h"
#include "tests/support/random_numbers.h"

#define MAX 3000
#define SHAPES 9
#define PLACES 9

static int64_t integers[MAX];
static double doubles[MAX];
static int64_t exact[MAX]; /* what the doubles are roundings of */
static size_t order[MAX];

static int64_t random_integer(int shape)
{
    int64_t sign = below(2) == 0 ? 1 : -1;

    switch (shape) {
    case 0: return below(40000) - 20000;
    case 1: return 7;
    case 2: return below(3) - 1;
    case 3: return below(50) == 0 ? sign * below(INT64_C(1) << 62) : below(1000); /* outliers */
    case 4: return sign * (INT64_C(1) << below(62));
    case 5: return (INT64_C(1) << 61) + below(20); /* close together and far from 0: rounded to few doubles */
    case 6: return below(2) == 0 ? INT64_MAX - below(1000) : INT64_MIN + below(1000);
    case 7: return (below(200) << 50) + below(100); /* clusters, each of a few doubles, on the edges of buckets, too */
    default: return sign * below(INT64_C(1) << (1 + below(61)));
    }
}

/* Up to two units in the last place beside the value. */
static double near(double value)
{
    double to = below(2) == 0 ? INFINITY : -INFINITY;

    for (int64_t steps = below(3); steps > 0; steps--)
        value = nextafter(value, to);
    return value;
}

static void fill(size_t n, int shape)
{
    for (size_t i = 0; i < n; i++) {
        integers[i] = exact[i] = random_integer(shape);
        doubles[i] = near((double)exact[i]);
    }
}

static int compare_positions(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;

    if (exact[x] != exact[y])
        return exact[x] < exact[y] ? -1 : 1;
    return (x > y) - (x < y);
}

static bool is_less(const void *context, uint32_t a, uint32_t b)
{
    (void)context;
    return exact[a] < exact[b];
}

/* Starts that ascend, now and then the same; some leave few values. */
static size_t choose_places(size_t n, struct ranking_place *places)
{
    size_t n_places = 1 + (size_t)below(PLACES);
    uint32_t first = below(3) == 0 ? (uint32_t)below((int64_t)n) : 0;

    for (size_t p = 0; p < n_places; p++) {
        places[p] = (struct ranking_place){.first = first, .k = (size_t)below((int64_t)(n - first))};
        if (below(2) == 0)
            places[p].k = (n - first - 1) / 2;
        if (below(4) != 0)
            first += (uint32_t)below((int64_t)(n - first));
    }
    return n_places;
}

static void check_place(const struct ranking_place *place, uint32_t first, size_t k, size_t n)
{
    size_t mine[MAX], n_mine = 0, next;

    for (size_t i = 0; i < n; i++)
        if (order[i] >= first)
            mine[n_mine++] = order[i];
    next = k + 1 < n_mine ? k + 1 : k;
    assert_true(place->position >= first && exact[place->position] == exact[mine[k]]);
    assert_true(place->next >= first && exact[place->next] == exact[mine[next]]);
}

static void check_find(struct ranking *r, size_t n, bool of_doubles, const struct ranking_order *settled)
{
    struct ranking_place places[PLACES], asked[PLACES];
    size_t n_places = choose_places(n, places);

    memcpy(asked, places, sizeof asked);
    if (of_doubles)
        assert_int_equal(ranking_find_doubles(r, doubles, n, settled, places, n_places), STATUS_OK);
    else
        assert_int_equal(ranking_find_integers(r, integers, n, places, n_places), STATUS_OK);
    for (size_t p = 0; p < n_places; p++)
        check_place(&places[p], asked[p].first, asked[p].k, n);
}

static void check_sorted(const struct ranking *r, size_t n)
{
    assert_int_equal(r->n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(exact[r->positions[i]], exact[order[i]]);
}

static void test_places_are_those_of_the_whole_order(void **state)
{
    static const size_t sizes[] = {1, 2, 47, 49, 255, 256, 300, 2000, MAX};
    const struct ranking_order settled = {is_less, NULL};
    struct ranking r = {0};

    (void)state;
    random_state = 4711;
    for (int round = 0; round < 40; round++) {
        for (int shape = 0; shape < SHAPES; shape++) {
            size_t n = sizes[below(sizeof sizes / sizeof sizes[0])];

            fill(n, shape);
            for (size_t i = 0; i < n; i++)
                order[i] = i;
            qsort(order, n, sizeof order[0], compare_positions);
            check_find(&r, n, false, NULL);
            check_find(&r, n, true, &settled);
            assert_int_equal(ranking_sort_doubles(&r, doubles, n), STATUS_OK);
            ranking_settle(&r, 8, &settled);
            check_sorted(&r, n);
        }
    }
    ranking_release(&r);
}

static void test_sorting_is_stable(void **state)
{
    struct ranking r = {0};

    (void)state;
    random_state = 3;
    for (size_t i = 0; i < MAX; i++)
        doubles[i] = (double)below(MAX / 10) / 7;
    assert_int_equal(ranking_sort_doubles(&r, doubles, MAX), STATUS_OK);
    for (size_t i = 1; i < MAX; i++) {
        uint32_t a = r.positions[i - 1], b = r.positions[i];

        assert_true(doubles[a] < doubles[b] || (doubles[a] == doubles[b] && a < b));
    }
    ranking_release(&r);
}

static void test_a_median_leaves_most_values_unsorted(void **state)
{
    struct ranking_place place = {.first = 0, .k = (MAX - 1) / 2};
    struct ranking r = {0};

    (void)state;
    random_state = 12;
    fill(MAX, 0);
    assert_int_equal(ranking_find_doubles(&r, doubles, MAX, NULL, &place, 1), STATUS_OK);
    assert_true(r.n < MAX / 20);
    ranking_release(&r);
}

static void test_nothing_has_no_place(void **state)
{
    struct ranking r = {0};

    (void)state;
    assert_int_equal(ranking_find_integers(&r, integers, 0, NULL, 0), STATUS_OK);
    assert_int_equal(r.n, 0);
    ranking_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places_are_those_of_the_whole_order),
        cmocka_unit_test(test_sorting_is_stable),
        cmocka_unit_test(test_a_median_leaves_most_values_unsorted),
        cmocka_unit_test(test_nothing_has_no_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
