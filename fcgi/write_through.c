#include "fcgi/write_through.h"

#include <string.h>

#include "jobs/event.h"
#include "lib/base/log.h"
#include "lib/store/outbox.h"

/* What changes: of everybody, and of the user. */
enum { SHARED, OWN, SIDES };
struct change {
    const char *user_id[SIDES];
    struct cache_tags tags[SIDES];
};

static void add_tag(struct change *change, struct cache_tag tag)
{
    struct cache_tags *tags = &change->tags[tag.shared ? SHARED : OWN];

    tags->tags[tags->n++] = tag; /* of a request's tags, of which there are at most so many */
}

static void add_own(const struct dataset_request *request, const struct dataset_tag *own, struct change *change)
{
    struct cache_tag rows, part;
    int param = dataset_param_find(request->dataset, own->param, strlen(own->param));

    if (param >= 0 && event_tag_rows(own->name, &rows) &&
        event_tag_part(own->name, dataset_request_value(request, (size_t)param), &part)) {
        add_tag(change, rows);
        add_tag(change, part);
    } else if (event_tag_find(own->name, &rows)) {
        add_tag(change, rows);
    }
}

static struct change change_of(const struct exchange *x)
{
    const struct dataset *d = x->dataset.dataset;
    struct change change = {.user_id = {"", x->user_id}};

    for (size_t i = 0; i < d->n_own_tags; i++)
        add_own(&x->dataset, &d->own_tags[i], &change);
    for (size_t i = 0; d->n_own_tags == 0 && i < x->dataset.tags.n; i++)
        add_tag(&change, x->dataset.tags.tags[i]);
    return change;
}

static enum status invalidate(struct responder *r, struct redis *redis, const struct change *change, struct err *err)
{
    struct cache_invalidation list[SIDES];
    size_t n = 0;
    enum status status;

    if (!redis)
        return err_fail(err, STATUS_UNAVAILABLE, "REDIS_ENABLED is false");
    for (int side = 0; side < SIDES; side++)
        if (change->tags[side].n > 0)
            list[n++] = (struct cache_invalidation){.user_id = side == OWN ? change->user_id[side] : NULL,
                                                    .tags = &change->tags[side]};
    status = local_cache_invalidate_many(r->local, redis, list, n, err);
    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        status = list[i].status;
    return status;
}

static enum status store(struct db *db, const struct change *change, struct err *err)
{
    struct outbox_note notes[SIDES * CACHE_MAX_TAGS];
    size_t n = 0;

    for (int side = 0; side < SIDES; side++)
        for (size_t i = 0; i < change->tags[side].n; i++)
            notes[n++] = (struct outbox_note){side == OWN ? change->user_id[side] : NULL,
                                              event_tag_whole(change->tags[side].tags[i].name)};
    return outbox_add(db, notes, n, err);
}

/* From here on this responder does not trust the cache for these users. */
static enum status distrust(struct responder *r, bool has_redis, const struct change *change, struct err *err)
{
    enum status status = STATUS_OK;

    for (int side = 0; side < SIDES && status == STATUS_OK; side++) {
        if (change->tags[side].n == 0)
            continue;
        if (has_redis)
            status = pending_add(r->pending, change->user_id[side], &change->tags[side], err);
        local_cache_forget(r->local, change->user_id[side], &change->tags[side]);
    }
    return status;
}

enum status write_through_invalidate(struct responder *r, struct redis *redis, struct db *db, const struct exchange *x,
                                     bool *ret_bypass, struct err *err)
{
    const struct change change = change_of(x);
    enum status status = invalidate(r, redis, &change, err);

    if (status == STATUS_OK)
        return STATUS_OK;
    log_debug("an invalidation goes to the outbox", LOG_STR("request", x->request.id), LOG_STR("reason", err->text));
    status = store(db, &change, err);
    if (status == STATUS_OK)
        status = distrust(r, redis != NULL, &change, err);
    *ret_bypass = redis != NULL;
    return status;
}
