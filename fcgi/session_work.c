#include "fcgi/session_work.h"

#include <assert.h>

#include "fcgi/caller.h"
#include "fcgi/envelope.h"
#include "fcgi/handlers.h"
#include "fcgi/session_cookie.h"
#include "lib/base/log.h"

enum status session_work_init(struct session_work *work, struct responder *responder, struct err *err)
{
    *work = (struct session_work){.responder = responder};
    enum status status = responder_new_redis(responder, "pnlcache.fcgi:session", &work->redis, err);
    return status == STATUS_OK ? token_cache_new(responder->settings, responder->local, &work->tokens, err) : status;
}

void session_work_release(struct session_work *work)
{
    token_cache_free(&work->tokens);
    redis_free(&work->redis);
}

static struct session_terms terms_of(const struct settings *settings)
{
    return (struct session_terms){settings->session_idle_timeout_s, settings->session_lifetime_s};
}

/* --- answers -------------------------------------------------------------------------------------- */

static void write_time(struct json_writer *w, const char *name, int64_t unix_s)
{
    char text[INSTANT_TEXT_SIZE];

    instant_format((struct instant){unix_s * US_PER_SECOND}, text);
    json_key(w, name);
    json_string(w, text);
}

void session_respond(struct exchange *x, int http_status, const char *id, const struct claims *claims,
                     const char *headers)
{
    struct buf token = BUF_INIT;
    struct json_writer w;

    session_csrf_append(&token, id);
    if (buf_status(&token) != STATUS_OK) {
        (void)answer_problem(x, 503, NULL);
        return;
    }
    envelope_begin(x, &w);
    json_key(&w, "user_id");
    json_string(&w, claims->user_id);
    json_key(&w, "role");
    json_string(&w, claims->role == ROLE_ADMIN ? "admin" : "user");
    write_time(&w, "created_at", claims->not_before_s);
    write_time(&w, "expires_at", claims->expires_s);
    json_key(&w, "csrf_token");
    json_string(&w, token.data);
    envelope_end(x, &w, http_status, headers);
    buf_release(&token);
}

static void respond_ended(struct exchange *x, size_t n, const char *headers)
{
    struct json_writer w;

    envelope_begin(x, &w);
    json_key(&w, "ended");
    json_int(&w, (int64_t)n);
    envelope_end(x, &w, 200, headers);
}

static void fail(struct exchange *x, enum status status, const struct err *err)
{
    static _Atomic int64_t logged_s = -1;

    if (log_is_first_this_second(&logged_s))
        log_warn("sessions cannot be changed", LOG_STR("request", x->request.id), LOG_STR("reason", err->text));
    (void)answer_problem(x, status_to_http(status), "Redis does not take it at the moment");
}

/* --- logging in ----------------------------------------------------------------------------------- */

/* False: an answer was made. */
static bool identify(struct session_work *work, struct exchange *x, const struct claims **ret_claims)
{
    struct secrets *secrets = secrets_get(work->responder);
    struct err err;

    if (secrets->generation != work->secrets_generation)
        token_cache_clear(work->tokens);
    work->secrets_generation = secrets->generation;
    enum status status = auth_identify_login(secrets->jwt, work->tokens, &x->request, clock_now(), ret_claims, &err);
    secrets_put(&secrets);
    if (status != STATUS_OK)
        (void)caller_refuse(x, status, &err);
    else if ((*ret_claims)->role == ROLE_SERVICE || !(*ret_claims)->user_id[0])
        (void)answer_problem(x, 403, "a session is a user's; a service comes with its token");
    else
        return true;
    return false;
}

static enum status begin_session(struct session_work *work, const struct claims *token, const char *id,
                                 struct claims *ret_claims, struct err *err)
{
    struct session_terms terms = terms_of(work->responder->settings);
    struct session session = {.role = token->role, .created_s = clock_now().us / US_PER_SECOND};
    char name[SESSION_NAME_SIZE];

    memcpy(session.user_id, token->user_id, sizeof session.user_id);
    session_name_of(id, name);
    enum status status = session_create(work->responder->cache, work->redis, name, &terms, &session, err);
    *ret_claims = *token;
    ret_claims->not_before_s = session.created_s;
    ret_claims->expires_s = session.expires_s;
    return status;
}

static void log_in(struct session_work *work, struct exchange *x)
{
    struct buf id = BUF_INIT, headers = BUF_INIT;
    const struct claims *token;
    struct claims claims;
    struct err err;

    if (!limits_confirm_login(work->responder->limits, work->redis, x) || !identify(work, x, &token))
        return;
    enum status status = session_id_append(&id, &err);
    if (status == STATUS_OK)
        status = begin_session(work, token, id.data, &claims, &err);
    session_cookie_append(&headers, work->responder->settings, id.data);
    if (status == STATUS_OK && buf_status(&headers) != STATUS_OK)
        status = err_fail(&err, STATUS_NO_MEMORY, "out of memory");
    if (status == STATUS_OK)
        session_respond(x, 201, id.data, &claims, headers.data);
    else if (status == STATUS_CONFLICT)
        (void)answer_problem(x, 403, "this user was deleted");
    else
        fail(x, status, &err);
    buf_release(&id);
    buf_release(&headers);
}

/* --- logging out ---------------------------------------------------------------------------------- */

/* From the answer on this process takes none of them for good. */
static void forget(void *local, const char *name)
{
    local_cache_forget_session(local, name);
}

static void log_out(struct session_work *work, struct exchange *x)
{
    struct responder *r = work->responder;
    struct buf headers = BUF_INIT;
    struct err err;
    size_t n = 0;

    enum status status = session_end(r->cache, work->redis, x->session.name, x->user_id, &n, &err);
    forget(r->local, x->session.name);
    session_cookie_append(&headers, r->settings, NULL);
    if (status == STATUS_OK)
        respond_ended(x, n, headers.data);
    else
        fail(x, status, &err);
    buf_release(&headers);
}

static void log_out_everywhere(struct session_work *work, struct exchange *x)
{
    struct responder *r = work->responder;
    struct err err;
    size_t n = 0;

    enum status status = session_end_all(r->cache, work->redis, x->user_id, forget, r->local, &n, &err);
    if (status == STATUS_OK)
        respond_ended(x, n, NULL);
    else
        fail(x, status, &err);
}

void session_work_serve(struct session_work *work, struct exchange *x)
{
    assert(x->work == WORK_LOGIN || x->work == WORK_LOGOUT || x->work == WORK_LOGOUT_ALL);
    if (x->work == WORK_LOGIN)
        log_in(work, x);
    else if (x->work == WORK_LOGOUT)
        log_out(work, x);
    else
        log_out_everywhere(work, x);
}

/* --- using ---------------------------------------------------------------------------------------- */

void session_work_slide(struct responder *r, struct redis *redis, const char *name, const struct session *session)
{
    struct session_terms terms = terms_of(r->settings);
    struct err err;

    if (session_slide(r->cache, redis, name, &terms, session, clock_now(), &err) != STATUS_OK)
        log_debug("a session's use was not noted", LOG_STR("reason", err.text));
}

void session_work_read(struct responder *r, struct redis *redis, struct exchange *const *list, size_t n)
{
    struct session_terms terms = terms_of(r->settings);
    struct session_lookup lookups[SESSIONS_AT_ONCE];

    assert(n <= SESSIONS_AT_ONCE);
    for (size_t i = 0; i < n; i++) {
        struct exchange_session *s = &list[i]->session;

        lookups[i].name = s->name;
        s->number = local_cache_begin_session(r->local, s->name); /* before it is read */
    }
    session_read_many(r->cache, redis, &terms, clock_now(), lookups, n);
    for (size_t i = 0; i < n; i++) {
        list[i]->session.lookup = lookups[i];
        list[i]->session.read = true;
    }
}
