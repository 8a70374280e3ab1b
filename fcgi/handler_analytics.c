#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/analytics_query.h"
#include "fcgi/handlers.h"
#include "fcgi/http_cache.h"
#include "lib/base/log.h"
#include "lib/base/parse_number.h"

static enum next_step refuse_token(struct exchange *x, enum status status, const struct err *err)
{
    /* Anybody can send bad tokens, tens of thousands a second: one line a second tells why, and cannot fill a disk. */
    static _Atomic int64_t logged_s = -1;

    if (status == STATUS_NOT_FOUND) {
        response_problem(&x->response, &x->request, 401, "a bearer token is needed", NULL,
                         "WWW-Authenticate: Bearer\r\n");
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

/* Whose document: the caller's own, or the one that a service or an admin names. 0, or the HTTP status of the refusal. */
static int choose_user(struct exchange *x, const struct claims *claims, const char *named,
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

/* The {id} of /api/playbooks/{id}/analytics. False: it can be nobody's. */
static bool take_playbook_id(const char *path, int64_t *ret_id)
{
    const char *id = path + strlen("/api/playbooks/");

    return parse_int64_bytes(id, strcspn(id, "/"), 1, INT64_MAX, ret_id) == STATUS_OK;
}

/* The {metric} of /api/stocks/analytics/{metric}. False: there is none of this name. */
static bool take_text(const char *path, size_t *ret_text)
{
    const char *name = strrchr(path, '/') + 1;

    for (size_t i = 0; report_text_path(i); i++)
        if (strcmp(report_text_path(i), name) == 0) {
            *ret_text = i;
            return true;
        }
    return false;
}

/* Fills the exchange's document and user. Complete: true; else an answer was made. */
static bool read_request(struct exchange *x, const struct route *route, const struct claims *claims)
{
    struct problem_fields problems = {.n = 0};
    struct analytics_query query;
    struct err err;
    enum status status;
    int refusal;

    x->document = (struct document_request){.section = route->section, .asset = route->asset};
    status = analytics_query_read(&query, &x->request, route->section, route->asset, &problems, &err);
    if (status != STATUS_OK) {
        analytics_query_release(&query);
        (void)answer_problem(x, status_to_http(status), status == STATUS_INVALID ? err.text : NULL);
        return false;
    }
    analytics_query_parse(&query, &x->document, &problems);
    refusal = choose_user(x, claims, query.values[ANALYTICS_USER_ID], &problems);
    analytics_query_release(&query);
    if (refusal == 403)
        (void)answer_problem(x, 403, "another user's data needs the role service_role or admin");
    else if (problems.n > 0)
        response_problem(&x->response, &x->request, 400, "the query is not valid", &problems, NULL);
    else if (route->section == SECTION_PLAYBOOK &&
             !take_playbook_id(request_path(&x->request), &x->document.playbook_id))
        (void)answer_problem(x, 404, "there is no such playbook");
    else if (route->section == SECTION_TEXT && !take_text(request_path(&x->request), &x->document.text))
        (void)answer_problem(x, 404, "there is nothing at this path");
    else
        return true;
    return false;
}

enum next_step handle_analytics(struct handler_context *context, struct exchange *x, const struct route *route)
{
    const struct responder *responder = context->responder;
    const struct claims *claims;
    struct instant now = clock_now();
    struct err err;

    enum status status = auth_identify(context->secrets->jwt, context->tokens, &x->request, now, &claims, &err);
    if (status != STATUS_OK)
        return refuse_token(x, status, &err);
    if (!limits_admit_user(responder->limits, x, claims, now))
        return NEXT_SEND;
    if (!read_request(x, route, claims))
        return NEXT_SEND;
    document_append_key(responder->cache, &x->document, x->user_id, &x->key);
    if (buf_status(&x->key) != STATUS_OK)
        return answer_problem(x, 503, NULL);
    x->work = WORK_DOCUMENT;
    x->bypass = pending_covers(responder->pending, x->user_id);
    x->recompute =
        claims->role != ROLE_USER && http_has_directive(request_param(&x->request, PARAM_CACHE_CONTROL), "no-cache");
    if (x->bypass || x->recompute)
        local_reader_count(context->local, LOCAL_BYPASS);
    bool cached = responder->settings->cache_enabled && !x->bypass && !x->recompute;
    return cached ? NEXT_LOOKUP : NEXT_DEFER;
}
