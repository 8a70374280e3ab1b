#include "jobs/collection_batch.h"

/* --- before the snapshot ------------------------------------------------------------------------ */

static void tell(const struct collection_batch *c, const char *user_id, const struct dataset *d,
                 enum collection_end end, size_t bytes, const char *reason)
{
    if (c->on_collection != NULL)
        c->on_collection(c->context, user_id, d, end, bytes, reason);
}

static enum status open_user(struct collection_batch *c, struct user_documents *user, struct err *err)
{
    struct user_collections *own = &user->collections;
    int64_t min_ttl_s = c->without_short_lived ? c->settings->cache_ttl_analytics_s : 0;
    enum status status =
        user_collections_choose(own, c->set, user->user_id, c->all ? NULL : &user->wanted, min_ttl_s, err);

    if (status == STATUS_OK && own->n > 0)
        status = user_collections_open(own, c->cache, c->redis, err);
    if (status == STATUS_OK && own->n > 0 && c->only_invalid)
        status = user_collections_judge(own, c->cache, c->redis, c->valid_for_s, err);
    for (size_t i = 0; i < own->n && status == STATUS_OK; i++) {
        if (own->list[i].due)
            continue;
        c->counts.valid++;
        tell(c, user->user_id, own->list[i].dataset, COLLECTION_VALID, 0, NULL);
    }
    return status;
}

enum status collection_batch_open(struct collection_batch *c, struct document_batch *b, struct err *err)
{
    enum status status = STATUS_OK;

    for (size_t i = 0; i < b->n && c->set != NULL && status == STATUS_OK; i++)
        status = open_user(c, &b->users[i], err);
    return status;
}

/* --- in it -------------------------------------------------------------------------------------- */

static enum status store(struct collection_batch *c, const struct collection *one, const char *user_id,
                         const struct cache_body *body, struct document_writer *writer, struct err *err)
{
    struct document_writer_place place = {
        .tags = &one->dataset->tags, .ttl_s = one->dataset->ttl_s, .section = one->dataset->section};
    struct buf key = BUF_INIT;
    enum status status;

    collection_append_key(c->cache, one->dataset, user_id, &key);
    place.key = key.data;
    status = buf_status(&key) == STATUS_OK ? document_writer_add_value(writer, &place, &one->epochs, body, err)
                                           : err_fail(err, STATUS_NO_MEMORY, "no memory for a collection");
    buf_release(&key);
    return status;
}

/* A failed statement ends the transaction for all that come after it, so there is a point to go back to. */
static enum status fail_one(struct collection_batch *c, const struct dataset *d, const char *user_id,
                            enum status status, struct err *err)
{
    if (status == STATUS_UNAVAILABLE || status == STATUS_NO_MEMORY)
        return status;
    c->counts.failed++;
    tell(c, user_id, d, COLLECTION_FAILED, 0, err->text);
    return db_execute(c->db, "ROLLBACK TO SAVEPOINT collections", err);
}

static enum status compute_one(struct collection_batch *c, const struct collection *one, const char *user_id,
                               struct document_writer *writer, struct err *err)
{
    int64_t began_us = clock_monotonic_us();
    struct cache_body body;
    struct buf *out;
    size_t start;
    enum status status = document_writer_begin(writer, &out, err);

    if (status != STATUS_OK)
        return status;
    start = out->len;
    status = collection_compute(c->db, one->dataset, user_id, out, &body, err);
    if (status != STATUS_OK) {
        buf_truncate(out, start);
        return fail_one(c, one->dataset, user_id, status, err);
    }
    if (body.too_large || !cache_takes_size(c->cache, &one->dataset->tags, &body)) {
        buf_truncate(out, start);
        c->counts.too_large++;
        tell(c, user_id, one->dataset, COLLECTION_TOO_LARGE, 0, NULL);
        return STATUS_OK;
    }
    body.cost_us = clock_monotonic_us() - began_us;
    c->counts.computed++;
    tell(c, user_id, one->dataset, COLLECTION_COMPUTED, body.len, NULL);
    return store(c, one, user_id, &body, writer, err);
}

static bool any_is_due(const struct document_batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        if (user_collections_count_due(&b->users[i].collections) > 0)
            return true;
    return false;
}

enum status collection_batch_compute(struct collection_batch *c, const struct document_batch *b,
                                     struct document_writer *writer, struct err *err)
{
    enum status status = STATUS_OK;

    if (!any_is_due(b))
        return STATUS_OK;
    status = db_execute(c->db, "SAVEPOINT collections", err);
    for (size_t i = 0; i < b->n && status == STATUS_OK; i++) {
        const struct user_collections *own = &b->users[i].collections;
        for (size_t k = 0; k < own->n && status == STATUS_OK; k++)
            if (own->list[k].due)
                status = compute_one(c, &own->list[k], own->user_id, writer, err);
    }
    return status;
}
