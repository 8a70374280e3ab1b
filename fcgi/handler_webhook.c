#include <string.h>
#include <strings.h>

#include "fcgi/handlers.h"

#define WEBHOOK_MAX_BODY (256 * 1024)

static bool is_json(const char *content_type)
{
    static const char expected[] = "application/json";
    size_t len = sizeof(expected) - 1;

    if (!content_type || strncasecmp(content_type, expected, len) != 0)
        return false;
    return content_type[len] == '\0' || content_type[len] == ';' || content_type[len] == ' ';
}

/* Signature and body cost time that grows with the body, and the invalidation waits for Redis: neither belongs on a
 * thread that serves hits. */
enum next_step handle_webhook(struct handler_context *context, struct exchange *x, const struct route *route)
{
    (void)context;
    (void)route;
    if (x->request.n_query > 0)
        return answer_problem(x, 400, "a webhook has no query parameters");
    if (x->request.body.len > WEBHOOK_MAX_BODY)
        return answer_problem(x, 413, "a webhook's body has at most 256 KiB");
    if (!is_json(request_param(&x->request, PARAM_CONTENT_TYPE)))
        return answer_problem(x, 415, "a webhook's Content-Type is application/json");
    x->work = WORK_WEBHOOK;
    return NEXT_DEFER;
}
