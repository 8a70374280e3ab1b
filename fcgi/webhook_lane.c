#include "fcgi/webhook_lane.h"

#include <stdlib.h>

#include "fcgi/webhook_batch.h"
#include "lib/base/log.h"

#define MAX_WAITING_BYTES (16 * 1024 * 1024) /* bodies */
#define BATCH_BYTES (1024 * 1024)            /* of bodies in one batch, so that its round trip stays short */

struct webhook_lane {
    struct responder *responder;
    void (*on_done)(struct exchange *x);
    struct lane *lane; /* of struct exchange *, which weigh what their bodies do */
};

enum status webhook_lane_submit(struct webhook_lane *lane, struct exchange *x)
{
    return lane_put(lane->lane, &x, 1, x->request.body.len);
}

void webhook_lane_read_queue(struct webhook_lane *lane, struct queue_counters *ret_counters)
{
    lane_read_counters(lane->lane, ret_counters);
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
    while ((n = lane_take(lane->lane, calls, WEBHOOK_BATCH_MAX, BATCH_BYTES)) > 0) {
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
    const struct settings *settings = responder->settings;
    struct webhook_lane *lane = calloc(1, sizeof *lane);

    if (!lane)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    lane->responder = responder;
    lane->on_done = on_done;
    enum status status =
        lane_new(sizeof(struct exchange *), (size_t)settings->webhook_queue, MAX_WAITING_BYTES, &lane->lane, err);
    if (status == STATUS_OK)
        status = lane_start(lane->lane, (size_t)settings->webhook_threads, run, lane, err);
    if (status == STATUS_OK)
        *ret_lane = lane;
    else
        webhook_lane_stop(&lane);
    return status;
}

void webhook_lane_stop(struct webhook_lane **lane)
{
    if (!*lane)
        return;
    lane_free(&(*lane)->lane);
    free(*lane);
    *lane = NULL;
}
