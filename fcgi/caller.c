#include "fcgi/caller.h"

#include <string.h>

#include "fcgi/handlers.h"
#include "fcgi/http_cache.h"
#include "lib/base/log.h"

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
    } else {
        log_error("token not verified", LOG_STR("request", x->request.id), LOG_STR("error", err->text));
        response_problem(&x->response, &x->request, status_to_http(status), NULL, NULL, NULL);
    }
    return NEXT_SEND;
}

int caller_choose_user(struct exchange *x, const struct claims *claims, const char *named,
                       struct problem_fields *problems)
{
    const char *user_id = named ? named : claims->user_id;

    if (named && claims->role == ROLE_USER && strcmp(named, claims->user_id) != 0)
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
    x->recompute = claims && claims->role != ROLE_USER &&
                   http_has_directive(request_param(&x->request, PARAM_CACHE_CONTROL), "no-cache");
    if (x->bypass || x->recompute)
        local_reader_count(context->local, LOCAL_BYPASS);
    bool cached = responder->settings->cache_enabled && !x->bypass && !x->recompute;
    return cached ? NEXT_LOOKUP : NEXT_DEFER;
}
