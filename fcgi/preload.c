#include "fcgi/preload.h"

#include <stdlib.h>
#include <string.h>

#include "fcgi/envelope.h"
#include "fcgi/handlers.h"
#include "jobs/precompute.h"
#include "lib/base/log.h"
#include "lib/store/job_stream.h"

/* With the prefix that locks have in front it is the key of the user's turn (worker/user_turn.c). */
void preload_append_key(const struct responder *responder, struct exchange *x)
{
    cache_append_prefix(responder->cache, &x->key);
    buf_append_string(&x->key, "job:{");
    cache_append_user(&x->key, x->user_id);
    buf_append_char(&x->key, '}');
}

/* --- what is there ------------------------------------------------------------------------------- */

struct preload {
    const struct preload_tools *tools;
    const struct dataset_set *datasets; /* NULL: there are none */
    const char *user_id;
    size_t documents, warm;
    struct user_collections collections; /* due: cold */
    bool *too_large;                     /* of each */
    enum status failed;                  /* the user cannot be computed */
    struct err why;
};

static enum status look_at_documents(struct preload *p, struct err *err)
{
    const struct responder *r = p->tools->responder;
    struct document_batch batch;
    size_t dropped = 0;
    enum status status = document_batch_init(&batch, 1, &p->user_id, err);

    if (status == STATUS_OK)
        status = document_batch_open(&batch, r->cache, p->tools->redis, r->settings, &dropped, err);
    if (status == STATUS_OK)
        status = user_documents_judge(&batch.users[0], r->cache, p->tools->redis, r->settings, 0, &p->warm, err);
    if (status == STATUS_OK)
        p->documents = batch.users[0].n;
    document_batch_release(&batch);
    return status;
}

static enum status look_at_collections(struct preload *p, struct err *err)
{
    const struct responder *r = p->tools->responder;
    struct user_collections *c = &p->collections;
    enum status status;

    user_collections_release(c);
    if (p->datasets == NULL)
        return STATUS_OK;
    status = user_collections_choose(c, p->datasets, p->user_id, NULL, 0, err);
    if (status == STATUS_OK && p->too_large == NULL && (p->too_large = calloc(c->n + 1, sizeof *p->too_large)) == NULL)
        status = err_fail(err, STATUS_NO_MEMORY, "out of memory");
    if (status == STATUS_OK && c->n > 0)
        status = user_collections_open(c, r->cache, p->tools->redis, err);
    if (status == STATUS_OK && c->n > 0)
        status = user_collections_judge(c, r->cache, p->tools->redis, 0, err);
    return status;
}

static enum status look(struct preload *p, struct err *err)
{
    enum status status = look_at_documents(p, err);

    return status == STATUS_OK ? look_at_collections(p, err) : status;
}

static bool is_done(const struct preload *p)
{
    for (size_t i = 0; i < p->collections.n; i++)
        if (p->collections.list[i].due && !p->too_large[i])
            return false;
    return p->warm == p->documents;
}

/* --- the answer ----------------------------------------------------------------------------------- */

static void write_collections(const struct preload *p, struct json_writer *w)
{
    json_key(w, "collections");
    json_object_begin(w);
    for (size_t i = 0; i < p->collections.n; i++) {
        const struct collection *one = &p->collections.list[i];
        json_key(w, one->dataset->name);
        json_string(w, !one->due ? "warm" : p->too_large[i] ? "too_large" : "cold");
    }
    json_object_end(w);
}

static void respond(const struct preload *p, struct exchange *x, int http_status)
{
    struct json_writer w;

    envelope_begin(x, &w);
    json_key(&w, "done");
    json_bool(&w, is_done(p));
    json_key(&w, "analytics");
    json_object_begin(&w);
    json_key(&w, "documents");
    json_int(&w, (int64_t)p->documents);
    json_key(&w, "warm");
    json_int(&w, (int64_t)p->warm);
    json_object_end(&w);
    write_collections(p, &w);
    envelope_end(x, &w, http_status, NULL);
}

static void respond_all(const struct preload *p, const struct flight *f, int http_status)
{
    for (struct exchange *x = f->first; x; x = x->next)
        respond(p, x, http_status);
}

static void fail_all(const struct flight *f, enum status status, const struct err *err)
{
    if (!status_is_transient(status) || log_enabled(LOG_LEVEL_DEBUG))
        log_error("user not initialized", LOG_STR("user", f->first->user_id), LOG_STR("error", err->text));
    for (struct exchange *x = f->first; x; x = x->next)
        (void)answer_problem(x, status_is_transient(status) ? 503 : 500, NULL);
}

/* --- the work ------------------------------------------------------------------------------------- */

static void note_failed(void *context, const char *user_id, enum status status, const char *reason)
{
    struct preload *p = context;

    (void)user_id;
    p->failed = err_fail(&p->why, status == STATUS_INVALID ? STATUS_INTERNAL : status, "%s", reason);
}

static void note_collection(void *context, const char *user_id, const struct dataset *dataset, enum collection_end end,
                            size_t bytes, const char *reason)
{
    struct preload *p = context;

    (void)bytes;
    if (end == COLLECTION_FAILED)
        log_warn("list not computed", LOG_STR("user", user_id), LOG_STR("dataset", dataset->name),
                 LOG_STR("reason", reason));
    for (size_t i = 0; i < p->collections.n; i++)
        if (p->collections.list[i].dataset == dataset)
            p->too_large[i] = end == COLLECTION_TOO_LARGE;
}

static enum status compute(struct preload *p, struct err *err)
{
    const struct preload_tools *t = p->tools;
    const struct precompute_options options = {
        .settings = t->responder->settings,
        .db = t->db,
        .cache = t->responder->cache,
        .redis = t->redis,
        .on_failed = note_failed,
        .on_collection = note_collection,
        .context = p,
        .only_invalid = true,
        .datasets = p->datasets,
        .all_collections = true,
    };
    struct precompute *precompute = NULL;
    enum status status = precompute_new(&options, &precompute, err);

    if (status == STATUS_OK)
        status = precompute_users(precompute, 1, &p->user_id, err);
    precompute_free(&precompute);
    if (status == STATUS_OK && p->failed != STATUS_OK)
        return err_fail(err, p->failed, "%s", p->why.text);
    return status;
}

/* From now on jobs keep the lists fresh; a service may ask for a user who is not here yet. */
static enum status keep_fresh(struct preload *p, struct err *err)
{
    const struct responder *r = p->tools->responder;
    enum status status =
        wanted_note_all_collections(r->cache, p->tools->redis, r->settings, p->datasets, p->user_id, err);

    return status == STATUS_OK ? active_users_touch(r->cache, p->tools->redis, p->user_id, err) : status;
}

/* Nobody waits: a worker does it. */
static enum status order(struct preload *p, const struct flight *f, struct err *err)
{
    enum status status = keep_fresh(p, err);

    if (status == STATUS_OK && !is_done(p))
        status = job_stream_add(p->tools->responder->cache, p->tools->redis, "analytics", p->user_id, "login", err);
    if (status == STATUS_OK)
        respond_all(p, f, 202);
    return status;
}

static enum status carry_out(struct preload *p, const struct flight *f, struct err *err)
{
    enum status status = is_done(p) ? STATUS_OK : compute(p, err);

    if (status == STATUS_OK)
        status = look(p, err);
    if (status == STATUS_OK)
        status = keep_fresh(p, err);
    if (status == STATUS_OK)
        respond_all(p, f, 200);
    return status;
}

static bool somebody_is_at_it(const struct preload *p, const struct flight *f)
{
    const struct preload_tools *t = p->tools;
    struct err err;

    return f->first->wait && t->may_park && !is_done(p) &&
           flight_lock_take(t->lock, t->responder->cache, t->redis, f->first->key.data, &err) == STATUS_CONFLICT;
}

bool preload_serve(const struct preload_tools *tools, struct flight *f)
{
    const struct responder *r = tools->responder;
    struct preload p = {.tools = tools, .datasets = f->first->datasets, .user_id = f->first->user_id};
    struct err err = {.text = ""};
    enum status status = STATUS_OK;
    bool parked = false;

    if (!tools->redis || !r->settings->cache_enabled) {
        respond_all(&p, f, f->first->wait ? 200 : 202); /* nothing is kept, so nothing is to be prepared */
        return true;
    }
    status = look(&p, &err);
    parked = status == STATUS_OK && somebody_is_at_it(&p, f);
    if (status == STATUS_OK && !parked)
        status = f->first->wait ? carry_out(&p, f, &err) : order(&p, f, &err);
    flight_lock_give_back(tools->lock, tools->redis);
    if (status != STATUS_OK)
        fail_all(f, status, &err);
    user_collections_release(&p.collections);
    free(p.too_large);
    return !parked;
}
