/* The handlers named in router.c. */
#ifndef PNLCACHE_FCGI_HANDLERS_H
#define PNLCACHE_FCGI_HANDLERS_H

#include "fcgi/router.h"

/* GET, HEAD of an analytics document (api.md 3). */
enum next_step handle_analytics(struct handler_context *context, struct exchange *x, const struct route *route);
/* GET, HEAD, where the file says so POST, of what a dataset file names (api.md 8); 404 for any other path. */
enum next_step handle_dataset(struct handler_context *context, struct exchange *x);
/* PUT /api/cache/dataset/NAME: its source rows were written; answers when the rows asked for are fresh (docs/datasets.md). */
enum next_step handle_write_through(struct handler_context *context, struct exchange *x, const struct route *route);
/* POST /api/user/initialize (api.md 7). */
enum next_step handle_initialize(struct handler_context *context, struct exchange *x, const struct route *route);
/* POST /api/webhooks/trades (api.md 7): what a look at the headers tells; the rest is the webhook lane's. */
enum next_step handle_webhook(struct handler_context *context, struct exchange *x, const struct route *route);
/* POST, GET, HEAD, DELETE /api/session; DELETE /api/sessions (api.md 6). */
enum next_step handle_session(struct handler_context *context, struct exchange *x, const struct route *route);
enum next_step handle_sessions(struct handler_context *context, struct exchange *x, const struct route *route);
/* GET /api/cache/stats and /api/cache/key, POST /api/cache/clear and /api/cache/warm (api.md 9). */
enum next_step handle_cache_stats(struct handler_context *context, struct exchange *x, const struct route *route);
enum next_step handle_cache_key(struct handler_context *context, struct exchange *x, const struct route *route);
enum next_step handle_cache_clear(struct handler_context *context, struct exchange *x, const struct route *route);
enum next_step handle_cache_warm(struct handler_context *context, struct exchange *x, const struct route *route);
/* GET /healthz, /metrics, /readyz (api.md 9). */
enum next_step handle_health(struct handler_context *context, struct exchange *x, const struct route *route);
enum next_step handle_metrics(struct handler_context *context, struct exchange *x, const struct route *route);
enum next_step handle_readiness(struct handler_context *context, struct exchange *x, const struct route *route);

/* Answers with a problem and sends it: for the ends of handlers. */
static inline enum next_step answer_problem(struct exchange *x, int http_status, const char *detail)
{
    response_problem(&x->response, &x->request, http_status, detail, NULL, NULL);
    return NEXT_SEND;
}

#endif
