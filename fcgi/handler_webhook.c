#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fcgi/handlers.h"
#include "jobs/event.h"
#include "lib/base/log.h"
#include "lib/json/json_reader.h"
#include "lib/store/job_stream.h"

#define WEBHOOK_MAX_BODY (256 * 1024)

/* What an event says, once it has been judged. */
struct event {
    const struct event_type *type;
    char user_id[USER_ID_MAX + 1]; /* "": every user's */
    struct cache_tags tags;
};

static bool is_json(const char *content_type)
{
    static const char expected[] = "application/json";
    size_t len = sizeof(expected) - 1;

    if (!content_type || strncasecmp(content_type, expected, len) != 0)
        return false;
    return content_type[len] == '\0' || content_type[len] == ';' || content_type[len] == ' ';
}

static int check_signature(const struct handler_context *context, const struct request *request,
                           const char **ret_detail)
{
    const struct secrets *secrets = context->secrets;

    switch (webhook_verify(secrets->webhooks, request_param(request, PARAM_WEBHOOK_ID),
                           request_param(request, PARAM_WEBHOOK_TIMESTAMP),
                           request_param(request, PARAM_WEBHOOK_SIGNATURE), request->body.data, request->body.len,
                           clock_now(), secrets->webhook_tolerance_s)) {
    case WEBHOOK_GOOD: return 0;
    case WEBHOOK_MALFORMED: *ret_detail = "webhook-id or webhook-timestamp is missing or not as specified"; return 400;
    case WEBHOOK_FORGED: *ret_detail = "no signature fits"; return 401;
    case WEBHOOK_STALE: *ret_detail = "webhook-timestamp is too far off"; return 403;
    }
    return 500;
}

/* data.asset; absent: both. */
static bool parse_assets(const struct json_value *data, enum event_assets *ret_assets)
{
    const struct json_value *value = json_member(data, "asset");
    const char *text = value ? json_get_string(value) : NULL;

    *ret_assets = EVENT_BOTH;
    if (!value)
        return true;
    if (text && strcmp(text, "stocks") == 0)
        *ret_assets = EVENT_STOCKS;
    else if (text && strcmp(text, "options") == 0)
        *ret_assets = EVENT_OPTIONS;
    else
        return false;
    return true;
}

static bool parse_tags(const struct json_value *data, struct event *event, struct problem_fields *problems)
{
    enum event_assets assets;

    if (event->type->names_its_tag) {
        const struct json_value *tag = json_member(data, "tag");
        const char *name = tag ? json_get_string(tag) : NULL;
        event->tags.n = 1;
        if (name && event_tag_find(name, &event->tags.tags[0]))
            return true;
        problem_add(problems, "data.tag", "is not a known tag");
        return false;
    }
    if (!parse_assets(data, &assets)) {
        problem_add(problems, "data.asset", "must be stocks or options");
        return false;
    }
    event_type_tags(event->type, assets, &event->tags);
    return true;
}

static bool names_a_user(const struct cache_tags *tags)
{
    for (size_t i = 0; i < tags->n; i++)
        if (!tags->tags[i].shared)
            return true;
    return false;
}

/* 0, 400 or 422. */
static int judge_event(const struct json_value *root, struct event *event, struct problem_fields *problems)
{
    const struct json_value *type = json_member(root, "type"), *data = json_member(root, "data");
    const char *name = type ? json_get_string(type) : NULL;

    if (json_type_of(root) != JSON_OBJECT || !name || !data || json_type_of(data) != JSON_OBJECT) {
        problem_add(problems, name ? "data" : "type", "is missing or of the wrong kind");
        return 400;
    }
    event->type = event_type_find(name);
    if (!event->type) {
        problem_add(problems, "type", "is not a known event type");
        return 422;
    }
    if (!parse_tags(data, event, problems))
        return 422;
    const struct json_value *user = json_member(data, "user_id");
    const char *user_id = user ? json_get_string(user) : NULL;
    event->user_id[0] = '\0';
    if (!names_a_user(&event->tags))
        return 0;
    if (!user_id || !user_id_is_valid(user_id)) {
        problem_add(problems, "data.user_id", "is not a user id");
        return 422;
    }
    snprintf(event->user_id, sizeof(event->user_id), "%s", user_id);
    return 0;
}

/* A job that cannot be queued costs a miss later, never a wrong number. */
static int queue_job(struct handler_context *context, const struct event *event, const struct exchange *x)
{
    char reason[64] = "webhook ";
    struct err err;

    if (!event->user_id[0])
        return 0;
    strncat(reason, event->type->name, sizeof(reason) - strlen(reason) - 1);
    if (job_stream_add(context->responder->cache, context->redis, "analytics", event->user_id, reason, &err) ==
        STATUS_OK)
        return 1;
    log_warn("no job for a webhook", LOG_STR("request", x->request.id), LOG_STR("user", event->user_id),
             LOG_STR("error", err.text));
    return 0;
}

static enum next_step carry_out(struct handler_context *context, struct exchange *x, const struct event *event)
{
    struct err err;

    if (context->redis &&
        cache_invalidate(context->responder->cache, context->redis, event->user_id[0] ? event->user_id : NULL,
                         &event->tags, &err) == STATUS_OK) {
        exchange_accept_event(x, event->tags.n, queue_job(context, event, x));
        return NEXT_SEND;
    }
    memcpy(x->user_id, event->user_id, sizeof(x->user_id));
    x->tags = event->tags;
    x->work = WORK_OUTBOX;
    return NEXT_DEFER;
}

enum next_step handle_webhook(struct handler_context *context, struct exchange *x, const struct route *route)
{
    struct problem_fields problems = {.n = 0};
    struct json_document *document = NULL;
    const char *detail = NULL;
    struct event event;
    struct err err;

    (void)route;
    if (x->request.n_query > 0)
        return answer_problem(x, 400, "a webhook has no query parameters");
    if (x->request.body.len > WEBHOOK_MAX_BODY)
        return answer_problem(x, 413, "a webhook's body has at most 256 KiB");
    if (!is_json(request_param(&x->request, PARAM_CONTENT_TYPE)))
        return answer_problem(x, 415, "a webhook's Content-Type is application/json");
    int refusal = check_signature(context, &x->request, &detail);
    if (refusal)
        return answer_problem(x, refusal, detail);
    if (json_parse(x->request.body.data, x->request.body.len, &document, &err) != STATUS_OK)
        return answer_problem(x, 400, err.text);
    refusal = judge_event(json_root(document), &event, &problems);
    json_document_free(&document);
    if (refusal) {
        response_problem(&x->response, &x->request, refusal, "the event is not valid", &problems, NULL);
        return NEXT_SEND;
    }
    return carry_out(context, x, &event);
}
