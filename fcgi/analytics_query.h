/* What a request for an analytics document may say (metrics.md 16.2): in its query, or in the JSON body of the older
 * clients, flat or with an inner object `options`. */
#ifndef PNLCACHE_FCGI_ANALYTICS_QUERY_H
#define PNLCACHE_FCGI_ANALYTICS_QUERY_H

#include "fcgi/request.h"
#include "fcgi/response.h"
#include "jobs/document.h"
#include "lib/json/json_reader.h"

enum analytics_parameter {
    ANALYTICS_USER_ID,
    ANALYTICS_TIME_RANGE,
    ANALYTICS_START_DATE,
    ANALYTICS_END_DATE,
    ANALYTICS_NULL_AS_ZERO,
    ANALYTICS_ASSET,
    ANALYTICS_RISK_FREE_RATE,
    ANALYTICS_GROUPING_TYPES,
    ANALYTICS_INCLUDE_TIME_SERIES,
    ANALYTICS_INCLUDE_GROUPED,
    ANALYTICS_INTERVAL,
    ANALYTICS_MONTH,
    ANALYTICS_SYMBOL,
    ANALYTICS_TRADE_ID,
    ANALYTICS_TRADE_TYPE,
    ANALYTICS_PARAMETERS
};

struct analytics_query {
    const char *values[ANALYTICS_PARAMETERS]; /* as text, lists by commas; NULL: not said */
    struct json_document *body;               /* owns some of the values */
    char rate[32];
    char grouping_types[512];
};

/* Reads query and body; every name that the route does not know, and every value of the wrong type, becomes a problem. The
 * values are borrowed from the request and from the query object. STATUS_INVALID: the body is not JSON; *err may be shown. */
enum status analytics_query_read(struct analytics_query *q, const struct request *request, enum section section,
                                 enum asset route_asset, struct problem_fields *problems, struct err *err) MUST_CHECK;
void analytics_query_release(struct analytics_query *q);
/* Fills the rest of a request whose section and asset were set by the route; wrong values become problems. What makes no
 * difference to the section's document is checked and left out, so that it makes none to its key either. The document's
 * symbol is borrowed from the request. */
void analytics_query_parse(const struct analytics_query *q, struct document_request *request,
                           struct problem_fields *problems);

#endif
