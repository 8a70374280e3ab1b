#include "fcgi/router.h"

#include <stdio.h>
#include <string.h>

#include "fcgi/handlers.h"
#include "fcgi/meter.h"

#define READ (METHOD_GET | METHOD_HEAD)
#define READ_OR_POST (READ | METHOD_POST) /* older clients send what they ask for as a body */

static const struct route routes[] = {
    {"/api/stocks/analytics", READ, handle_analytics, SECTION_SUMMARY, ASSET_STOCKS, LIMIT_READS},
    {"/api/options/analytics", READ, handle_analytics, SECTION_SUMMARY, ASSET_OPTIONS, LIMIT_READS},
    {"/api/stocks/analytics/{metric}", READ, handle_analytics, SECTION_TEXT, ASSET_STOCKS, LIMIT_READS},
    {"/api/options/analytics/{metric}", READ, handle_analytics, SECTION_TEXT, ASSET_OPTIONS, LIMIT_READS},
    {"/api/analytics/core", READ_OR_POST, handle_analytics, SECTION_CORE, ASSET_ALL, LIMIT_READS},
    {"/api/analytics/risk", READ_OR_POST, handle_analytics, SECTION_RISK, ASSET_ALL, LIMIT_READS},
    {"/api/analytics/performance", READ_OR_POST, handle_analytics, SECTION_PERFORMANCE, ASSET_ALL, LIMIT_READS},
    {"/api/analytics/time-series", READ_OR_POST, handle_analytics, SECTION_TIME_SERIES, ASSET_ALL, LIMIT_READS},
    {"/api/analytics/grouped", READ_OR_POST, handle_analytics, SECTION_GROUPED, ASSET_ALL, LIMIT_READS},
    {"/api/analytics/calendar", READ, handle_analytics, SECTION_CALENDAR, ASSET_ALL, LIMIT_READS},
    {"/api/analytics/positions", READ, handle_analytics, SECTION_POSITIONS, ASSET_ALL, LIMIT_READS},
    {"/api/analytics/trade", READ, handle_analytics, SECTION_TRADE, ASSET_ALL, LIMIT_READS},
    {"/api/analytics/symbol", READ, handle_analytics, SECTION_SYMBOL, ASSET_ALL, LIMIT_READS},
    {"/api/analytics/comprehensive", READ_OR_POST, handle_analytics, SECTION_COMPREHENSIVE, ASSET_ALL, LIMIT_READS},
    {"/api/playbooks/analytics", READ, handle_analytics, SECTION_PLAYBOOKS, ASSET_ALL, LIMIT_READS},
    {"/api/playbooks/{id}/analytics", READ, handle_analytics, SECTION_PLAYBOOK, ASSET_ALL, LIMIT_READS},
    {"/api/webhooks/trades", METHOD_POST, handle_webhook, 0, 0, LIMIT_WEBHOOKS},
    {"/healthz", READ, handle_health, 0, 0, LIMIT_NOTHING},
    {"/metrics", READ, handle_metrics, 0, 0, LIMIT_NOTHING},
    {"/readyz", READ, handle_readiness, 0, 0, LIMIT_NOTHING},
};
#define N_ROUTES (sizeof(routes) / sizeof(routes[0]))

const struct route *router_route(size_t i)
{
    return i < N_ROUTES ? &routes[i] : NULL;
}
_Static_assert(N_ROUTES < METER_ROUTES, "a meter has a place for each route");

const char *router_label(size_t route)
{
    return route > 0 && route <= N_ROUTES ? routes[route - 1].path : "none";
}

static enum next_step refuse_method(struct exchange *x, const struct route *route)
{
    const char *allow = route->methods == METHOD_POST ? "Allow: POST\r\n"
                        : route->methods == READ      ? "Allow: GET, HEAD\r\n"
                                                      : "Allow: GET, HEAD, POST\r\n";

    response_problem(&x->response, &x->request, 405, NULL, NULL, allow);
    return NEXT_SEND;
}

/* "{...}" in a route's path stands for one segment that is not empty. */
static bool matches(const char *route, const char *path)
{
    while (*route && *path) {
        size_t len = *route == '{' ? strcspn(path, "/") : 0;
        if (len > 0) {
            route += strcspn(route, "}") + 1;
            path += len;
        } else if (*route++ != *path++) {
            return false;
        }
    }
    return *route == *path;
}

enum next_step router_dispatch(struct handler_context *context, struct exchange *x)
{
    const char *path = request_path(&x->request);

    for (size_t i = 0; i < N_ROUTES; i++) {
        if (!matches(routes[i].path, path))
            continue;
        x->route = i + 1;
        if (!(routes[i].methods & x->request.method))
            return refuse_method(x, &routes[i]);
        if (!limits_admit_address(context->responder->limits, x, routes[i].limit))
            return NEXT_SEND;
        return routes[i].handle(context, x, &routes[i]);
    }
    if (!limits_admit_address(context->responder->limits, x, LIMIT_READS))
        return NEXT_SEND;
    return answer_problem(x, 404, "there is nothing at this path");
}
