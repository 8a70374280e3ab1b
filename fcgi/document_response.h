/* A cached or computed document as the answer to one request. */
#ifndef PNLCACHE_FCGI_DOCUMENT_RESPONSE_H
#define PNLCACHE_FCGI_DOCUMENT_RESPONSE_H

#include "fcgi/exchange.h"
#include "fcgi/http_cache.h"

#define DOCUMENT_MAX_BODY (512 * 1024 * 1024) /* unpacked */

/* Answers with a stored value: gzip as it is to those who accept it, else unpacked. When `copy` is false the response
 * borrows `body`. A value that says there is no such document makes the 404 that it
 * was. STATUS_INVALID: the stored bytes are damaged. */
enum status document_respond_stored(struct exchange *x, const struct cache_header *header, const char *body, bool copy,
                                    enum cache_source source, int64_t max_age_s) MUST_CHECK;
/* Answers with a body just computed; compressed as it would be stored for those who accept that. What is
 * not found makes a 404. */
enum status document_respond_computed(struct exchange *x, const struct cache_header *header,
                                      const struct cache_body *body, enum cache_source source,
                                      int64_t max_age_s) MUST_CHECK;

#endif
