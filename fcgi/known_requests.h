/* Requests that came before and are likely to come again. A page that is shown once more sends the very bytes it sent then. What
 * was read out of them (route, parameters, whose document, its key) depends on nothing else, so it is kept, as the exchange
 * that was answered, and need not be read again. Who the caller is, whether he may, how often, and the answer are decided anew
 * each time. One table for each thread; of a fixed size. */
#ifndef PNLCACHE_FCGI_KNOWN_REQUESTS_H
#define PNLCACHE_FCGI_KNOWN_REQUESTS_H

#include "fcgi/exchange.h"

struct known_requests; /* NULL: a table that knows nothing and keeps nothing */

enum status known_requests_new(struct known_requests **ret_known, struct err *err) MUST_CHECK;
/* With the exchanges that it keeps. */
void known_requests_free(struct known_requests **known);
/* Forgets them: what texts mean has changed. */
void known_requests_clear(struct known_requests *known);

/* A request with these parameters, byte for byte, is here. The exchange that answered the last one, with `known` set and ready for
 * its next answer; it is the caller's now. NULL: there is none. The parameters must stay where they are until
 * known_requests_end(). */
struct exchange *known_requests_take(struct known_requests *known, struct record_params params);
/* This exchange answered the request of the last take, and nothing but an answer is to change when it comes again. Kept from the
 * second time on, so that what never comes again takes nobody's place. Returns the exchange that is not kept, for the caller: it, or one
 * that made room; NULL: neither. Keeps none when no such request is under way. */
struct exchange *known_requests_keep(struct known_requests *known, struct exchange *x);
/* The request of the last take is no longer under way. */
void known_requests_end(struct known_requests *known);

#endif
