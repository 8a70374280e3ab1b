/* ONE table of what the responder answers: path, methods, handler. */
#ifndef PNLCACHE_FCGI_ROUTER_H
#define PNLCACHE_FCGI_ROUTER_H

#include "fcgi/auth.h"
#include "fcgi/exchange.h"
#include "fcgi/meter.h"
#include "fcgi/responder.h"

/* What a handler works with; belongs to a loop thread. */
struct handler_context {
    struct responder *responder;
    const struct secrets *secrets; /* for the length of one turn */
    struct token_cache *tokens;
    struct local_reader *local;
    struct redis *redis; /* NULL: REDIS_ENABLED is false */
};

struct route {
    const char *path; /* "{...}" stands for any one segment */
    unsigned methods; /* enum method, or-ed */
    enum next_step (*handle)(struct handler_context *context, struct exchange *x, const struct route *route);
    enum section section; /* of an analytics document */
    enum asset asset;     /* its asset; ASSET_ALL: the parameter `asset` chooses */
    enum limit_group limit;
};

/* Finds the route and runs its handler, else the dataset of that path; 405 is answered here. The request has been parsed. */
enum next_step router_dispatch(struct handler_context *context, struct exchange *x);
/* Whether the path is in the table; else it may be a dataset's. */
bool router_has(const char *path);
/* What is alike for all paths: OPTIONS, 405 with Allow, Accept against the type of the answer, and a body where none can be. `methods`: or-ed. False: it was answered. */
bool router_admit(struct exchange *x, unsigned methods, const char *type) MUST_CHECK;
/* The label of an exchange's route in metrics: its path, "dataset:NAME", or "none". */
void router_label(size_t route, char label[METER_LABEL_SIZE]);
/* Whether there is a body that says of itself that it is something else than JSON. */
bool router_has_foreign_body(const struct request *request);

#endif
