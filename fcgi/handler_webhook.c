#include "fcgi/handlers.h"
#include "fcgi/http_cache.h"

#define WEBHOOK_MAX_BODY (256 * 1024)

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
    if (!http_is_json(request_param(&x->request, PARAM_CONTENT_TYPE)))
        return answer_problem(x, 415, "a webhook's Content-Type is application/json");
    x->work = WORK_WEBHOOK;
    return NEXT_DEFER;
}
