#include "fcgi/operations.h"

#include <stdint.h>
#include <stdlib.h>

#define MAX_WAITING 64

struct operations {
    struct operation_context context;
    void (*on_done)(struct exchange *x);
    struct lane *lane; /* of struct exchange * */
};

enum status operations_submit(struct operations *o, struct exchange *x)
{
    return lane_put(o->lane, &x, 1, 0);
}

void operations_read_queue(struct operations *o, struct queue_counters *ret_counters)
{
    lane_read_counters(o->lane, ret_counters);
}

static void *run(void *arg)
{
    struct operations *o = arg;
    struct exchange *x;

    while (lane_take(o->lane, &x, 1, 0) > 0) {
        x->operate(&o->context, x);
        o->on_done(x);
    }
    return NULL;
}

enum status operations_start(struct responder *responder, void (*on_done)(struct exchange *x),
                             struct operations **ret_operations, struct err *err)
{
    struct operations *o = calloc(1, sizeof(*o));

    if (!o)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    o->context = (struct operation_context){.responder = responder, .started_s = clock_now().us / US_PER_SECOND};
    o->on_done = on_done;
    enum status status = responder_new_redis(responder, "pnlcache.fcgi:operations", &o->context.redis, err);
    if (status == STATUS_OK)
        status = responder_new_db(responder, &o->context.db, err);
    if (status == STATUS_OK)
        status = lane_new(sizeof(struct exchange *), MAX_WAITING, 0, &o->lane, err);
    if (status == STATUS_OK)
        status = lane_start(o->lane, 1, run, o, err);
    if (status == STATUS_OK)
        *ret_operations = o;
    else
        operations_stop(&o);
    return status;
}

void operations_stop(struct operations **operations)
{
    struct operations *o = *operations;

    if (!o)
        return;
    lane_free(&o->lane);
    redis_free(&o->context.redis);
    db_free(&o->context.db);
    free(o);
    *operations = NULL;
}
