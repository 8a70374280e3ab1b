/* Clearing is invalidating: HDEL of epochs, the one thing that makes a value unservable everywhere. There is no epoch of a symbol or of a
 * dataset; what their values hang on are tags, so those are cleared, with everything else that hangs on them. */
#include <stdlib.h>
#include <string.h>

#include "fcgi/cache_operations.h"
#include "fcgi/envelope.h"
#include "fcgi/invalidation.h"
#include "jobs/event.h"
#include "lib/base/log.h"
#include "lib/store/outbox.h"

#define TAGS_MAX 300 /* all that a process may know of: event.c's own and learned ones */

struct clearing {
    struct operation_context *o;
    struct exchange *x;
    size_t n_tags;
    struct cache_tag tags[TAGS_MAX];
    struct err err;
};

static void add_tag(struct clearing *c, const struct cache_tag *tag)
{
    for (size_t i = 0; i < c->n_tags; i++)
        if (strcmp(c->tags[i].name, tag->name) == 0)
            return;
    if (c->n_tags < TAGS_MAX)
        c->tags[c->n_tags++] = *tag;
}

static void add_tags(struct clearing *c, const struct cache_tags *tags)
{
    for (size_t i = 0; i < tags->n; i++)
        add_tag(c, &tags->tags[i]);
}

static void add_known_tags(struct clearing *c, bool with_shared)
{
    struct cache_tag tag;

    for (size_t i = 0; event_tag_at(i, &tag); i++)
        if (with_shared || !tag.shared)
            add_tag(c, &tag);
}

/* --- at once -------------------------------------------------------------------------------- */

/* The tags with that scope, as many to an invalidation as there is room. */
static size_t group(const struct clearing *c, bool shared, struct cache_tags *groups)
{
    size_t n = 0, taken = 0;

    for (size_t i = 0; i < c->n_tags; i++) {
        if (c->tags[i].shared != shared)
            continue;
        if (taken++ % CACHE_MAX_TAGS == 0)
            groups[n++].n = 0;
        groups[n - 1].tags[groups[n - 1].n++] = c->tags[i];
    }
    return n;
}

/* The shared tags, or with a user that user's. *ret_now: acknowledged; else it is in the outbox. */
static enum status clear_now(struct clearing *c, const char *user_id, bool *ret_now)
{
    struct cache_tags groups[TAGS_MAX / CACHE_MAX_TAGS + 1];
    struct cache_invalidation list[TAGS_MAX / CACHE_MAX_TAGS + 1];
    bool shared = user_id[0] == '\0';
    size_t n = group(c, shared, groups);

    for (size_t i = 0; i < n; i++)
        list[i] = (struct cache_invalidation){.user_id = shared ? NULL : user_id, .tags = &groups[i]};
    *ret_now = n == 0 || invalidation_carry_out(c->o->responder, c->o->redis, list, n, &c->err) == STATUS_OK;
    if (*ret_now)
        return STATUS_OK;
    log_warn("clearing goes to the outbox", LOG_STR("request", c->x->request.id), LOG_STR("reason", c->err.text));
    return invalidation_put_off(c->o->responder, c->o->redis, c->o->db, list, n, &c->err);
}

/* --- the answer ----------------------------------------------------------------------------- */

static void answer(struct clearing *c, bool in_effect)
{
    struct exchange *x = c->x;
    struct json_writer w;

    envelope_begin(x, &w);
    json_key(&w, "tags");
    json_array_begin(&w);
    for (size_t i = 0; i < c->n_tags; i++)
        json_string(&w, c->tags[i].name);
    json_array_end(&w);
    json_key(&w, "in_effect");
    json_bool(&w, in_effect);
    envelope_end(x, &w, in_effect ? 200 : 202, NULL);
}

static void fail(struct clearing *c)
{
    log_error("not cleared", LOG_STR("request", c->x->request.id), LOG_STR("error", c->err.text));
    response_problem(&c->x->response, &c->x->request, 503, "nothing could be made durable; order it again", NULL, NULL);
}

/* Each user's tags, for everybody: durable; a worker carries it out. */
static enum status note_own(struct clearing *c)
{
    struct outbox_note notes[TAGS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < c->n_tags; i++)
        if (!c->tags[i].shared)
            notes[n++] = (struct outbox_note){NULL, c->tags[i].name};
    return n > 0 ? outbox_add(c->o->db, notes, n, &c->err) : STATUS_OK;
}

/* Everybody's: shared tags at once, each user's by a worker. */
static void clear_everybody(struct clearing *c)
{
    bool now = true, has_own = false;
    enum status status;

    for (size_t i = 0; i < c->n_tags; i++)
        has_own = has_own || !c->tags[i].shared;
    status = clear_now(c, "", &now);
    if (status == STATUS_OK)
        status = note_own(c);
    if (status == STATUS_OK)
        answer(c, now && !has_own);
    else
        fail(c);
}

/* --- the orders ----------------------------------------------------------------------------- */

void cache_clear_user(struct operation_context *o, struct exchange *x)
{
    struct clearing c = {.o = o, .x = x};
    bool now;

    add_known_tags(&c, false);
    if (clear_now(&c, x->user_id, &now) == STATUS_OK)
        answer(&c, now);
    else
        fail(&c);
}

void cache_clear_tag(struct operation_context *o, struct exchange *x)
{
    struct clearing c = {.o = o, .x = x};
    struct cache_tag tag;

    if (event_tag_find(x->key.data, &tag))
        add_tag(&c, &tag);
    clear_everybody(&c);
}

void cache_clear_all(struct operation_context *o, struct exchange *x)
{
    struct clearing c = {.o = o, .x = x};

    add_known_tags(&c, true);
    clear_everybody(&c);
}

/* What the dataset itself says it reads: enough that none of its answers is valid, and nothing of others that it depends on. */
static void add_own_tags(struct clearing *c, const struct dataset *d)
{
    struct cache_tag tag;

    for (size_t i = 0; i < d->n_own_tags; i++)
        if (event_tag_find(d->own_tags[i].name, &tag))
            add_tag(c, &tag);
    if (d->n_own_tags == 0)
        add_tags(c, &d->tags);
}

/* A SIGHUP may have taken the dataset away since the order was read; its values are then under keys that nobody asks for. */
void cache_clear_dataset(struct operation_context *o, struct exchange *x)
{
    struct clearing c = {.o = o, .x = x};
    struct dataset_set *set = responder_hold_datasets(o->responder);
    const struct dataset *d = set ? dataset_set_find(set, x->key.data) : NULL;

    if (d)
        add_own_tags(&c, d);
    clear_everybody(&c);
    dataset_set_release(&set);
}

static bool is_of_symbols(const struct dataset *d)
{
    return d->shared && (dataset_param_find(d, "symbol", 6) >= 0 || dataset_param_find(d, "symbols", 7) >= 0);
}

void cache_clear_symbol(struct operation_context *o, struct exchange *x)
{
    struct clearing c = {.o = o, .x = x};
    struct dataset_set *set = responder_hold_datasets(o->responder);

    for (size_t i = 0; set && i < dataset_set_count(set); i++)
        if (is_of_symbols(dataset_set_at(set, i)))
            add_tags(&c, &dataset_set_at(set, i)->tags);
    clear_everybody(&c);
    dataset_set_release(&set);
}
