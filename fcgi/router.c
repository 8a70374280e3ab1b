#include "fcgi/router.h"

#include <stdio.h>
#include <string.h>

#include "fcgi/handlers.h"

#define READ (METHOD_GET | METHOD_HEAD)

static const struct route routes[] = {
    {"/api/stocks/analytics", READ, handle_analytics, SECTION_SUMMARY, ASSET_STOCKS},
    {"/api/options/analytics", READ, handle_analytics, SECTION_SUMMARY, ASSET_OPTIONS},
    {"/api/analytics/core", READ, handle_analytics, SECTION_CORE, ASSET_ALL},
    {"/api/analytics/risk", READ, handle_analytics, SECTION_RISK, ASSET_ALL},
    {"/api/analytics/performance", READ, handle_analytics, SECTION_PERFORMANCE, ASSET_ALL},
    {"/api/webhooks/trades", METHOD_POST, handle_webhook, 0, 0},
    {"/healthz", READ, handle_health, 0, 0},
    {"/readyz", READ, handle_readiness, 0, 0},
};
#define N_ROUTES (sizeof(routes) / sizeof(routes[0]))

const struct route *router_route(size_t i)
{
    return i < N_ROUTES ? &routes[i] : NULL;
}

static enum next_step refuse_method(struct exchange *x, const struct route *route)
{
    response_problem(&x->response, &x->request, 405, NULL, NULL,
                     route->methods & METHOD_POST ? "Allow: POST\r\n" : "Allow: GET, HEAD\r\n");
    return NEXT_SEND;
}

enum next_step router_dispatch(struct handler_context *context, struct exchange *x)
{
    const char *path = request_path(&x->request);

    for (size_t i = 0; i < N_ROUTES; i++) {
        if (strcmp(routes[i].path, path) != 0)
            continue;
        if (!(routes[i].methods & x->request.method))
            return refuse_method(x, &routes[i]);
        return routes[i].handle(context, x, &routes[i]);
    }
    return answer_problem(x, 404, "there is nothing at this path");
}
