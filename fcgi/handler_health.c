#include "fcgi/handlers.h"

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

enum next_step handle_readiness(struct handler_context *context, struct exchange *x, const struct route *route)
{
    (void)context;
    (void)route;
    x->work = WORK_READINESS;
    return NEXT_DEFER;
}
