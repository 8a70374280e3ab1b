#include "fcgi/warmer.h"

#include <stdlib.h>

#include "fcgi/lane.h"
#include "jobs/dataset_refresh.h"
#include "lib/base/log.h"

struct warmer {
    struct responder *responder;
    struct redis *redis;
    struct db *db;
    struct lane *lane; /* of texts, which it owns */
};

enum status warmer_submit(struct warmer *w, char **texts, size_t n)
{
    return w ? lane_put(w->lane, texts, n, 0) : STATUS_UNAVAILABLE;
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

    while (lane_take(w->lane, &text, 1, 0) > 0) {
        if (!lane_is_stopping(w->lane))
            warm(w, text);
        free(text);
    }
    return NULL;
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
    enum status status = responder_new_redis(responder, "pnlcache.fcgi:warmer", &w->redis, err);
    if (status == STATUS_OK)
        status = responder_new_db(responder, &w->db, err);
    if (status == STATUS_OK)
        status = lane_new(sizeof(char *), WARMER_QUEUE, 0, &w->lane, err);
    if (status == STATUS_OK)
        status = lane_start(w->lane, 1, run, w, err);
    if (status == STATUS_OK)
        *ret_warmer = w;
    else
        warmer_stop(&w);
    return status;
}

void warmer_stop(struct warmer **warmer)
{
    struct warmer *w = *warmer;

    if (!w)
        return;
    lane_free(&w->lane);
    redis_free(&w->redis);
    db_free(&w->db);
    free(w);
    *warmer = NULL;
}
