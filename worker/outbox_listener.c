#include "worker/outbox_listener.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/erase.h"
#include "jobs/event.h"
#include "jobs/wanted.h"
#include "lib/base/log.h"
#include "lib/store/job_stream.h"
#include "worker/connections.h"
#include "worker/epoch_walk.h"
#include "worker/outage.h"

#define CLAIM_MAX 500
#define PEER_CHECK_MS 5000 /* how long a connection may say nothing before it is asked */
#define CLAIM_MS                                                                                                       \
    5000 /* after this the rest is left: PostgreSQL ends transactions that stay idle, and all was for nothing */

struct drain {
    struct generation *generation;
    struct db *db;
    struct redis *redis;
};

/* --- merging ----------------------------------------------------------------------------------------- */

static int compare_users(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return (a != NULL) - (b != NULL);
    return strcmp(a, b);
}

static bool erases(const struct outbox_row *row)
{
    return strcmp(row->tag, EVENT_ERASE_TAG) == 0 && row->user_id != NULL;
}

static int compare_rows(const void *a, const void *b)
{
    const struct outbox_row *one = a, *other = b;
    int order = erases(one) - erases(other);

    return order != 0 ? order : compare_users(one->user_id, other->user_id);
}

void outbox_rows_sort(struct outbox_row *rows, size_t n)
{
    qsort(rows, n, sizeof *rows, compare_rows);
}

size_t outbox_rows_merge(const struct outbox_row *rows, size_t n, struct cache_tags *ret_tags, bool *ret_erase,
                         size_t *ret_unknown)
{
    struct cache_tags one = {.n = 1};
    size_t taken = 0;

    *ret_tags = (struct cache_tags){.n = 0};
    *ret_erase = n > 0 && erases(&rows[0]);
    *ret_unknown = 0;
    if (*ret_erase)
        *ret_tags = *event_user_tags();
    while (taken < n && compare_rows(&rows[taken], &rows[0]) == 0) {
        if (!*ret_erase && !event_tag_find(rows[taken].tag, &one.tags[0]))
            ++*ret_unknown;
        else if (!*ret_erase && !event_tags_add(ret_tags, &one))
            break; /* the rest of this user makes a group of its own */
        taken++;
    }
    return taken;
}

/* --- carrying out ------------------------------------------------------------------------------------ */

/* The queue takes no job (OOM, for instance): the user's next request computes. Only a lost connection makes
 * the rows wait. */
static enum status queue_job(struct drain *d, const char *user_id, struct err *err)
{
    enum status status = job_stream_add(d->generation->cache, d->redis, "analytics", user_id, "outbox", err);

    if (status == STATUS_OK || status == STATUS_UNAVAILABLE || status == STATUS_TIMEOUT)
        return status;
    log_warn("no job queued", LOG_STR("user", user_id), LOG_STR("reason", err->text));
    return STATUS_OK;
}

/* A job when a document of the user depends on the tags. When Redis does not say, there is one: it finds nothing to do. */
static enum status queue_job_if_needed(struct drain *d, const char *user_id, const struct cache_tags *tags,
                                       struct err *err)
{
    bool needed = true;
    enum status status = wanted_call_for_job(d->generation->cache, d->redis, d->generation->settings,
                                             d->generation->datasets, user_id, tags, &needed, err);

    if (status == STATUS_UNAVAILABLE || status == STATUS_TIMEOUT)
        return status;
    return needed ? queue_job(d, user_id, err) : STATUS_OK;
}

static enum status carry_out_user(struct drain *d, const char *user_id, const struct cache_tags *tags, struct err *err)
{
    enum status status = cache_invalidate(d->generation->cache, d->redis, user_id, tags, err);

    return status == STATUS_OK ? queue_job_if_needed(d, user_id, tags, err) : status;
}

/* Unlike other jobs this one must not be lost: its row waits until the queue takes it. */
static enum status carry_out_erasure(struct drain *d, const char *user_id, const struct cache_tags *tags,
                                     struct err *err)
{
    struct cache_invalidation one = {.user_id = user_id, .tags = tags, .erased = true};
    enum status status = cache_invalidate_many(d->generation->cache, d->redis, &one, 1, err);

    if (status == STATUS_OK)
        status = one.status;
    if (status == STATUS_OK)
        status = job_stream_add(d->generation->cache, d->redis, ERASE_JOB, user_id, "outbox", err);
    return status;
}

static enum status queue_active_users(struct drain *d, const struct cache_tags *tags, struct err *err)
{
    enum status status;
    char **ids;
    size_t n;

    status = active_users_list(d->generation->cache, d->redis, d->generation->settings->active_window_s, 10000, &ids,
                               &n, err);
    if (status == STATUS_UNAVAILABLE || status == STATUS_TIMEOUT)
        return status;
    if (status != STATUS_OK) {
        log_warn("no jobs queued for active users", LOG_STR("reason", err->text));
        return STATUS_OK;
    }
    for (size_t i = 0; i < n; i++) {
        if (status == STATUS_OK)
            status = queue_job_if_needed(d, ids[i], tags, err);
        free(ids[i]);
    }
    free(ids);
    return status;
}

/* Rows without a user: shared tags directly; a tag of per-user rows (a truncated table) for every user. */
static enum status carry_out_everybody(struct drain *d, const struct cache_tags *tags, struct err *err)
{
    struct cache_tags shared = {.n = 0}, own = {.n = 0};
    enum status status = STATUS_OK;

    for (size_t i = 0; i < tags->n; i++) {
        struct cache_tags *to = tags->tags[i].shared ? &shared : &own;

        to->tags[to->n++] = tags->tags[i];
    }
    if (shared.n > 0)
        status = cache_invalidate(d->generation->cache, d->redis, NULL, &shared, err);
    if (status != STATUS_OK || own.n == 0)
        return status;
    status = epoch_walk_invalidate(d->generation, d->redis, &own, err);
    return status == STATUS_OK ? queue_active_users(d, &own, err) : status;
}

/* One user's rows (or those without a user). */
static enum status carry_out_group(struct drain *d, const struct outbox_row *row, const struct cache_tags *tags,
                                   bool erase, size_t unknown, struct err *err)
{
    if (unknown > 0)
        log_warn("outbox rows with an unknown tag dropped", LOG_INT("rows", (int64_t)unknown), LOG_STR("tag", row->tag),
                 LOG_INT("first_id", row->id));
    if (tags->n == 0)
        return STATUS_OK;
    if (row->user_id == NULL)
        return carry_out_everybody(d, tags, err);
    if (!user_id_is_valid(row->user_id)) {
        log_warn("outbox row of an unusable user id dropped", LOG_INT("id", row->id), LOG_STR("tag", row->tag));
        return STATUS_OK;
    }
    return erase ? carry_out_erasure(d, row->user_id, tags, err) : carry_out_user(d, row->user_id, tags, err);
}

/* As many rows as Redis lets us in CLAIM_MS. *ret_done: how many of the first, also after a failure. */
static enum status carry_out_batch(struct drain *d, struct outbox_batch *batch, size_t *ret_done, struct err *err)
{
    int64_t until_ms = clock_monotonic_ms() + CLAIM_MS;
    enum status status = STATUS_OK;
    struct cache_tags tags;
    size_t unknown, taken;
    bool erase;

    *ret_done = 0;
    outbox_rows_sort(batch->rows, batch->n);
    while (*ret_done < batch->n && (*ret_done == 0 || clock_monotonic_ms() < until_ms)) {
        taken = outbox_rows_merge(batch->rows + *ret_done, batch->n - *ret_done, &tags, &erase, &unknown);
        status = carry_out_group(d, &batch->rows[*ret_done], &tags, erase, unknown, err);
        if (status != STATUS_OK)
            break;
        *ret_done += taken;
    }
    return status;
}

/* One claim. *ret_n: rows done. */
static enum status drain_once(struct drain *d, size_t *ret_n, struct err *err)
{
    struct outbox_batch batch;
    enum status status, finished;
    size_t n;

    *ret_n = 0;
    status = outbox_claim(d->db, CLAIM_MAX, &batch, err);
    if (status != STATUS_OK)
        return status;
    status = carry_out_batch(d, &batch, &n, err);
    if (n == 0) {
        outbox_abandon(d->db, &batch);
        return status;
    }
    outbox_keep_first(&batch, n);
    finished = outbox_finish(d->db, &batch, status == STATUS_OK ? err : NULL);
    if (finished == STATUS_OK) {
        *ret_n = n;
        atomic_fetch_add(&d->generation->counters->events, n);
    }
    return status == STATUS_OK ? finished : status;
}

/* --- the thread -------------------------------------------------------------------------------------- */

/* For the doorbell, at most OUTBOX_POLL. A peer that is silently gone looks like one that has nothing to say. */
static enum status wait_for_doorbell(struct drain *d, heartbeat *beat, struct err *err)
{
    const struct generation *g = d->generation;
    int64_t until_ms = clock_monotonic_ms() + g->settings->outbox_poll_ms;
    enum status status = STATUS_OK;
    bool rung = false;

    /* A bell that rang while rows were being read is already in libpq's hands: poll() would not see it. */
    status = db_take_notifications(d->db, &rung, err);
    while (status == STATUS_OK && !rung && !generation_stops(g)) {
        int64_t left_ms = until_ms - clock_monotonic_ms();

        heartbeat_beat(beat);
        if (left_ms <= 0)
            break;
        generation_wait_readable(g, db_socket(d->db), left_ms < PEER_CHECK_MS ? left_ms : PEER_CHECK_MS);
        if (!db_is_connected(d->db))
            break;
        status = db_take_notifications(d->db, &rung, err);
        if (status == STATUS_OK && !rung && left_ms > PEER_CHECK_MS && !generation_stops(g))
            status = db_execute(d->db, "SELECT 1", err);
    }
    return status;
}

/* Until there is nothing left; then waits for the doorbell. */
static enum status drain_and_wait(struct drain *d, heartbeat *beat, struct err *err)
{
    struct generation *g = d->generation;
    enum status status;
    size_t n;

    do {
        heartbeat_beat(beat);
        status = drain_once(d, &n, err);
    } while (status == STATUS_OK && n > 0 && !generation_stops(g));
    return status == STATUS_OK ? wait_for_doorbell(d, beat, err) : status;
}

/* LISTEN again after every reconnect; without it (a pooler in transaction mode, a standby) polling remains. */
static enum status listen_if_new(struct drain *d, bool *listening, struct err *err)
{
    enum status status;

    if (db_is_connected(d->db) && *listening)
        return STATUS_OK;
    *listening = false;
    status = db_connect(d->db, err);
    if (status != STATUS_OK)
        return status;
    status = db_listen(d->db, OUTBOX_CHANNEL, err);
    if (status == STATUS_INVALID || status == STATUS_INTERNAL) {
        log_warn("no notifications from PostgreSQL, polling instead", LOG_STR("reason", err->text),
                 LOG_INT("every_ms", d->generation->settings->outbox_poll_ms));
        status = STATUS_OK;
    }
    *listening = status == STATUS_OK;
    return status;
}

static void listen_and_drain(struct drain *d, heartbeat *beat)
{
    struct outage outage = {.what = "outbox"};
    bool listening = false;

    while (!generation_stops(d->generation)) {
        struct err err = {{0}};
        enum status status = listen_if_new(d, &listening, &err);

        if (status == STATUS_OK)
            status = drain_and_wait(d, beat, &err);
        heartbeat_beat(beat);
        if (status == STATUS_OK)
            outage_over(&outage);
        else
            generation_wait(d->generation, outage_failed(&outage, err.text));
    }
}

void *outbox_listener_run(void *argument)
{
    struct outbox_listener *listener = argument;
    struct generation *g = listener->generation;
    struct drain d = {.generation = g};
    struct err err = {{0}};

    if (open_db(g->settings, false, g->settings->database_timeout_ms, &d.db, &err) == STATUS_OK &&
        open_redis(g->settings, &d.redis, &err) == STATUS_OK)
        listen_and_drain(&d, &listener->beat);
    else
        log_error("the outbox is not drained", LOG_STR("reason", err.text));
    redis_free(&d.redis);
    db_free(&d.db);
    return NULL;
}
