#include "jobs/collection.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/document.h"
#include "jobs/event.h"

static bool stands_in(const struct wanted *wanted, const char *name)
{
    for (size_t i = 0; i < wanted->n_collections; i++)
        if (strcmp(wanted->collections[i], name) == 0)
            return true;
    return false;
}

bool collection_is_of_user(const struct dataset *d)
{
    return d->collection != NULL && !d->shared;
}

static bool is_chosen(const struct dataset *d, const struct wanted *wanted)
{
    return collection_is_of_user(d) && (wanted == NULL || stands_in(wanted, d->name));
}

/* --- which -------------------------------------------------------------------------------------- */

enum status user_collections_choose(struct user_collections *c, const struct dataset_set *set, const char *user_id,
                                    const struct wanted *wanted, int64_t min_ttl_s, struct err *err)
{
    size_t n = dataset_set_count(set);

    *c = (struct user_collections){.user_id = user_id, .list = calloc(n + 1, sizeof *c->list)};
    if (c->list == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for collections");
    for (size_t i = 0; i < n; i++) {
        const struct dataset *d = dataset_set_at(set, i);
        if (is_chosen(d, wanted) && d->ttl_s >= min_ttl_s)
            c->list[c->n++] = (struct collection){.dataset = d, .due = true};
    }
    return STATUS_OK;
}

void user_collections_release(struct user_collections *c)
{
    free(c->list);
    *c = (struct user_collections){0};
}

size_t user_collections_count_due(const struct user_collections *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n; i++)
        n += c->list[i].due;
    return n;
}

size_t collection_names(const struct dataset_set *set, const char **ret_names)
{
    size_t n = 0;

    for (size_t i = 0; i < dataset_set_count(set); i++)
        if (is_chosen(dataset_set_at(set, i), NULL))
            ret_names[n++] = dataset_set_at(set, i)->name;
    return n;
}

bool collections_depend_on(const struct dataset_set *set, const struct wanted *wanted, const struct cache_tags *tags)
{
    for (size_t i = 0; i < dataset_set_count(set); i++) {
        const struct dataset *d = dataset_set_at(set, i);
        for (size_t t = 0; t < tags->n && is_chosen(d, wanted); t++)
            if (event_tags_hold(&d->tags, tags->tags[t].name))
                return true;
    }
    return false;
}

/* --- what is valid -------------------------------------------------------------------------------- */

enum status user_collections_open(struct user_collections *c, struct cache *cache, struct redis *redis, struct err *err)
{
    enum status status = STATUS_OK;

    for (size_t i = 0; i < c->n && status == STATUS_OK; i++)
        status = cache_open_epochs(cache, redis, &c->list[i].dataset->tags, 1, &c->user_id, &c->list[i].epochs, err);
    return status;
}

static int64_t ahead_s(const struct dataset *d, int64_t valid_for_s)
{
    int64_t renew_s = d->ttl_s * DOCUMENT_RENEW_PERCENT / 100;

    return renew_s > valid_for_s ? renew_s : valid_for_s;
}

static enum status check(struct user_collections *c, struct cache *cache, struct redis *redis, int64_t valid_for_s,
                         struct cache_check *checks, struct buf *keys, struct err *err)
{
    size_t position = 0;
    enum status status;

    for (size_t i = 0; i < c->n; i++) {
        collection_append_key(cache, c->list[i].dataset, c->user_id, keys);
        buf_append_char(keys, '\0');
    }
    if (buf_status(keys) != STATUS_OK)
        return err_fail(err, STATUS_NO_MEMORY, "no memory to look at collections");
    for (size_t i = 0; i < c->n; i++) {
        checks[i] = (struct cache_check){.key = keys->data + position,
                                         .tags = &c->list[i].dataset->tags,
                                         .epochs = &c->list[i].epochs,
                                         .ahead_s = ahead_s(c->list[i].dataset, valid_for_s)};
        position += strlen(checks[i].key) + 1;
    }
    status = cache_check_many(cache, redis, checks, c->n, err);
    for (size_t i = 0; i < c->n && status == STATUS_OK; i++)
        c->list[i].due = checks[i].verdict != CACHE_HIT;
    return status;
}

enum status user_collections_judge(struct user_collections *c, struct cache *cache, struct redis *redis,
                                   int64_t valid_for_s, struct err *err)
{
    struct cache_check *checks = calloc(c->n + 1, sizeof *checks);
    struct buf keys = BUF_INIT;
    enum status status = checks != NULL ? check(c, cache, redis, valid_for_s, checks, &keys, err)
                                        : err_fail(err, STATUS_NO_MEMORY, "no memory to look at collections");

    free(checks);
    buf_release(&keys);
    return status;
}

bool collection_asks_for_refresh(const struct dataset *d, const struct cache_header *header, struct instant now)
{
    return header->expires_at.us - now.us < d->ttl_s * (US_PER_SECOND / 100) * DOCUMENT_ASK_PERCENT;
}

/* --- one of them -------------------------------------------------------------------------------- */

void collection_append_key(const struct cache *cache, const struct dataset *d, const char *user_id, struct buf *key)
{
    struct dataset_request r = {.dataset = NULL};

    if (dataset_request_begin_collection(&r, d, NULL) == STATUS_OK)
        dataset_request_append_key(cache, &r, user_id, key);
    else
        key->failed = true;
    dataset_request_release(&r);
}

enum status collection_compute(struct db *db, const struct dataset *d, const char *user_id, struct buf *out,
                               struct cache_body *ret_body, struct err *err)
{
    struct dataset_request r = {.dataset = NULL};
    enum status status = dataset_request_begin_collection(&r, d, err);

    if (status == STATUS_OK)
        status = dataset_compute(db, &r, user_id, out, ret_body, err);
    dataset_request_release(&r);
    return status;
}
