#include "fcgi/caller.h"

#include <string.h>

#include "fcgi/handlers.h"
#include "fcgi/hmac.h"
#include "fcgi/http_cache.h"
#include "fcgi/session_cookie.h"
#include "fcgi/session_lane.h"
#include "lib/base/log.h"

#define SLIDE_EVERY_S 60

/* What a page of another site can have a browser send, cookie included, comes without the token that only ours can read. */
static bool has_csrf_token(const struct settings *settings, const struct request *request)
{
    const char *token = request_param(request, PARAM_X_CSRF_TOKEN), *id;
    struct buf expected = BUF_INIT;
    struct err err;

    if (auth_find_session(settings, request, &id, &err) == STATUS_OK)
        session_csrf_append(&expected, id);
    bool good = token && buf_status(&expected) == STATUS_OK && expected.len > 0 && strlen(token) == expected.len &&
                hmac_equal(token, expected.data, expected.len);
    buf_release(&expected);
    return good;
}

/* It is told once a minute, and what a session's lifetime ends anyway is not told. */
static void notice_use(struct responder *r, struct exchange *x, const struct claims *claims, struct instant now)
{
    int64_t now_s = now.us / US_PER_SECOND, until_s = now_s + r->settings->session_idle_timeout_s;

    if (until_s > claims->not_before_s + r->settings->session_lifetime_s)
        until_s = claims->not_before_s + r->settings->session_lifetime_s;
    x->session.slides = until_s - claims->expires_s >= SLIDE_EVERY_S &&
                        responder_should_touch(r, x->session.name, x->request.arrived_us / 1000);
    if (x->session.slides && r->session_lane)
        session_lane_slide(r->session_lane, x->session.name, claims);
}

static enum status identify(struct handler_context *context, struct exchange *x, unsigned accepted, struct instant now,
                            const struct claims **ret_claims, struct err *err)
{
    enum status status = auth_identify(context->secrets->jwt, context->tokens, x, accepted, now, ret_claims, err);

    if (status == STATUS_OK && (*ret_claims)->by_cookie)
        notice_use(context->responder, x, *ret_claims, now);
    return status;
}

bool caller_identify(struct handler_context *context, struct exchange *x, unsigned accepted, struct instant now,
                     const struct claims **ret_claims, enum next_step *ret_next)
{
    struct err err;
    enum status status = identify(context, x, accepted, now, ret_claims, &err);

    if (status == STATUS_CONFLICT) {
        *ret_next = NEXT_SESSION;
    } else if (status != STATUS_OK) {
        *ret_next = caller_refuse(x, status, &err);
    } else if (x->changes && (*ret_claims)->by_cookie && !has_csrf_token(context->responder->settings, &x->request)) {
        *ret_next =
            answer_problem(x, 403, "X-CSRF-Token is missing, or not this session's (GET /api/session tells it)");
    } else {
        return true;
    }
    return false;
}

bool caller_identify_if_any(struct handler_context *context, struct exchange *x, struct instant now,
                            const struct claims **ret_claims, enum next_step *ret_next)
{
    /* Only who may ask for a fresh computation needs to be known; a cookie comes with every request of a browser. */
    bool asks = http_has_directive(request_param(&x->request, PARAM_CACHE_CONTROL), "no-cache");
    struct err err;
    enum status status = identify(context, x, asks ? AUTH_ANY : AUTH_JWT, now, ret_claims, &err);

    if (status == STATUS_CONFLICT) {
        *ret_next = NEXT_SESSION;
        return false;
    }
    if (status != STATUS_OK)
        *ret_claims = NULL;
    if (status == STATUS_OK || status == STATUS_NOT_FOUND || status_is_transient(status))
        return true;
    *ret_next = caller_refuse(x, status, &err);
    return false;
}

enum next_step caller_refuse(struct exchange *x, enum status status, const struct err *err)
{
    /* Anybody can send bad tokens, tens of thousands a second: one line a second tells why, and cannot fill a disk. */
    static _Atomic int64_t logged_s = -1;

    if (status == STATUS_NOT_FOUND) {
        response_problem(&x->response, &x->request, 401, err->text, NULL, "WWW-Authenticate: Bearer\r\n");
    } else if (status == STATUS_INVALID) {
        if (log_is_first_this_second(&logged_s))
            log_info("token refused", LOG_STR("request", x->request.id), LOG_STR("reason", err->text));
        response_problem(&x->response, &x->request, 401, "the token is not valid", NULL,
                         "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n");
    } else if (status_is_transient(status)) { /* of Redis, whose end was logged */
        (void)answer_problem(x, status_to_http(status), err->text);
    } else {
        log_error("token not verified", LOG_STR("request", x->request.id), LOG_STR("error", err->text));
        response_problem(&x->response, &x->request, status_to_http(status), NULL, NULL, NULL);
    }
    return NEXT_SEND;
}

bool caller_may_read(const struct claims *claims, const char *user_id)
{
    return claims->role != ROLE_USER || strcmp(user_id, claims->user_id) == 0;
}

int caller_choose_user(struct exchange *x, const struct claims *claims, const char *named,
                       struct problem_fields *problems)
{
    const char *user_id = named ? named : claims->user_id;

    if (!caller_may_read(claims, user_id))
        return 403;
    if (!user_id[0])
        problem_add(problems, "user_id", "is needed with a token that has no 'sub'");
    else if (!user_id_is_valid(user_id))
        problem_add(problems, "user_id", "is not a user id");
    else
        memcpy(x->user_id, user_id, strlen(user_id) + 1); /* valid ids fit */
    return 0;
}

enum next_step caller_next_step(const struct handler_context *context, struct exchange *x, const struct claims *claims)
{
    const struct responder *responder = context->responder;

    if (buf_status(&x->key) != STATUS_OK)
        return answer_problem(x, 503, NULL);
    x->work = WORK_DOCUMENT;
    x->bypass = pending_covers(responder->pending, x->user_id);
    x->recompute =
        x->writes_through || (claims && claims->role != ROLE_USER &&
                              http_has_directive(request_param(&x->request, PARAM_CACHE_CONTROL), "no-cache"));
    if (x->bypass || x->recompute)
        local_reader_count(context->local, LOCAL_BYPASS);
    bool cached = responder->settings->cache_enabled && !x->bypass && !x->recompute;
    return cached ? NEXT_LOOKUP : NEXT_DEFER;
}
