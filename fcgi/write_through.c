#include "fcgi/write_through.h"

#include <string.h>

#include "fcgi/invalidation.h"
#include "jobs/event.h"
#include "lib/base/log.h"

/* What changes: of everybody, and of the user. */
enum { SHARED, OWN, SIDES };

static void add_tag(struct cache_tags *sides, struct cache_tag tag)
{
    struct cache_tags *tags = &sides[tag.shared ? SHARED : OWN];

    tags->tags[tags->n++] = tag; /* of a request's tags, of which there are at most so many */
}

static void add_own(const struct dataset_request *request, const struct dataset_tag *own, struct cache_tags *sides)
{
    struct cache_tag rows, part;
    int param = dataset_param_find(request->dataset, own->param, strlen(own->param));

    if (param >= 0 && event_tag_rows(own->name, &rows) &&
        event_tag_part(own->name, dataset_request_value(request, (size_t)param), &part)) {
        add_tag(sides, rows);
        add_tag(sides, part);
    } else if (event_tag_find(own->name, &rows)) {
        add_tag(sides, rows);
    }
}

static void find_changes(const struct exchange *x, struct cache_tags *ret_sides)
{
    const struct dataset *d = x->dataset.dataset;

    for (size_t i = 0; i < d->n_own_tags; i++)
        add_own(&x->dataset, &d->own_tags[i], ret_sides);
    for (size_t i = 0; d->n_own_tags == 0 && i < x->dataset.tags.n; i++)
        add_tag(ret_sides, x->dataset.tags.tags[i]);
}

enum status write_through_invalidate(struct responder *r, struct redis *redis, struct db *db, const struct exchange *x,
                                     bool *ret_bypass, struct err *err)
{
    struct cache_tags sides[SIDES] = {{.n = 0}};
    struct cache_invalidation list[SIDES];
    size_t n = 0;

    find_changes(x, sides);
    for (int side = 0; side < SIDES; side++)
        if (sides[side].n > 0)
            list[n++] = (struct cache_invalidation){.user_id = side == OWN ? x->user_id : NULL, .tags = &sides[side]};
    if (invalidation_carry_out(r, redis, list, n, err) == STATUS_OK)
        return STATUS_OK;
    log_debug("an invalidation goes to the outbox", LOG_STR("request", x->request.id), LOG_STR("reason", err->text));
    *ret_bypass = redis != NULL;
    return invalidation_put_off(r, redis, db, list, n, err);
}
