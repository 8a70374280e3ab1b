#include <stdio.h>
#include <string.h>

#include "fcgi/handlers.h"
#include "fcgi/http_cache.h"
#include "lib/base/log.h"

/* What the query may say; NULL: not said. */
struct query {
    const char *time_range, *start_date, *end_date, *asset, *user_id;
};

static const char **query_place(struct query *q, const char *name, bool asset_allowed)
{
    const struct {
        const char *name;
        const char **place;
    } known[] = {
        {"time_range", &q->time_range}, {"start_date", &q->start_date}, {"end_date", &q->end_date},
        {"user_id", &q->user_id},       {"asset", &q->asset},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].place == &q->asset && !asset_allowed ? NULL : known[i].place;
    return NULL;
}

static void read_query(const struct request *request, bool asset_allowed, struct query *q, struct problem_fields *problems)
{
    for (size_t i = 0; i < request->n_query; i++) {
        const char *name = request_query_name(request, i);
        const char **place = query_place(q, name, asset_allowed);
        if (!place)
            problem_add(problems, name, "is not a parameter of this request");
        else if (*place)
            problem_add(problems, name, "is given twice");
        else
            *place = request_query_value(request, i);
    }
}

static void parse_date(const char *text, const char *field, bool *ret_has, struct date *ret_date, struct problem_fields *problems)
{
    if (!text)
        return;
    if (date_parse(text, ret_date) == STATUS_OK)
        *ret_has = true;
    else
        problem_add(problems, field, "must be a date, YYYY-MM-DD");
}

static void parse_range(const struct query *q, struct range_request *range, struct problem_fields *problems)
{
    *range = (struct range_request){.name = RANGE_ALL_TIME};
    if (q->time_range && range_name_parse(q->time_range, &range->name) != STATUS_OK)
        problem_add(problems, "time_range", "must be today, 7d, 30d, 90d, 6m, 1y, ytd, all_time or custom");
    parse_date(q->start_date, "start_date", &range->has_start, &range->start, problems);
    parse_date(q->end_date, "end_date", &range->has_end, &range->end, problems);
    if (range->name != RANGE_CUSTOM) {
        if (q->start_date)
            problem_add(problems, "start_date", "goes with time_range=custom only");
        if (q->end_date)
            problem_add(problems, "end_date", "goes with time_range=custom only");
    } else if (!q->start_date && !q->end_date) {
        problem_add(problems, "start_date", "time_range=custom needs start_date, end_date or both");
    } else if (range->has_start && range->has_end && range->start.days > range->end.days) {
        problem_add(problems, "end_date", "lies before start_date");
    }
}

/* "stock" and "option" are what older clients say. */
static void parse_asset(const char *text, enum asset *ret_asset, struct problem_fields *problems)
{
    static const struct {
        const char *text;
        enum asset asset;
    } known[] = {{"all", ASSET_ALL},         {"stocks", ASSET_STOCKS},   {"stock", ASSET_STOCKS},
                 {"options", ASSET_OPTIONS}, {"option", ASSET_OPTIONS}};
    if (!text)
        return;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].text, text) == 0) {
            *ret_asset = known[i].asset;
            return;
        }
    problem_add(problems, "asset", "must be all, stocks or options");
}

static enum next_step refuse_token(struct exchange *x, enum status status, const struct err *err)
{
    if (status == STATUS_NOT_FOUND) {
        response_problem(&x->response, &x->request, 401, "a bearer token is needed", NULL, "WWW-Authenticate: Bearer\r\n");
    } else if (status == STATUS_INVALID) {
        log_info("token refused", LOG_STR("request", x->request.id), LOG_STR("reason", err->text));
        response_problem(&x->response, &x->request, 401, "the token is not valid", NULL,
                         "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n");
    } else {
        log_error("token not verified", LOG_STR("request", x->request.id), LOG_STR("error", err->text));
        response_problem(&x->response, &x->request, status_to_http(status), NULL, NULL, NULL);
    }
    return NEXT_SEND;
}

/* Whose document: the caller's own, or the one that a service or an admin names. 0, or the HTTP status of the refusal. */
static int choose_user(struct exchange *x, const struct claims *claims, const char *named, struct problem_fields *problems)
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

enum next_step handle_analytics(struct handler_context *context, struct exchange *x, const struct route *route)
{
    const struct responder *responder = context->responder;
    struct problem_fields problems = {.n = 0};
    struct query query = {0};
    const struct claims *claims;
    struct err err;

    enum status status = auth_identify(context->secrets->jwt, context->tokens, &x->request, clock_now(), &claims, &err);
    if (status != STATUS_OK)
        return refuse_token(x, status, &err);
    read_query(&x->request, route->asset == ASSET_ALL, &query, &problems);
    x->document.section = route->section;
    x->document.asset = route->asset;
    parse_asset(query.asset, &x->document.asset, &problems);
    parse_range(&query, &x->document.range, &problems);
    if (choose_user(x, claims, query.user_id, &problems) == 403)
        return answer_problem(x, 403, "another user's data needs the role service_role or admin");
    if (problems.n > 0) {
        response_problem(&x->response, &x->request, 400, "the query is not valid", &problems, NULL);
        return NEXT_SEND;
    }
    document_append_key(responder->cache, &x->document, x->user_id, &x->key);
    if (buf_status(&x->key) != STATUS_OK)
        return answer_problem(x, 503, NULL);
    x->work = WORK_DOCUMENT;
    x->bypass = pending_covers(responder->pending, x->user_id);
    x->recompute = claims->role != ROLE_USER && http_has_directive(request_param(&x->request, PARAM_CACHE_CONTROL), "no-cache");
    bool cached = context->redis && responder->settings->cache_enabled && !x->bypass && !x->recompute;
    return cached ? NEXT_LOOKUP : NEXT_DEFER;
}
