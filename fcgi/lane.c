#include "fcgi/lane.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"

struct mark {
    int64_t put_us; /* monotonic */
    size_t weight;
};

struct lane {
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool stopping;
    size_t item_size, max_weight, weight;
    size_t first; /* in the ring: items[first] is the next to be taken */
    char *items;
    struct mark *marks;
    struct queue_counters counters;
    size_t n_threads;
    pthread_t *threads;
};

enum status lane_new(size_t item_size, size_t max_items, size_t max_weight, struct lane **ret_lane, struct err *err)
{
    struct lane *lane = calloc(1, sizeof(*lane));

    if (lane) {
        lane->items = calloc(max_items, item_size);
        lane->marks = calloc(max_items, sizeof(*lane->marks));
    }
    if (!lane || !lane->items || !lane->marks) {
        if (lane) {
            free(lane->items);
            free(lane->marks);
        }
        free(lane);
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    }
    lane->item_size = item_size;
    lane->max_weight = max_weight;
    lane->counters.limit = max_items;
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->work, NULL);
    *ret_lane = lane;
    return STATUS_OK;
}

enum status lane_start(struct lane *lane, size_t n, void *(*run)(void *arg), void *arg, struct err *err)
{
    lane->threads = calloc(n, sizeof(*lane->threads));
    if (!lane->threads)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    for (; lane->n_threads < n; lane->n_threads++)
        if (pthread_create(&lane->threads[lane->n_threads], NULL, run, arg) != 0)
            return err_fail(err, STATUS_UNAVAILABLE, "cannot start %zu threads", n);
    return STATUS_OK;
}

void lane_stop(struct lane *lane)
{
    if (!lane)
        return;
    pthread_mutex_lock(&lane->lock);
    lane->stopping = true;
    pthread_cond_broadcast(&lane->work);
    pthread_mutex_unlock(&lane->lock);
    for (; lane->n_threads > 0; lane->n_threads--)
        pthread_join(lane->threads[lane->n_threads - 1], NULL);
}

void lane_free(struct lane **lane_)
{
    struct lane *lane = *lane_;

    if (!lane)
        return;
    lane_stop(lane);
    pthread_mutex_destroy(&lane->lock);
    pthread_cond_destroy(&lane->work);
    free(lane->threads);
    free(lane->items);
    free(lane->marks);
    free(lane);
    *lane_ = NULL;
}

/* The place in the ring of the i-th that waits. */
static size_t place(const struct lane *lane, size_t i)
{
    return (lane->first + i) % lane->counters.limit;
}

static void put(struct lane *lane, const void *item, size_t weight, int64_t now_us)
{
    size_t at = place(lane, lane->counters.length++);

    memcpy(lane->items + at * lane->item_size, item, lane->item_size);
    lane->marks[at] = (struct mark){now_us, weight};
    lane->weight += weight;
    pthread_cond_signal(&lane->work);
}

enum status lane_put(struct lane *lane, const void *items, size_t n, size_t weight)
{
    int64_t now_us = clock_monotonic_us();

    pthread_mutex_lock(&lane->lock);
    bool room = n <= lane->counters.limit - lane->counters.length && lane->weight + n * weight <= lane->max_weight;
    for (size_t i = 0; i < n && room; i++)
        put(lane, (const char *)items + i * lane->item_size, weight, now_us);
    if (!room)
        lane->counters.refused += n;
    pthread_mutex_unlock(&lane->lock);
    return room ? STATUS_OK : STATUS_LIMIT;
}

static void take(struct lane *lane, void *ret_item, int64_t now_us)
{
    const struct mark *mark = &lane->marks[lane->first];

    memcpy(ret_item, lane->items + lane->first * lane->item_size, lane->item_size);
    lane->weight -= mark->weight;
    lane->counters.waited_us += now_us - mark->put_us;
    lane->counters.taken++;
    lane->counters.length--;
    lane->first = place(lane, 1);
}

size_t lane_take(struct lane *lane, void *ret_items, size_t max, size_t max_weight)
{
    size_t n = 0, weight = 0;

    pthread_mutex_lock(&lane->lock);
    while (lane->counters.length == 0 && !lane->stopping)
        pthread_cond_wait(&lane->work, &lane->lock);
    int64_t now_us = clock_monotonic_us();
    while (n < max && lane->counters.length > 0 && (n == 0 || weight + lane->marks[lane->first].weight <= max_weight)) {
        weight += lane->marks[lane->first].weight;
        take(lane, (char *)ret_items + n++ * lane->item_size, now_us);
    }
    pthread_mutex_unlock(&lane->lock);
    return n;
}

bool lane_is_stopping(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    bool stopping = lane->stopping;
    pthread_mutex_unlock(&lane->lock);
    return stopping;
}

void lane_read_counters(struct lane *lane, struct queue_counters *ret_counters)
{
    pthread_mutex_lock(&lane->lock);
    *ret_counters = lane->counters;
    pthread_mutex_unlock(&lane->lock);
}
