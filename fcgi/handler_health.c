#include "fcgi/handlers.h"
#include "fcgi/metrics.h"

enum next_step handle_health(struct handler_context *context, struct exchange *x, const struct route *route)
{
    static const char body[] = "{\"status\":\"ok\",\"version\":\"" PNLCACHE_VERSION "\"}";

    (void)context;
    (void)route;
    response_begin(&x->response, &x->request, 200);
    response_header(&x->response, "Cache-Control", "no-store");
    response_finish(&x->response, "application/json", body, sizeof(body) - 1, x->request.method != METHOD_HEAD);
    return NEXT_SEND;
}

enum next_step handle_metrics(struct handler_context *context, struct exchange *x, const struct route *route)
{
    (void)context;
    (void)route;
    x->work = WORK_OPERATION;
    x->operate = metrics_answer;
    return NEXT_DEFER;
}

enum next_step handle_readiness(struct handler_context *context, struct exchange *x, const struct route *route)
{
    struct buf *body = &x->body;
    struct json_writer w;

    (void)route;
    buf_clear(body);
    json_init(&w, body);
    const struct responder *r = context->responder;
    bool ready = health_write(r->health, local_cache_state_name(r->local), pending_count(r->pending), &w);
    response_begin(&x->response, &x->request, ready ? 200 : 503);
    response_header(&x->response, "Cache-Control", "no-store");
    if (!ready)
        response_header(&x->response, "Retry-After", "1");
    response_finish(&x->response, "application/json", body->data, body->len, x->request.method != METHOD_HEAD);
    return NEXT_SEND;
}
