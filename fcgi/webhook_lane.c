#include "fcgi/webhook_lane.h"

#include <stdlib.h>

#include "fcgi/webhook_batch.h"
#include "lib/base/log.h"

#define MAX_WAITING_BYTES (16 * 1024 * 1024) /* bodies */
#define BATCH_BYTES (1024 * 1024)            /* of bodies in one batch, so that its round trip stays short */

struct webhook_lane {
    struct responder *responder;
    void (*on_done)(struct exchange *x);
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool stopping;
    size_t n_waiting, waiting_bytes;
    struct exchange *head, **tail;
    size_t n_threads;
    pthread_t *threads;
};

enum status webhook_lane_submit(struct webhook_lane *lane, struct exchange *x)
{
    enum status status = STATUS_OK;

    pthread_mutex_lock(&lane->lock);
    if (lane->n_waiting >= (size_t)lane->responder->settings->webhook_queue ||
        lane->waiting_bytes + x->request.body.len > MAX_WAITING_BYTES) {
        status = STATUS_LIMIT;
    } else {
        x->next = NULL;
        *lane->tail = x;
        lane->tail = &x->next;
        lane->n_waiting++;
        lane->waiting_bytes += x->request.body.len;
        pthread_cond_signal(&lane->work);
    }
    pthread_mutex_unlock(&lane->lock);
    return status;
}

size_t webhook_lane_length(struct webhook_lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    size_t n = lane->n_waiting;
    pthread_mutex_unlock(&lane->lock);
    return n;
}

/* Takes what waits, as much as makes a batch. 0: the threads are to end. */
static size_t take(struct webhook_lane *lane, struct exchange *ret_calls[WEBHOOK_BATCH_MAX])
{
    size_t n = 0, bytes = 0;

    pthread_mutex_lock(&lane->lock);
    while (!lane->head && !lane->stopping)
        pthread_cond_wait(&lane->work, &lane->lock);
    while (lane->head && n < WEBHOOK_BATCH_MAX && (n == 0 || bytes + lane->head->request.body.len <= BATCH_BYTES)) {
        struct exchange *x = lane->head;

        lane->head = x->next;
        x->next = NULL;
        bytes += x->request.body.len;
        ret_calls[n++] = x;
    }
    if (!lane->head)
        lane->tail = &lane->head;
    lane->n_waiting -= n;
    lane->waiting_bytes -= bytes;
    pthread_mutex_unlock(&lane->lock);
    return n;
}

static void *run(void *arg)
{
    struct webhook_lane *lane = arg;
    struct exchange *calls[WEBHOOK_BATCH_MAX];
    struct webhook_batch *batch = NULL;
    struct err err;
    size_t n;

    if (webhook_batch_new(lane->responder, lane->on_done, &batch, &err) != STATUS_OK)
        log_error("a webhook thread cannot start", LOG_STR("error", err.text));
    while ((n = take(lane, calls)) > 0) {
        if (batch) {
            webhook_batch_serve(batch, calls, n);
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            response_problem(&calls[i]->response, &calls[i]->request, 503, NULL, NULL, NULL);
            lane->on_done(calls[i]);
        }
    }
    webhook_batch_free(&batch);
    return NULL;
}

enum status webhook_lane_start(struct responder *responder, void (*on_done)(struct exchange *x),
                               struct webhook_lane **ret_lane, struct err *err)
{
    size_t n = (size_t)responder->settings->webhook_threads;
    struct webhook_lane *lane = calloc(1, sizeof *lane);

    if (!lane || !(lane->threads = calloc(n, sizeof *lane->threads))) {
        free(lane);
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    }
    lane->responder = responder;
    lane->on_done = on_done;
    lane->tail = &lane->head;
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->work, NULL);
    for (; lane->n_threads < n; lane->n_threads++)
        if (pthread_create(&lane->threads[lane->n_threads], NULL, run, lane) != 0) {
            webhook_lane_stop(&lane);
            return err_fail(err, STATUS_UNAVAILABLE, "cannot start %zu webhook threads", n);
        }
    *ret_lane = lane;
    return STATUS_OK;
}

void webhook_lane_stop(struct webhook_lane **lane_)
{
    struct webhook_lane *lane = *lane_;

    if (!lane)
        return;
    pthread_mutex_lock(&lane->lock);
    lane->stopping = true;
    pthread_cond_broadcast(&lane->work);
    pthread_mutex_unlock(&lane->lock);
    for (size_t i = 0; i < lane->n_threads; i++)
        pthread_join(lane->threads[i], NULL);
    pthread_mutex_destroy(&lane->lock);
    pthread_cond_destroy(&lane->work);
    free(lane->threads);
    free(lane);
    *lane_ = NULL;
}
