#include "fcgi/operations.h"

#include <stdlib.h>

#define MAX_WAITING 64

struct operations {
    struct operation_context context;
    void (*on_done)(struct exchange *x);
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool stopping;
    size_t n_waiting;
    struct exchange *head, **tail;
};

enum status operations_submit(struct operations *o, struct exchange *x)
{
    enum status status = STATUS_LIMIT;

    pthread_mutex_lock(&o->lock);
    if (o->n_waiting < MAX_WAITING) {
        x->next = NULL;
        *o->tail = x;
        o->tail = &x->next;
        o->n_waiting++;
        pthread_cond_signal(&o->work);
        status = STATUS_OK;
    }
    pthread_mutex_unlock(&o->lock);
    return status;
}

/* NULL: stopped, and nothing waits. */
static struct exchange *take(struct operations *o)
{
    pthread_mutex_lock(&o->lock);
    while (!o->head && !o->stopping)
        pthread_cond_wait(&o->work, &o->lock);
    struct exchange *x = o->head;
    if (x) {
        o->head = x->next;
        x->next = NULL;
        if (!o->head)
            o->tail = &o->head;
        o->n_waiting--;
    }
    pthread_mutex_unlock(&o->lock);
    return x;
}

static void *run(void *arg)
{
    struct operations *o = arg;
    struct exchange *x;

    while ((x = take(o))) {
        x->operate(&o->context, x);
        o->on_done(x);
    }
    return NULL;
}

static void release(struct operations *o)
{
    redis_free(&o->context.redis);
    db_free(&o->context.db);
    pthread_mutex_destroy(&o->lock);
    pthread_cond_destroy(&o->work);
    free(o);
}

enum status operations_start(struct responder *responder, void (*on_done)(struct exchange *x),
                             struct operations **ret_operations, struct err *err)
{
    struct operations *o = calloc(1, sizeof(*o));

    if (!o)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    o->context = (struct operation_context){.responder = responder, .started_s = clock_now().us / US_PER_SECOND};
    o->on_done = on_done;
    o->tail = &o->head;
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->work, NULL);
    enum status status = responder_new_redis(responder, "pnlcache.fcgi:operations", &o->context.redis, err);
    if (status == STATUS_OK)
        status = responder_new_db(responder, &o->context.db, err);
    if (status == STATUS_OK && pthread_create(&o->thread, NULL, run, o) != 0)
        status = err_fail(err, STATUS_UNAVAILABLE, "cannot start the thread of operations");
    if (status == STATUS_OK)
        *ret_operations = o;
    else
        release(o);
    return status;
}

void operations_stop(struct operations **operations)
{
    struct operations *o = *operations;

    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    o->stopping = true;
    pthread_cond_signal(&o->work);
    pthread_mutex_unlock(&o->lock);
    pthread_join(o->thread, NULL);
    release(o);
    *operations = NULL;
}
