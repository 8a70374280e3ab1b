/* What an admin asks and orders of the cache (api.md 9), on the thread of operations. Each answers the exchange. */
#ifndef PNLCACHE_FCGI_CACHE_OPERATIONS_H
#define PNLCACHE_FCGI_CACHE_OPERATIONS_H

#include "fcgi/operations.h"

/* The orders of POST /api/cache/clear, by what x->user_id or x->key names. One user's tags and shared ones are invalidated before the
 * answer, as by an event; every user's are left to a worker, which walks over the epochs, by a row in the outbox (202). */
void cache_clear_user(struct operation_context *o, struct exchange *x);
void cache_clear_symbol(struct operation_context *o, struct exchange *x);
void cache_clear_tag(struct operation_context *o, struct exchange *x);
void cache_clear_dataset(struct operation_context *o, struct exchange *x);
void cache_clear_all(struct operation_context *o, struct exchange *x);

/* GET /api/cache/key of the key in x->key. */
void cache_show_key(struct operation_context *o, struct exchange *x);
/* GET /api/cache/stats. */
void cache_show_stats(struct operation_context *o, struct exchange *x);

/* The orders of POST /api/cache/warm: a user's documents are a worker's job, shared datasets the responder's (fcgi/warmer.h). */
void cache_warm_user(struct operation_context *o, struct exchange *x);
void cache_warm_dataset(struct operation_context *o, struct exchange *x);
void cache_warm_symbols(struct operation_context *o, struct exchange *x);

#endif
