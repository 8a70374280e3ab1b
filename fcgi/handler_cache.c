/* The operations on the cache (api.md 9): who may ask for what, and what exactly is asked; fcgi/cache_operations.h does it. */
#include <string.h>

#include "fcgi/cache_operations.h"
#include "fcgi/cache_order.h"
#include "fcgi/caller.h"
#include "fcgi/handlers.h"
#include "fcgi/http_cache.h"
#include "jobs/dataset_refresh.h"
#include "lib/base/log.h"

#define KEY_MAX 1024 /* bytes of a key's name */

static enum next_step defer(struct exchange *x, void (*operate)(struct operation_context *o, struct exchange *x))
{
    x->work = WORK_OPERATION;
    x->operate = operate;
    return NEXT_DEFER;
}

/* True: *ret_claims; else return *ret_next. */
static bool identify(struct handler_context *context, struct exchange *x, const struct claims **ret_claims,
                     enum next_step *ret_next)
{
    struct instant now = x->request.arrived_at;

    if (!caller_identify(context, x, AUTH_ANY, now, ret_claims, ret_next))
        return false;
    *ret_next = NEXT_SEND;
    return limits_admit_user(context->responder->limits, x, *ret_claims, now);
}

static bool identify_admin(struct handler_context *context, struct exchange *x, enum next_step *ret_next)
{
    const struct claims *claims;

    if (!identify(context, x, &claims, ret_next))
        return false;
    if (claims->role == ROLE_ADMIN)
        return true;
    *ret_next = answer_problem(x, 403, "this needs the role admin");
    return false;
}

/* False: a problem was answered. `known`: the one parameter there may be, or NULL; *ret_value is its value, or NULL. */
static bool take_query(struct exchange *x, const char *known, const char **ret_value)
{
    struct problem_fields problems = {.n = 0};
    const char *value = NULL;

    for (size_t i = 0; i < x->request.n_query; i++) {
        const char *name = request_query_name(&x->request, i);
        if (!known || strcmp(name, known) != 0)
            problem_add(&problems, name, "is not a parameter of this request");
        else if (value)
            problem_add(&problems, name, "is given twice");
        else
            value = request_query_value(&x->request, i);
    }
    if (known && (!value || !value[0] || strlen(value) > KEY_MAX))
        problem_add(&problems, known, "is needed: 1 to %d bytes", KEY_MAX);
    if (problems.n > 0) {
        response_problem(&x->response, &x->request, 400, "the query is not valid", &problems, NULL);
        return false;
    }
    *ret_value = value;
    return true;
}

enum next_step handle_cache_stats(struct handler_context *context, struct exchange *x, const struct route *route)
{
    enum next_step next;
    const char *none;

    (void)route;
    if (!identify_admin(context, x, &next))
        return next;
    return take_query(x, NULL, &none) ? defer(x, cache_show_stats) : NEXT_SEND;
}

enum next_step handle_cache_key(struct handler_context *context, struct exchange *x, const struct route *route)
{
    enum next_step next;
    const char *name;

    (void)route;
    if (!identify_admin(context, x, &next))
        return next;
    if (!take_query(x, "name", &name))
        return NEXT_SEND;
    buf_append_string(&x->key, name);
    return buf_status(&x->key) == STATUS_OK ? defer(x, cache_show_key) : answer_problem(x, 503, NULL);
}

/* --- orders --------------------------------------------------------------------------------- */

/* False: a problem was answered. The order is to be released either way. */
static bool read_order(struct exchange *x, unsigned allowed, const struct dataset_set *datasets,
                       struct cache_order *order, struct problem_fields *problems)
{
    const char *type = request_param(&x->request, PARAM_CONTENT_TYPE), *none;
    struct err err;
    enum status status;

    *order = (struct cache_order){.text = BUF_INIT};
    if (x->request.body.len > 0 && type && *type && !http_is_json(type)) {
        (void)answer_problem(x, 415, "the Content-Type of a body is application/json");
        return false;
    }
    if (!take_query(x, NULL, &none))
        return false;
    status = cache_order_read(&x->request.body, allowed, datasets, order, problems, &err);
    if (status == STATUS_OK)
        return true;
    (void)answer_problem(x, status_to_http(status), status == STATUS_INVALID ? err.text : NULL);
    return false;
}

static enum next_step refuse_order(struct exchange *x, const struct problem_fields *problems)
{
    response_problem(&x->response, &x->request, 400, "the order is not valid", problems, NULL);
    return NEXT_SEND;
}

struct operations_of {
    void (*by_kind[ORDER_KINDS])(struct operation_context *o, struct exchange *x);
};

/* The order's text goes to where the operation looks for it. */
static enum next_step carry_out(struct exchange *x, const struct cache_order *order, const struct claims *claims,
                                const char *what, const struct operations_of *operations)
{
    if (order->kind == ORDER_USER)
        memcpy(x->user_id, order->text.data, order->text.len + 1); /* valid ids fit */
    buf_append(&x->key, order->text.data ? order->text.data : "", order->text.len);
    if (buf_status(&x->key) != STATUS_OK)
        return answer_problem(x, 503, NULL);
    log_info(what, LOG_STR("request", x->request.id), LOG_STR("by", claims->user_id),
             LOG_STR("of", cache_order_name(order->kind)), LOG_STR("name", x->key.data));
    return defer(x, operations->by_kind[order->kind]);
}

/* Everybody their own; a service any user's; an admin everything. A user's order that was not understood says nothing more. */
static bool may_clear(const struct claims *claims, const struct cache_order *order)
{
    return claims->role == ROLE_ADMIN ||
           (order->kind == ORDER_USER &&
            (claims->role == ROLE_SERVICE || (order->text.data && strcmp(order->text.data, claims->user_id) == 0)));
}

static enum next_step clear(struct exchange *x, const struct claims *claims, const struct dataset_set *datasets,
                            struct cache_order *order)
{
    static const struct operations_of operations = {{
        [ORDER_USER] = cache_clear_user,
        [ORDER_SYMBOL] = cache_clear_symbol,
        [ORDER_TAG] = cache_clear_tag,
        [ORDER_DATASET] = cache_clear_dataset,
        [ORDER_ALL] = cache_clear_all,
    }};
    struct problem_fields problems = {.n = 0};

    if (!read_order(x, ~ORDER_BIT(ORDER_SYMBOLS), datasets, order, &problems))
        return NEXT_SEND;
    if (problems.n == 0 && !may_clear(claims, order))
        return answer_problem(x, 403, "anything but one's own data needs the role admin, another user's service_role");
    if (problems.n > 0)
        return refuse_order(x, &problems);
    return carry_out(x, order, claims, "cache is cleared", &operations);
}

/* What cannot be warmed by its name alone. */
static void judge_dataset(const struct dataset *d, struct problem_fields *problems)
{
    struct dataset_request r = {.dataset = NULL};
    const char *field;
    struct err err;

    dataset_request_begin(&r, d);
    if (!d->shared)
        problem_add(problems, "dataset", "is each user's own: name a user_id");
    else if (dataset_request_complete(&r, &field, &err) != STATUS_OK)
        problem_add(problems, "dataset", "cannot be asked for without parameters: '%s' %s", field, err.text);
    dataset_request_release(&r);
}

static enum next_step warm(struct exchange *x, const struct claims *claims, const struct dataset_set *datasets,
                           struct cache_order *order)
{
    static const struct operations_of operations = {{
        [ORDER_USER] = cache_warm_user,
        [ORDER_DATASET] = cache_warm_dataset,
        [ORDER_SYMBOLS] = cache_warm_symbols,
    }};
    struct problem_fields problems = {.n = 0};

    if (!read_order(x, ORDER_BIT(ORDER_USER) | ORDER_BIT(ORDER_DATASET) | ORDER_BIT(ORDER_SYMBOLS), datasets, order,
                    &problems))
        return NEXT_SEND;
    if (problems.n == 0 && order->kind == ORDER_DATASET)
        judge_dataset(dataset_set_find(datasets, order->text.data), &problems);
    if (problems.n > 0)
        return refuse_order(x, &problems);
    return carry_out(x, order, claims, "cache is warmed", &operations);
}

static enum next_step take_order(struct handler_context *context, struct exchange *x, bool of_admins,
                                 enum next_step (*judge)(struct exchange *x, const struct claims *claims,
                                                         const struct dataset_set *datasets, struct cache_order *order))
{
    struct dataset_set *datasets;
    const struct claims *claims;
    struct cache_order order;
    enum next_step next;

    if (!identify(context, x, &claims, &next))
        return next;
    if (of_admins && claims->role != ROLE_ADMIN)
        return answer_problem(x, 403, "this needs the role admin");
    datasets = responder_hold_datasets(context->responder);
    next = judge(x, claims, datasets, &order);
    cache_order_release(&order);
    dataset_set_release(&datasets);
    return next;
}

enum next_step handle_cache_clear(struct handler_context *context, struct exchange *x, const struct route *route)
{
    (void)route;
    return take_order(context, x, false, clear);
}

enum next_step handle_cache_warm(struct handler_context *context, struct exchange *x, const struct route *route)
{
    (void)route;
    return take_order(context, x, true, warm);
}
