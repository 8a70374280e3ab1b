#include "fcgi/session_lane.h"

#include <stdlib.h>

#include "fcgi/handlers.h"
#include "fcgi/session_work.h"
#include "lib/base/log.h"

#define MAX_WAITING 256 /* uses to be noted; there are as many places more for who logs in or out */
#define BATCH 32

struct item {
    struct exchange *x; /* NULL: a slide */
    char name[SESSION_NAME_SIZE];
    struct session session;
};

struct session_lane {
    struct session_work work;
    void (*on_done)(struct exchange *x);
    struct lane *lane; /* of items */
};

enum status session_lane_submit(struct session_lane *lane, struct exchange *x)
{
    return lane_put(lane->lane, &(struct item){.x = x}, 1, 0);
}

/* Leaves room for as many who log in or out. */
void session_lane_slide(struct session_lane *lane, const char *name, const struct claims *claims)
{
    struct item item = {.session.created_s = claims->not_before_s};
    struct queue_counters queue;

    lane_read_counters(lane->lane, &queue);
    if (queue.length >= MAX_WAITING)
        return;
    memcpy(item.name, name, sizeof item.name);
    memcpy(item.session.user_id, claims->user_id, sizeof item.session.user_id);
    if (lane_put(lane->lane, &item, 1, 0) != STATUS_OK)
        log_debug("a session's use is not noted");
}

void session_lane_read_queue(struct session_lane *lane, struct queue_counters *ret_counters)
{
    lane_read_counters(lane->lane, ret_counters);
}

/* Somebody waits for the exchanges, so they come first. */
static void serve(struct session_lane *lane, const struct item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (items[i].x) {
            session_work_serve(&lane->work, items[i].x);
            lane->on_done(items[i].x);
        }
    for (size_t i = 0; i < n; i++)
        if (!items[i].x)
            session_work_slide(lane->work.responder, lane->work.redis, items[i].name, &items[i].session);
}

static void *run(void *arg)
{
    struct session_lane *lane = arg;
    struct item items[BATCH];
    size_t n;

    while ((n = lane_take(lane->lane, items, BATCH, 0)) > 0)
        serve(lane, items, n);
    return NULL;
}

enum status session_lane_start(struct responder *responder, void (*on_done)(struct exchange *x),
                               struct session_lane **ret_lane, struct err *err)
{
    *ret_lane = NULL;
    if (!(auth_modes_parse(responder->settings->auth_mode) & AUTH_SESSION))
        return STATUS_OK;
    struct session_lane *lane = calloc(1, sizeof *lane);
    if (!lane)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    lane->on_done = on_done;
    enum status status = session_work_init(&lane->work, responder, err);
    if (status == STATUS_OK)
        status = lane_new(sizeof(struct item), 2 * MAX_WAITING, 0, &lane->lane, err);
    if (status == STATUS_OK)
        status = lane_start(lane->lane, 1, run, lane, err);
    if (status == STATUS_OK)
        *ret_lane = lane;
    else
        session_lane_stop(&lane);
    return status;
}

void session_lane_stop(struct session_lane **lane_)
{
    struct session_lane *lane = *lane_;

    if (!lane)
        return;
    lane_free(&lane->lane);
    session_work_release(&lane->work);
    free(lane);
    *lane_ = NULL;
}
