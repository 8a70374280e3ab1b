/* /api/session, /api/sessions (api.md 6). */
#include <string.h>

#include "fcgi/caller.h"
#include "fcgi/handlers.h"
#include "fcgi/session_work.h"

static bool has_sessions(const struct responder *responder)
{
    return auth_modes_parse(responder->settings->auth_mode) & AUTH_SESSION;
}

static enum next_step defer(struct exchange *x, enum deferred_work work)
{
    x->work = work;
    return NEXT_DEFER;
}

/* What the session is, to its browser; and how the page behind it learns the token that its changes need. */
static enum next_step show(const struct responder *responder, struct exchange *x, const struct claims *claims)
{
    const char *id;
    struct err err;

    if (auth_find_session(responder->settings, &x->request, &id, &err) != STATUS_OK)
        return answer_problem(x, 500, NULL);
    session_respond(x, 200, id, claims, NULL);
    return NEXT_SEND;
}

enum next_step handle_session(struct handler_context *context, struct exchange *x, const struct route *route)
{
    const struct responder *responder = context->responder;
    const struct claims *claims;
    enum next_step next;

    (void)route;
    if (!has_sessions(responder))
        return answer_problem(x, 404, "AUTH_MODE has no sessions");
    if (x->request.n_query > 0)
        return answer_problem(x, 400, "a session has no query parameters");
    if (x->request.method == METHOD_POST)
        return limits_admit_address(responder->limits, x, LIMIT_LOGINS) ? defer(x, WORK_LOGIN) : NEXT_SEND;
    if (!caller_identify(context, x, AUTH_SESSION, x->request.arrived_at, &claims, &next))
        return next;
    if (x->request.method != METHOD_DELETE)
        return show(responder, x, claims);
    memcpy(x->user_id, claims->user_id, sizeof x->user_id);
    return defer(x, WORK_LOGOUT);
}

enum next_step handle_sessions(struct handler_context *context, struct exchange *x, const struct route *route)
{
    struct problem_fields problems = {.n = 0};
    const struct request *request = &x->request;
    const char *user_id = NULL;
    const struct claims *claims;
    enum next_step next;

    (void)route;
    if (!has_sessions(context->responder))
        return answer_problem(x, 404, "AUTH_MODE has no sessions");
    if (!caller_identify(context, x, AUTH_ANY, x->request.arrived_at, &claims, &next))
        return next;
    for (size_t i = 0; i < request->n_query; i++) {
        if (strcmp(request_query_name(request, i), "user_id") != 0)
            problem_add(&problems, request_query_name(request, i), "is not a parameter of this request");
        else if (user_id)
            problem_add(&problems, "user_id", "is given twice");
        else
            user_id = request_query_value(request, i);
    }
    if (caller_choose_user(x, claims, user_id, &problems) == 403)
        return answer_problem(x, 403, "another user's sessions need the role service_role or admin");
    if (problems.n > 0) {
        response_problem(&x->response, request, 400, "the query is not valid", &problems, NULL);
        return NEXT_SEND;
    }
    return defer(x, WORK_LOGOUT_ALL);
}
