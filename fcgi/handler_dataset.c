/* Datasets (api.md 4 and 8), the routes that are not in the program but in the files: reading them, and making one fresh. */
#include <string.h>

#include "fcgi/answer.h"
#include "fcgi/caller.h"
#include "fcgi/dataset_query.h"
#include "fcgi/handlers.h"

/* *ret_claims is NULL where anybody may read and nobody is known. False: return *ret_next. */
static bool identify(struct handler_context *context, struct exchange *x, const struct claims **ret_claims,
                     enum next_step *ret_next)
{
    struct instant now = x->request.arrived_at;

    *ret_next = NEXT_SEND;
    if (answer_is_shared(x)) /* these count against the address alone */
        return context->responder->settings->public_data
                   ? caller_identify_if_any(context, x, now, ret_claims, ret_next)
                   : caller_identify(context, x, AUTH_ANY, now, ret_claims, ret_next);
    return caller_identify(context, x, AUTH_ANY, now, ret_claims, ret_next) &&
           limits_admit_user(context->responder->limits, x, *ret_claims, now);
}

/* False: the path names something that cannot be there. */
static bool take_path(struct exchange *x)
{
    struct err err;

    return dataset_request_take_path(&x->dataset, x->pattern, request_path(&x->request), &err) == STATUS_OK;
}

/* Parameters and user. True: the exchange is complete; else an answer was made. */
static bool read_request(struct exchange *x, bool path_too, const struct claims *claims)
{
    struct problem_fields problems;
    struct dataset_user user = {.named = false};
    struct err err;
    enum status status;
    int refusal = 0;

    problems.n = 0; /* three kilobytes that need no zeros */
    status = dataset_query_read(x, path_too, &user, &problems, &err);
    if (status != STATUS_OK) {
        (void)answer_problem(x, status_to_http(status), status == STATUS_INVALID ? err.text : NULL);
        return false;
    }
    if (!answer_is_shared(x))
        refusal = caller_choose_user(x, claims, user.named ? user.id : NULL, &problems);
    if (refusal == 403)
        (void)answer_problem(x, 403, "another user's data needs the role service_role or admin");
    else if (problems.n > 0)
        response_problem(&x->response, &x->request, 400, "the query is not valid", &problems, NULL);
    else
        return true;
    return false;
}

/* Which dataset, and whether it may be asked like this. False: an answer was made. */
static bool choose_dataset(const struct handler_context *context, struct exchange *x)
{
    if (!x->datasets) /* else it is dispatched again */
        x->datasets = responder_hold_datasets(context->responder);
    const struct dataset *dataset =
        x->datasets ? dataset_set_route(x->datasets, request_path(&x->request), &x->pattern) : NULL;
    if (!dataset) {
        (void)answer_problem(x, 404, "there is nothing at this path");
        return false;
    }
    dataset_request_begin(&x->dataset, dataset);
    x->route = METER_OWN_ROUTES + dataset->number;
    if (!router_admit(x, METHOD_GET | METHOD_HEAD | (dataset->takes_post ? METHOD_POST : 0U), "application/json"))
        return false;
    if (x->request.method == METHOD_POST && router_has_foreign_body(&x->request)) {
        (void)answer_problem(x, 415, "the Content-Type of a body is application/json");
        return false;
    }
    return true;
}

/* Whether what was read from the request before stands for this caller. */
static bool is_read(const struct exchange *x, const struct claims *claims)
{
    return x->known && (answer_is_shared(x) || caller_may_read(claims, x->user_id));
}

enum next_step handle_dataset(struct handler_context *context, struct exchange *x)
{
    const struct claims *claims;
    enum next_step next;

    if (!x->known && !choose_dataset(context, x))
        return NEXT_SEND;
    if (!identify(context, x, &claims, &next))
        return next;
    if (!is_read(x, claims)) {
        if (x->known) /* another caller's was read into it */
            dataset_request_begin(&x->dataset, x->dataset.dataset);
        if (!take_path(x))
            return answer_problem(x, 404, "there is nothing at this path");
        if (!read_request(x, false, claims))
            return NEXT_SEND;
        buf_clear(&x->key);
        dataset_request_append_key(context->responder->cache, &x->dataset, x->user_id, &x->key);
    }
    return caller_next_step(context, x, claims);
}

enum next_step handle_write_through(struct handler_context *context, struct exchange *x, const struct route *route)
{
    const char *name = strrchr(request_path(&x->request), '/') + 1;
    const struct claims *claims;
    const struct dataset *dataset;
    enum next_step next;

    (void)route;
    if (!caller_identify(context, x, AUTH_ANY, x->request.arrived_at, &claims, &next))
        return next;
    if (claims->role == ROLE_USER)
        return answer_problem(x, 403, "this needs the role service_role or admin");
    x->datasets = responder_hold_datasets(context->responder);
    dataset = x->datasets ? dataset_set_find(x->datasets, name) : NULL;
    if (!dataset)
        return answer_problem(x, 404, "there is no such dataset");
    dataset_request_begin(&x->dataset, dataset);
    if (!read_request(x, true, claims))
        return NEXT_SEND;
    dataset_request_append_key(context->responder->cache, &x->dataset, x->user_id, &x->key);
    x->writes_through = true;
    return caller_next_step(context, x, claims);
}
