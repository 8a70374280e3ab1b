/* GET, HEAD of a dataset (api.md 4 and 8): the routes that are not in the program but in the files. */
#include <string.h>

#include "fcgi/answer.h"
#include "fcgi/caller.h"
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
static bool take_path(struct exchange *x, const char *pattern)
{
    struct err err;

    return dataset_request_take_path(&x->dataset, pattern, request_path(&x->request), &err) == STATUS_OK;
}

static bool is_given_twice(const struct request *request, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(request_query_name(request, k), request_query_name(request, i)) == 0)
            return true;
    return false;
}

/* *ret_user_id is the parameter user_id of a user's dataset, or NULL. */
static void take_query(struct exchange *x, const char **ret_user_id, struct problem_fields *problems)
{
    const struct request *request = &x->request;
    const char *field;
    struct err err = {""};

    *ret_user_id = NULL;
    for (size_t i = 0; i < request->n_query; i++) {
        const char *name = request_query_name(request, i), *value = request_query_value(request, i);
        if (is_given_twice(request, i))
            problem_add(problems, name, "is given twice");
        else if (!answer_is_shared(x) && strcmp(name, "user_id") == 0)
            *ret_user_id = value;
        else if (dataset_request_set(&x->dataset, name, value, &err) != STATUS_OK)
            problem_add(problems, name, "%s", err.text);
    }
    if (problems->n == 0 && dataset_request_complete(&x->dataset, &field, &err) != STATUS_OK)
        problem_add(problems, field, "%s", err.text);
}

/* True: the exchange is complete; else an answer was made. */
static bool read_request(struct exchange *x, const char *pattern, const struct claims *claims)
{
    struct problem_fields problems = {.n = 0};
    const char *user_id;
    int refusal = 0;

    if (!take_path(x, pattern)) {
        (void)answer_problem(x, 404, "there is nothing at this path");
        return false;
    }
    take_query(x, &user_id, &problems);
    if (!answer_is_shared(x))
        refusal = caller_choose_user(x, claims, user_id, &problems);
    if (refusal == 403)
        (void)answer_problem(x, 403, "another user's data needs the role service_role or admin");
    else if (problems.n > 0)
        response_problem(&x->response, &x->request, 400, "the query is not valid", &problems, NULL);
    else
        return true;
    return false;
}

enum next_step handle_dataset(struct handler_context *context, struct exchange *x)
{
    const struct claims *claims;
    const char *pattern;
    enum next_step next;

    if (!x->datasets) /* else it is dispatched again */
        x->datasets = responder_hold_datasets(context->responder);
    const struct dataset *dataset =
        x->datasets ? dataset_set_route(x->datasets, request_path(&x->request), &pattern) : NULL;
    if (!dataset)
        return answer_problem(x, 404, "there is nothing at this path");
    dataset_request_begin(&x->dataset, dataset);
    x->route = METER_OWN_ROUTES + dataset->number;
    if (!router_admit(x, METHOD_GET | METHOD_HEAD, "application/json"))
        return NEXT_SEND;
    if (!identify(context, x, &claims, &next))
        return next;
    if (!read_request(x, pattern, claims))
        return NEXT_SEND;
    dataset_request_append_key(context->responder->cache, &x->dataset, x->user_id, &x->key);
    return caller_next_step(context, x, claims);
}
