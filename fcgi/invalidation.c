#include "fcgi/invalidation.h"

#include <stdlib.h>

#include "jobs/event.h"
#include "lib/store/outbox.h"

static enum status set_all(struct cache_invalidation *list, size_t n, enum status status)
{
    for (size_t i = 0; i < n; i++)
        list[i].status = status;
    return status;
}

/* The status of the first that failed. */
static enum status sum_up(const struct cache_invalidation *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].status != STATUS_OK)
            return list[i].status;
    return STATUS_OK;
}

enum status invalidation_carry_out(struct responder *r, struct redis *redis, struct cache_invalidation *list, size_t n,
                                   struct err *err)
{
    if (!redis)
        return set_all(list, n, err_fail(err, STATUS_UNAVAILABLE, "REDIS_ENABLED is false"));
    enum status status = local_cache_invalidate_many(r->local, redis, list, n, err);
    return status == STATUS_OK ? sum_up(list, n) : status;
}

static size_t note(const struct cache_invalidation *one, struct outbox_note *notes)
{
    if (one->erased) {
        notes[0] = (struct outbox_note){one->user_id, EVENT_ERASE_TAG};
        return 1;
    }
    for (size_t i = 0; i < one->tags->n; i++)
        notes[i] = (struct outbox_note){one->user_id, event_tag_whole(one->tags->tags[i].name)};
    return one->tags->n;
}

static enum status store(struct db *db, const struct cache_invalidation *list, size_t n, struct err *err)
{
    struct outbox_note *notes = calloc(n * CACHE_MAX_TAGS, sizeof *notes);
    size_t n_notes = 0;

    if (!notes)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++)
        n_notes += note(&list[i], notes + n_notes);
    enum status status = outbox_add(db, notes, n_notes, err);
    free(notes);
    return status;
}

enum status invalidation_put_off(struct responder *r, struct redis *redis, struct db *db,
                                 struct cache_invalidation *list, size_t n, struct err *err)
{
    enum status status = set_all(list, n, store(db, list, n, err));

    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < n; i++) {
        if (redis)
            list[i].status = pending_add(r->pending, &list[i], err);
        local_cache_forget(r->local, list[i].user_id, list[i].tags);
    }
    return sum_up(list, n);
}
