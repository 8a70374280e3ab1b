#include "fcgi/warmer.h"

#include <stdlib.h>

#include "jobs/dataset_refresh.h"
#include "lib/base/log.h"

struct warmer {
    struct responder *responder;
    struct redis *redis;
    struct db *db;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool stopping;
    size_t first, n;
    char *queue[WARMER_QUEUE];
};

enum status warmer_submit(struct warmer *w, char **texts, size_t n)
{
    bool room;

    if (!w)
        return STATUS_UNAVAILABLE;
    pthread_mutex_lock(&w->lock);
    room = n <= WARMER_QUEUE - w->n;
    for (size_t i = 0; room && i < n; i++)
        w->queue[(w->first + w->n++) % WARMER_QUEUE] = texts[i];
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    return room ? STATUS_OK : STATUS_LIMIT;
}

/* NULL: the thread is to end. */
static char *take(struct warmer *w)
{
    char *text = NULL;

    pthread_mutex_lock(&w->lock);
    while (w->n == 0 && !w->stopping)
        pthread_cond_wait(&w->work, &w->lock);
    if (!w->stopping) {
        text = w->queue[w->first];
        w->first = (w->first + 1) % WARMER_QUEUE;
        w->n--;
    }
    pthread_mutex_unlock(&w->lock);
    return text;
}

static void note_failure(void *context, const struct dataset *dataset, enum status status, const char *reason)
{
    (void)context;
    log_warn("not warmed", LOG_STR("dataset", dataset->name), LOG_STR("status", status_name(status)),
             LOG_STR("error", reason));
}

/* A text of a set that is gone since means nothing any more. */
static void warm(struct warmer *w, const char *text)
{
    struct responder *r = w->responder;
    struct dataset_set *set = responder_hold_datasets(r);
    struct dataset_request request = {.dataset = NULL};
    struct dataset_refresh refresh = {.settings = r->settings,
                                      .set = set,
                                      .cache = r->cache,
                                      .redis = w->redis,
                                      .db = w->db,
                                      .on_failed = note_failure};
    struct err err = {""};

    if (set && dataset_request_parse_text(&request, set, text) == STATUS_OK &&
        dataset_refresh_one(&refresh, &request, &err) != STATUS_OK)
        log_warn("not warmed", LOG_STR("dataset", request.dataset->name), LOG_STR("error", err.text));
    dataset_request_release(&request);
    dataset_set_release(&set);
}

static void *run(void *arg)
{
    struct warmer *w = arg;
    char *text;

    while ((text = take(w))) {
        warm(w, text);
        free(text);
    }
    return NULL;
}

static void warmer_free(struct warmer *w)
{
    for (; w->n > 0; w->n--, w->first = (w->first + 1) % WARMER_QUEUE)
        free(w->queue[w->first]);
    redis_free(&w->redis);
    db_free(&w->db);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->work);
    free(w);
}

enum status warmer_start(struct responder *responder, struct warmer **ret_warmer, struct err *err)
{
    struct warmer *w;

    *ret_warmer = NULL;
    if (!responder->settings->redis_enabled || !responder->settings->cache_enabled)
        return STATUS_OK;
    w = calloc(1, sizeof(*w));
    if (!w)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    w->responder = responder;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    enum status status = responder_new_redis(responder, "pnlcache.fcgi:warmer", &w->redis, err);
    if (status == STATUS_OK)
        status = responder_new_db(responder, &w->db, err);
    if (status == STATUS_OK && pthread_create(&w->thread, NULL, run, w) != 0)
        status = err_fail(err, STATUS_UNAVAILABLE, "cannot start the thread that warms");
    if (status == STATUS_OK)
        *ret_warmer = w;
    else
        warmer_free(w);
    return status;
}

void warmer_stop(struct warmer **warmer)
{
    struct warmer *w = *warmer;

    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    warmer_free(w);
    *warmer = NULL;
}
