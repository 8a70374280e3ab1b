#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "fcgi/lane.h"

static struct lane *new_lane(size_t max_items, size_t max_weight)
{
    struct lane *lane = NULL;
    struct err err;

    assert_int_equal(lane_new(sizeof(int), max_items, max_weight, &lane, &err), STATUS_OK);
    return lane;
}

static enum status put(struct lane *lane, int item, size_t weight)
{
    return lane_put(lane, &item, 1, weight);
}

static void assert_takes(struct lane *lane, size_t max, size_t max_weight, const int *expected, size_t n_expected)
{
    int items[8];
    size_t n = lane_take(lane, items, max, max_weight);

    assert_int_equal(n, n_expected);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(items[i], expected[i]);
}

static void test_items_come_in_order_and_no_more_than_there_is_room_for(void **state)
{
    struct lane *lane = new_lane(3, 0);
    struct queue_counters c;

    (void)state;
    for (int round = 0; round < 5; round++) { /* the ring begins anew in the middle */
        assert_int_equal(lane_put(lane, (const int[]){1, 2}, 2, 0), STATUS_OK);
        assert_int_equal(lane_put(lane, (const int[]){7, 8}, 2, 0), STATUS_LIMIT); /* all or none */
        assert_int_equal(put(lane, 3, 0), STATUS_OK);
        assert_int_equal(put(lane, 4, 0), STATUS_LIMIT);
        lane_read_counters(lane, &c);
        assert_int_equal(c.length, 3);
        assert_takes(lane, 1, 0, (const int[]){1}, 1);
        assert_takes(lane, 8, 0, (const int[]){2, 3}, 2);
    }
    lane_read_counters(lane, &c);
    assert_int_equal(c.length, 0);
    assert_int_equal(c.limit, 3);
    assert_int_equal(c.refused, 15);
    assert_int_equal(c.taken, 15);
    assert_true(c.waited_us >= 0);
    lane_free(&lane);
}

static void test_weights_are_limited_together_and_in_what_is_taken(void **state)
{
    struct lane *lane = new_lane(8, 10);

    (void)state;
    assert_int_equal(put(lane, 1, 9), STATUS_OK);
    assert_int_equal(put(lane, 2, 2), STATUS_LIMIT);
    assert_int_equal(put(lane, 3, 1), STATUS_OK);
    assert_takes(lane, 8, 4, (const int[]){1}, 1); /* one always, however heavy */
    assert_int_equal(put(lane, 4, 3), STATUS_OK);
    assert_int_equal(put(lane, 5, 3), STATUS_OK);
    assert_takes(lane, 8, 4, (const int[]){3, 4}, 2);
    assert_takes(lane, 8, 4, (const int[]){5}, 1);
    assert_int_equal(put(lane, 6, 10), STATUS_OK); /* all of it is free again */
    lane_free(&lane);
}

/* --- threads -------------------------------------------------------------------------------------- */

#define THREADS 4
#define ITEMS 20000

struct sums {
    struct lane *lane;
    pthread_mutex_t lock;
    int64_t sum;
    size_t n, ended;
};

static void *add_up(void *arg)
{
    struct sums *s = arg;
    int items[5];
    size_t n;

    while ((n = lane_take(s->lane, items, 5, 0)) > 0) {
        pthread_mutex_lock(&s->lock);
        s->n += n;
        while (n > 0)
            s->sum += items[--n];
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_lock(&s->lock);
    s->ended++;
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void test_threads_take_each_item_once_and_end_when_nothing_is_left(void **state)
{
    struct sums s = {.lane = new_lane(ITEMS, 0), .lock = PTHREAD_MUTEX_INITIALIZER};
    struct err err;

    (void)state;
    for (int i = 0; i < ITEMS / 2; i++) /* some before there is a thread */
        assert_int_equal(put(s.lane, i, 0), STATUS_OK);
    assert_int_equal(lane_start(s.lane, THREADS, add_up, &s, &err), STATUS_OK);
    for (int i = ITEMS / 2; i < ITEMS; i++)
        assert_int_equal(put(s.lane, i, 0), STATUS_OK);
    assert_false(lane_is_stopping(s.lane));
    lane_stop(s.lane);
    assert_true(lane_is_stopping(s.lane));
    assert_int_equal(s.ended, THREADS);
    assert_int_equal(s.n, ITEMS);
    assert_int_equal(s.sum, (int64_t)ITEMS * (ITEMS - 1) / 2);
    lane_free(&s.lane);
    assert_null(s.lane);
    lane_free(&s.lane);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_come_in_order_and_no_more_than_there_is_room_for),
        cmocka_unit_test(test_weights_are_limited_together_and_in_what_is_taken),
        cmocka_unit_test(test_threads_take_each_item_once_and_end_when_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
