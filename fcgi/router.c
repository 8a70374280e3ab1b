#include "fcgi/router.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/handlers.h"
#include "fcgi/http_cache.h"
#include "fcgi/meter.h"
#include "lib/base/path_table.h"

#define READ (METHOD_GET | METHOD_HEAD)
#define POST_READS 256                                 /* no method: POST asks for an answer and changes nothing */
#define READ_OR_POST (READ | METHOD_POST | POST_READS) /* older clients send what they ask for as a body */
#define READ_POST_DELETE (READ | METHOD_POST | METHOD_DELETE)

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
    {"/api/user/initialize", METHOD_POST, handle_initialize, 0, 0, LIMIT_READS},
    {"/api/webhooks/trades", METHOD_POST, handle_webhook, 0, 0, LIMIT_WEBHOOKS},
    {"/api/session", READ_POST_DELETE, handle_session, 0, 0, LIMIT_READS},
    {"/api/sessions", METHOD_DELETE, handle_sessions, 0, 0, LIMIT_READS},
    {"/api/cache/stats", READ, handle_cache_stats, 0, 0, LIMIT_READS},
    {"/api/cache/key", READ, handle_cache_key, 0, 0, LIMIT_READS},
    {"/api/cache/clear", METHOD_POST, handle_cache_clear, 0, 0, LIMIT_READS},
    {"/api/cache/warm", METHOD_POST, handle_cache_warm, 0, 0, LIMIT_READS},
    {"/api/cache/dataset/{name}", METHOD_PUT, handle_write_through, 0, 0, LIMIT_READS},
    {"/healthz", READ, handle_health, 0, 0, LIMIT_NOTHING},
    {"/metrics", READ, handle_metrics, 0, 0, LIMIT_NOTHING},
    {"/readyz", READ, handle_readiness, 0, 0, LIMIT_NOTHING},
};
#define N_ROUTES (sizeof(routes) / sizeof(routes[0]))
#define PATH_SLOTS 128

_Static_assert(N_ROUTES < METER_OWN_ROUTES, "a meter has a place for each route");
_Static_assert(2 * N_ROUTES <= PATH_SLOTS, "short searches");

void router_label(size_t route, char label[METER_LABEL_SIZE])
{
    const char *dataset = route >= METER_OWN_ROUTES ? dataset_number_name(route - METER_OWN_ROUTES) : NULL;

    if (dataset)
        snprintf(label, METER_LABEL_SIZE, "dataset:%s", dataset);
    else
        snprintf(label, METER_LABEL_SIZE, "%s", route > 0 && route <= N_ROUTES ? routes[route - 1].path : "none");
}

#define METHODS_SIZE 40
/* OPTIONS is answered everywhere. */
static void list_methods(unsigned methods, char ret_list[METHODS_SIZE])
{
    (void)snprintf(ret_list, METHODS_SIZE, "%s%s%s%sOPTIONS", methods & METHOD_GET ? "GET, HEAD, " : "",
                   methods & METHOD_POST ? "POST, " : "", methods & METHOD_PUT ? "PUT, " : "",
                   methods & METHOD_DELETE ? "DELETE, " : "");
}

static void refuse_method(struct exchange *x, unsigned methods)
{
    struct buf allow = BUF_INIT;
    char list[METHODS_SIZE];

    list_methods(methods, list);
    buf_append_format(&allow, "Allow: %s\r\n", list);
    response_problem(&x->response, &x->request, 405, NULL, NULL, buf_status(&allow) == STATUS_OK ? allow.data : NULL);
    buf_release(&allow);
}

/* Also what a browser asks before it sends a request of another origin's page (a preflight). */
static void answer_options(struct exchange *x, unsigned methods)
{
    struct response *r = &x->response;
    char list[METHODS_SIZE];

    list_methods(methods, list);
    response_begin(r, &x->request, 204);
    response_header(r, "Allow", list);
    response_header(r, "Cache-Control", "no-store");
    if (x->request.cors >= CORS_ALLOWED) {
        response_header(r, "Access-Control-Allow-Methods", list);
        response_header(r, "Access-Control-Allow-Headers",
                        "Authorization, Cache-Control, Content-Type, If-Modified-Since, If-None-Match, X-Request-Id");
        response_header(r, "Access-Control-Max-Age", "600");
    }
    response_finish_empty(r);
}

bool router_admit(struct exchange *x, unsigned methods, const char *type)
{
    if (x->request.method == METHOD_OPTIONS)
        answer_options(x, methods);
    else if (!(methods & x->request.method))
        refuse_method(x, methods);
    else if (!http_accepts_type(request_param(&x->request, PARAM_ACCEPT), type))
        (void)answer_problem(x, 406, "Accept does not allow the type of the answer");
    else if ((x->request.method & READ) && x->request.body.len > 0) /* what it asks for would be left out silently */
        (void)answer_problem(x, 400, "GET and HEAD have no body; parameters go into the query");
    else
        return true;
    return false;
}

bool router_has_foreign_body(const struct request *request)
{
    const char *type = request_param(request, PARAM_CONTENT_TYPE);

    return request->body.len > 0 && type && *type && !http_is_json(type);
}

/* Once, however often it is dispatched. */
static bool admit_address(struct handler_context *context, struct exchange *x, enum limit_group limit)
{
    x->admitted = x->admitted || limits_admit_address(context->responder->limits, x, limit);
    return x->admitted;
}

static enum next_step serve_route(struct handler_context *context, struct exchange *x, const struct route *route)
{
    const char *type = route->handle == handle_metrics ? "text/plain" : "application/json";

    if (!x->known && !router_admit(x, route->methods, type))
        return NEXT_SEND;
    if (!admit_address(context, x, route->limit))
        return NEXT_SEND;
    x->changes = !(x->request.method & READ) && !(route->methods & POST_READS);
    if (!x->known && (route->methods & (METHOD_GET | METHOD_PUT)) && router_has_foreign_body(&x->request))
        return answer_problem(x, 415, "the Content-Type of a body is application/json");
    return route->handle(context, x, route);
}

static struct path_table paths;

static void fill_paths(void)
{
    static struct name_slot slots[PATH_SLOTS];
    static struct path_pattern patterns[N_ROUTES];

    path_table_init(&paths, slots, PATH_SLOTS, patterns);
    for (size_t i = 0; i < N_ROUTES; i++)
        path_table_add(&paths, routes[i].path, (int)i);
}

/* The number of the route from 1; 0: there is none. */
static size_t find_route(const char *path)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, fill_paths);
    int i = path_table_find(&paths, path);
    return i >= 0 ? (size_t)i + 1 : 0;
}

bool router_has(const char *path)
{
    return find_route(path) > 0;
}

enum next_step router_dispatch(struct handler_context *context, struct exchange *x)
{
    if (!x->known)
        x->route = find_route(request_path(&x->request));
    if (x->route > 0 && x->route <= N_ROUTES) /* a dataset's is beyond them */
        return serve_route(context, x, &routes[x->route - 1]);
    if (!admit_address(context, x, LIMIT_READS))
        return NEXT_SEND;
    return handle_dataset(context, x);
}
