/* What the body of POST /api/cache/clear or /api/cache/warm orders: an object with exactly one member that says what is meant. */
#ifndef PNLCACHE_FCGI_CACHE_ORDER_H
#define PNLCACHE_FCGI_CACHE_ORDER_H

#include "fcgi/response.h"
#include "jobs/dataset.h"
#include "lib/json/json_reader.h"

enum cache_order_kind {
    ORDER_USER,    /* {"user_id": "u-42"} */
    ORDER_SYMBOL,  /* {"symbol": "ACME"} */
    ORDER_SYMBOLS, /* {"symbols": ["ACME", "XYZ"]} */
    ORDER_TAG,     /* {"tag": "stocks"} */
    ORDER_DATASET, /* {"dataset": "stocks-count"} */
    ORDER_ALL,     /* {"all": true} */
    ORDER_KINDS
};
#define ORDER_BIT(kind) (1U << (kind))
#define ORDER_MAX_SYMBOLS 100

struct cache_order {
    enum cache_order_kind kind;
    struct buf text; /* the member's value; symbols in upper case, by commas, ascending; "" for ORDER_ALL */
};

const char *cache_order_name(enum cache_order_kind kind); /* the member's name */
/* Reads it; `allowed`: kinds, or-ed. Every member that does not fit is a problem, and no member at all is one too; then *ret_order has no
 * meaning, but is to be released. `datasets` may be NULL. STATUS_INVALID: the body is no JSON object. */
enum status cache_order_read(const struct buf *body, unsigned allowed, const struct dataset_set *datasets,
                             struct cache_order *ret_order, struct problem_fields *problems,
                             struct err *err) MUST_CHECK;
void cache_order_release(struct cache_order *order);

#endif
