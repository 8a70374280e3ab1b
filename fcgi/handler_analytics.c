#include <stdio.h>
#include <string.h>

#include "fcgi/analytics_query.h"
#include "fcgi/caller.h"
#include "fcgi/handlers.h"
#include "lib/base/parse_number.h"

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
    struct problem_fields problems;
    struct analytics_query query;
    struct err err;
    enum status status;
    int refusal;

    problems.n = 0; /* three kilobytes that need no zeros */
    x->document = (struct document_request){.section = route->section, .asset = route->asset};
    status = analytics_query_read(&query, &x->request, route->section, route->asset, &problems, &err);
    if (status != STATUS_OK) {
        analytics_query_release(&query);
        (void)answer_problem(x, status_to_http(status), status == STATUS_INVALID ? err.text : NULL);
        return false;
    }
    analytics_query_parse(&query, &x->document, &problems);
    refusal = caller_choose_user(x, claims, query.values[ANALYTICS_USER_ID], &problems);
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
    struct instant now = x->request.arrived_at;
    enum next_step next;

    if (!caller_identify(context, x, AUTH_ANY, now, &claims, &next))
        return next;
    if (!limits_admit_user(responder->limits, x, claims, now))
        return NEXT_SEND;
    if (!x->known || !caller_may_read(claims, x->user_id)) {
        if (!read_request(x, route, claims))
            return NEXT_SEND;
        buf_clear(&x->key);
        document_append_key(responder->cache, &x->document, x->user_id, &x->key);
    }
    return caller_next_step(context, x, claims);
}
