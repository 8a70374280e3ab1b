/* What an exchange asks for that is cached: an analytics document, or a dataset's rows. Its key is in the exchange; the rest
 * of what cache and misses need to know of either is here, and only here. */
#ifndef PNLCACHE_FCGI_ANSWER_H
#define PNLCACHE_FCGI_ANSWER_H

#include "fcgi/exchange.h"
#include "lib/base/settings.h"
#include "lib/store/db.h"

/* Nobody's in particular; then the exchange's user is "". */
static inline bool answer_is_shared(const struct exchange *x)
{
    return x->dataset.dataset && x->dataset.dataset->shared;
}
/* A user's whole list, which jobs keep fresh. */
static inline bool answer_is_collection(const struct exchange *x)
{
    return x->dataset.dataset && !x->dataset.dataset->shared && dataset_request_is_collection(&x->dataset);
}
const struct cache_tags *answer_tags(const struct exchange *x); /* for as long as the exchange lasts */
int64_t answer_ttl_s(const struct settings *settings, const struct exchange *x, const struct cache_body *body);
/* How long a client may keep it, at most: HTTP_MAX_AGE_PRIVATE or HTTP_MAX_AGE_SHARED. */
int64_t answer_max_age_s(const struct settings *settings, const struct exchange *x);
/* Its name on pnlcache:updated; NULL: it is not announced. */
const char *answer_section(const struct exchange *x);
/* document_compute() or dataset_compute(). */
enum status answer_compute(struct db *db, const struct exchange *x, struct buf *out, struct cache_body *ret_body,
                           struct err *err) MUST_CHECK;

#endif
