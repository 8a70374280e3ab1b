/* POST /api/user/initialize (api.md 7). */
#include <string.h>

#include "fcgi/caller.h"
#include "fcgi/handlers.h"
#include "fcgi/preload.h"

static bool take_wait(const char *value, bool *ret_wait)
{
    *ret_wait = strcmp(value, "1") == 0 || strcmp(value, "true") == 0;
    return *ret_wait || strcmp(value, "0") == 0 || strcmp(value, "false") == 0;
}

/* *ret_user_id: whom a service means, or NULL. */
static void take_query(struct exchange *x, const char **ret_user_id, struct problem_fields *problems)
{
    const struct request *request = &x->request;
    bool has_wait = false;

    *ret_user_id = NULL;
    x->wait = false;
    for (size_t i = 0; i < request->n_query; i++) {
        const char *name = request_query_name(request, i), *value = request_query_value(request, i);
        bool is_user = strcmp(name, "user_id") == 0;
        if (!is_user && strcmp(name, "wait") != 0)
            problem_add(problems, name, "is not a parameter of this request");
        else if (is_user ? *ret_user_id != NULL : has_wait)
            problem_add(problems, name, "is given twice");
        else if (is_user)
            *ret_user_id = value;
        else if ((has_wait = true) && !take_wait(value, &x->wait))
            problem_add(problems, name, "must be true or false");
    }
}

enum next_step handle_initialize(struct handler_context *context, struct exchange *x, const struct route *route)
{
    struct problem_fields problems = {.n = 0};
    const struct claims *claims;
    const char *user_id;
    enum next_step next;

    (void)route;
    if (!caller_identify(context, x, AUTH_ANY, x->request.arrived_at, &claims, &next))
        return next;
    if (!limits_admit_user(context->responder->limits, x, claims, x->request.arrived_at))
        return NEXT_SEND;
    take_query(x, &user_id, &problems);
    if (caller_choose_user(x, claims, user_id, &problems) == 403)
        return answer_problem(x, 403, "another user's data needs the role service_role or admin");
    if (problems.n > 0) {
        response_problem(&x->response, &x->request, 400, "the query is not valid", &problems, NULL);
        return NEXT_SEND;
    }
    preload_append_key(context->responder, x);
    if (buf_status(&x->key) != STATUS_OK)
        return answer_problem(x, 503, NULL);
    x->datasets = responder_hold_datasets(context->responder);
    x->work = WORK_PRELOAD;
    return NEXT_DEFER;
}
