#include "fcgi/miss_queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"

#define BUCKETS 1024
#define LANES 2048 /* users' turns; those who share a lane share its turns */

struct lane {
    struct flight *head, *tail;
    struct lane *next; /* in the round of lanes that are not empty */
};

struct miss_queue {
    pthread_mutex_t lock;
    pthread_cond_t work, parked_changed;
    bool parking_closed, stopping;
    struct queue_counters counters; /* length: flights */
    struct lane lanes[LANES];
    struct lane *round_head, *round_tail;
    struct flight *buckets[BUCKETS];
    struct flight *parked;
};

static struct flight **find(struct miss_queue *q, const struct buf *key)
{
    struct flight **p = &q->buckets[text_hash(key->data, key->len) % BUCKETS];
    while (*p && ((*p)->key.len != key->len || memcmp((*p)->key.data, key->data, key->len) != 0))
        p = &(*p)->next_in_bucket;
    return p;
}

/* --- turns ------------------------------------------------------------------------------------ */

static void add_to_round(struct miss_queue *q, struct lane *lane)
{
    lane->next = NULL;
    if (q->round_tail)
        q->round_tail->next = lane;
    else
        q->round_head = lane;
    q->round_tail = lane;
}

static void enqueue(struct miss_queue *q, struct flight *f)
{
    const char *user_id = f->first->user_id;
    struct lane *lane = &q->lanes[text_hash(user_id, strlen(user_id)) % LANES];

    f->next_queued = NULL;
    f->queued_us = clock_monotonic_us();
    if (lane->tail)
        lane->tail->next_queued = f;
    else
        lane->head = f;
    lane->tail = f;
    if (lane->head == f)
        add_to_round(q, lane);
    pthread_cond_signal(&q->work);
}

static struct flight *dequeue(struct miss_queue *q)
{
    struct lane *lane = q->round_head;
    struct flight *f = lane->head;

    q->round_head = lane->next;
    if (!q->round_head)
        q->round_tail = NULL;
    lane->head = f->next_queued;
    if (lane->head)
        add_to_round(q, lane);
    else
        lane->tail = NULL;
    return f;
}

/* --- flights ---------------------------------------------------------------------------------- */

/* Takes the key from the caller. NULL: out of memory. */
static struct flight *flight_new(struct miss_queue *q, struct buf *key)
{
    struct flight *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->key = *key;
    buf_init(key);
    q->counters.length++;
    return f;
}

static void flight_free(struct miss_queue *q, struct flight *f)
{
    q->counters.length--;
    buf_release(&f->key);
    free(f);
}

static void flight_add(struct flight *f, struct exchange *x)
{
    x->next = NULL;
    if (f->last)
        f->last->next = x;
    else
        f->first = x;
    f->last = x;
    f->n++;
}

void miss_queue_read_counters(struct miss_queue *q, struct queue_counters *ret_counters)
{
    pthread_mutex_lock(&q->lock);
    *ret_counters = q->counters;
    pthread_mutex_unlock(&q->lock);
}

/* A new flight of this key, if there may be one more. */
static enum status begin_flight(struct miss_queue *q, struct buf *key, struct flight **ret_flight)
{
    if (q->counters.length >= q->counters.limit)
        return STATUS_LIMIT;
    *ret_flight = flight_new(q, key);
    return *ret_flight ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status submit(struct miss_queue *q, struct exchange *x, struct buf *key)
{
    struct flight **place = find(q, key), *f = *place;
    enum status status = STATUS_OK;

    if (!f) {
        status = begin_flight(q, key, &f);
        if (status != STATUS_OK)
            return status;
        *place = f;
        flight_add(f, x);
        enqueue(q, f);
        return STATUS_OK;
    }
    if (f->begun) {
        if (!f->successor)
            status = begin_flight(q, key, &f->successor);
        f = f->successor;
    }
    if (status == STATUS_OK)
        flight_add(f, x);
    return status;
}

/* Exchanges of different kinds share nothing, even with the same key. */
static char kind_of(const struct exchange *x)
{
    if (x->work == WORK_PRELOAD)
        return x->wait ? 'l' : 'p';
    return x->writes_through ? 'w' : x->bypass ? 'b' : x->recompute ? 'r' : 'n';
}

enum status miss_queue_submit(struct miss_queue *q, struct exchange *x)
{
    struct buf key = BUF_INIT;

    buf_append_char(&key, kind_of(x));
    buf_append(&key, x->key.data, x->key.len);
    if (buf_status(&key) != STATUS_OK)
        return STATUS_NO_MEMORY;
    pthread_mutex_lock(&q->lock);
    enum status status = submit(q, x, &key);
    q->counters.refused += status == STATUS_LIMIT;
    pthread_mutex_unlock(&q->lock);
    buf_release(&key);
    return status;
}

struct flight *miss_queue_take(struct miss_queue *q)
{
    pthread_mutex_lock(&q->lock);
    while (!q->round_head && !q->stopping)
        pthread_cond_wait(&q->work, &q->lock);
    struct flight *f = q->round_head ? dequeue(q) : NULL;
    if (f) {
        f->begun = true;
        q->counters.taken++;
        q->counters.waited_us += clock_monotonic_us() - f->queued_us;
    }
    pthread_mutex_unlock(&q->lock);
    return f;
}

void miss_queue_land(struct miss_queue *q, struct flight *f, void (*on_done)(struct exchange *x))
{
    struct exchange *first = f->first;

    pthread_mutex_lock(&q->lock);
    struct flight **place = find(q, &f->key);
    *place = f->next_in_bucket;
    if (f->successor) {
        f->successor->next_in_bucket = *place;
        *place = f->successor;
        enqueue(q, f->successor);
    }
    flight_free(q, f);
    pthread_mutex_unlock(&q->lock);
    for (struct exchange *x = first, *next; x; x = next) {
        next = x->next;
        on_done(x);
    }
}

/* --- parking ---------------------------------------------------------------------------------- */

static void adopt_successor(struct miss_queue *q, struct flight *f)
{
    struct flight *s = f->successor;
    if (!s)
        return;
    f->last->next = s->first;
    f->last = s->last;
    f->n += s->n;
    f->successor = NULL;
    flight_free(q, s);
}

static void link_parked(struct miss_queue *q, struct flight *f)
{
    f->prev_parked = NULL;
    f->next_parked = q->parked;
    if (q->parked)
        q->parked->prev_parked = f;
    q->parked = f;
}

static void unlink_parked(struct miss_queue *q, struct flight *f)
{
    if (f->prev_parked)
        f->prev_parked->next_parked = f->next_parked;
    else
        q->parked = f->next_parked;
    if (f->next_parked)
        f->next_parked->prev_parked = f->prev_parked;
}

static void set_pause(struct flight *f, int64_t pause_ms)
{
    f->pause_ms = pause_ms;
    f->look_at_ms = clock_monotonic_ms() + pause_ms;
}

void miss_queue_park(struct miss_queue *q, struct flight *f, int64_t pause_ms)
{
    pthread_mutex_lock(&q->lock);
    adopt_successor(q, f);
    f->begun = false;
    f->n_parked++;
    if (q->parking_closed) {
        enqueue(q, f);
    } else {
        set_pause(f, pause_ms);
        link_parked(q, f);
        pthread_cond_signal(&q->parked_changed);
    }
    pthread_mutex_unlock(&q->lock);
}

void miss_queue_unpark(struct miss_queue *q, struct flight *f)
{
    pthread_mutex_lock(&q->lock);
    unlink_parked(q, f);
    enqueue(q, f);
    pthread_mutex_unlock(&q->lock);
}

void miss_queue_look_again(struct miss_queue *q, struct flight *f, int64_t pause_ms)
{
    pthread_mutex_lock(&q->lock);
    set_pause(f, pause_ms);
    pthread_mutex_unlock(&q->lock);
}

/* Moves *until_ms up to the next one's time. */
static size_t find_due(const struct miss_queue *q, struct flight **flights, size_t max, int64_t *until_ms)
{
    int64_t now_ms = clock_monotonic_ms();
    size_t n = 0;

    for (struct flight *f = q->parked; f && n < max; f = f->next_parked)
        if (f->look_at_ms <= now_ms)
            flights[n++] = f;
        else if (f->look_at_ms < *until_ms)
            *until_ms = f->look_at_ms;
    return n;
}

size_t miss_queue_await_due(struct miss_queue *q, int64_t until_ms, struct flight **flights, size_t max,
                            bool *ret_go_on)
{
    size_t n;

    pthread_mutex_lock(&q->lock);
    for (;;) {
        int64_t next_ms = until_ms;
        n = find_due(q, flights, max, &next_ms);
        if (n > 0 || q->parking_closed || clock_monotonic_ms() >= until_ms)
            break;
        struct timespec at = {next_ms / 1000, next_ms % 1000 * 1000000};
        pthread_cond_timedwait(&q->parked_changed, &q->lock, &at);
    }
    *ret_go_on = !q->parking_closed;
    pthread_mutex_unlock(&q->lock);
    return n;
}

/* --- life ------------------------------------------------------------------------------------- */

enum status miss_queue_new(size_t max_flights, struct miss_queue **ret_queue, struct err *err)
{
    struct miss_queue *q = calloc(1, sizeof(*q));
    pthread_condattr_t monotonic;

    if (!q)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    q->counters.limit = max_flights;
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->work, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&q->parked_changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *ret_queue = q;
    return STATUS_OK;
}

void miss_queue_close_parking(struct miss_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->parking_closed = true;
    pthread_cond_broadcast(&q->parked_changed);
    pthread_mutex_unlock(&q->lock);
}

void miss_queue_stop(struct miss_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->parking_closed = q->stopping = true;
    while (q->parked) {
        struct flight *f = q->parked;
        unlink_parked(q, f);
        enqueue(q, f);
    }
    pthread_cond_broadcast(&q->work);
    pthread_mutex_unlock(&q->lock);
}

void miss_queue_free(struct miss_queue **queue)
{
    struct miss_queue *q = *queue;
    if (!q)
        return;
    miss_queue_stop(q);
    while (q->round_head) {
        struct flight *f = dequeue(q);
        if (f->successor)
            flight_free(q, f->successor);
        flight_free(q, f);
    }
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->work);
    pthread_cond_destroy(&q->parked_changed);
    free(q);
    *queue = NULL;
}
