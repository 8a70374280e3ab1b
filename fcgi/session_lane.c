#include "fcgi/session_lane.h"

#include <stdlib.h>

#include "fcgi/handlers.h"
#include "fcgi/session_work.h"
#include "lib/base/log.h"

#define MAX_WAITING 256 /* of either kind */

struct slide {
    char name[SESSION_NAME_SIZE];
    struct session session;
};

struct session_lane {
    struct session_work work;
    void (*on_done)(struct exchange *x);
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t news;
    bool stopping;
    size_t n_waiting;
    struct exchange *head, **tail;
    size_t first_slide, n_slides;
    struct slide slides[MAX_WAITING];
};

enum status session_lane_submit(struct session_lane *lane, struct exchange *x)
{
    pthread_mutex_lock(&lane->lock);
    bool room = lane->n_waiting < MAX_WAITING;
    if (room) {
        x->next = NULL;
        *lane->tail = x;
        lane->tail = &x->next;
        lane->n_waiting++;
        pthread_cond_signal(&lane->news);
    }
    pthread_mutex_unlock(&lane->lock);
    return room ? STATUS_OK : STATUS_LIMIT;
}

void session_lane_slide(struct session_lane *lane, const char *name, const struct claims *claims)
{
    pthread_mutex_lock(&lane->lock);
    if (lane->n_slides < MAX_WAITING) {
        struct slide *slide = &lane->slides[(lane->first_slide + lane->n_slides++) % MAX_WAITING];

        memcpy(slide->name, name, sizeof slide->name);
        memcpy(slide->session.user_id, claims->user_id, sizeof slide->session.user_id);
        slide->session.created_s = claims->not_before_s;
        pthread_cond_signal(&lane->news);
    }
    pthread_mutex_unlock(&lane->lock);
}

/* One exchange, or one slide where none waits. False: stopped, and nothing is left. */
static bool take(struct session_lane *lane, struct exchange **ret_x, struct slide *ret_slide)
{
    pthread_mutex_lock(&lane->lock);
    while (!lane->head && lane->n_slides == 0 && !lane->stopping)
        pthread_cond_wait(&lane->news, &lane->lock);
    *ret_x = lane->head;
    bool taken = lane->head || lane->n_slides > 0;
    if (lane->head) {
        lane->head = lane->head->next;
        (*ret_x)->next = NULL;
        lane->n_waiting--;
        if (!lane->head)
            lane->tail = &lane->head;
    } else if (taken) {
        *ret_slide = lane->slides[lane->first_slide];
        lane->first_slide = (lane->first_slide + 1) % MAX_WAITING;
        lane->n_slides--;
    }
    pthread_mutex_unlock(&lane->lock);
    return taken;
}

static void *run(void *arg)
{
    struct session_lane *lane = arg;
    struct exchange *x;
    struct slide slide;

    while (take(lane, &x, &slide)) {
        if (x) {
            session_work_serve(&lane->work, x);
            lane->on_done(x);
        } else {
            session_work_slide(lane->work.responder, lane->work.redis, slide.name, &slide.session);
        }
    }
    return NULL;
}

static void session_lane_free(struct session_lane *lane)
{
    session_work_release(&lane->work);
    pthread_mutex_destroy(&lane->lock);
    pthread_cond_destroy(&lane->news);
    free(lane);
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
    lane->tail = &lane->head;
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->news, NULL);
    enum status status = session_work_init(&lane->work, responder, err);
    if (status == STATUS_OK && pthread_create(&lane->thread, NULL, run, lane) != 0)
        status = err_fail(err, STATUS_UNAVAILABLE, "cannot start the thread of the sessions");
    if (status == STATUS_OK)
        *ret_lane = lane;
    else
        session_lane_free(lane);
    return status;
}

void session_lane_stop(struct session_lane **lane_)
{
    struct session_lane *lane = *lane_;

    if (!lane)
        return;
    pthread_mutex_lock(&lane->lock);
    lane->stopping = true;
    pthread_cond_signal(&lane->news);
    pthread_mutex_unlock(&lane->lock);
    pthread_join(lane->thread, NULL);
    session_lane_free(lane);
    *lane_ = NULL;
}
