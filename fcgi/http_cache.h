/* The HTTP half of caching (api.md 5; RFC 9110 sections 8.8, 12.5.3, 13; RFC 9111). Pure. */
#ifndef PNLCACHE_FCGI_HTTP_CACHE_H
#define PNLCACHE_FCGI_HTTP_CACHE_H

#include "fcgi/response.h"
#include "lib/base/clock.h"
#include "lib/store/cache.h"

/* Accept-Encoding: may the answer be gzip? Absent or empty: no. "gzip;q=0": no; "*": yes unless gzip is refused by name;
 * "x-gzip" means gzip. A malformed element is ignored. */
bool http_accepts_gzip(const char *accept_encoding);

/* Accept: may the answer be of this type ("application/json")? Absent or empty: yes. The most specific range that covers the type
 * decides (RFC 9110, 12.5.1); parameters other than the weight are not looked at. A malformed element is ignored. */
bool http_accepts_type(const char *accept, const char *type);

/* Content-Type: "application/json", with or without parameters. NULL: no. */
bool http_is_json(const char *content_type);

/* If-None-Match: true when the list names `etag` (with its quotes) or is "*". Comparison is weak. */
bool http_etag_matches(const char *if_none_match, const char *etag);

/* True when the field's list holds the directive: "no-cache", any case, without argument. */
bool http_has_directive(const char *cache_control, const char *directive);

/* How an answer came about, for Cache-Status. */
enum cache_source { SOURCE_L1, SOURCE_REDIS, SOURCE_MISS_STORED, SOURCE_MISS, SOURCE_BYPASS, SOURCE_STALE };

struct http_document {
    const struct cache_header *header;
    const char *bytes; /* the body as it is encoded */
    size_t len;
    enum cache_encoding encoding; /* of `bytes`; gzip only when the caller accepts it */
    enum cache_source source;
    bool shared;       /* nobody's in particular: any cache may keep it */
    int64_t max_age_s; /* how long a client may, at most */
};

/* The whole response: 200 or 304, with or without body. The document's bytes must live until it is written. An `r` that
 * answered the same request before, and was not told to forget (response_forget()), keeps header lines that still hold. */
void http_respond_document(struct response *r, const struct request *request, const struct http_document *document);

/* The 404 of a value that says there is nothing: the problem document with this detail, and Cache-Status. The document's
 * bytes are not read. */
void http_respond_not_found(struct response *r, const struct request *request, const struct http_document *document,
                            const char *detail);

#endif
