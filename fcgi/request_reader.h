/* Parses a whole FastCGI request that is known to be there. The one module that knows libfcgi. */
#ifndef PNLCACHE_FCGI_REQUEST_READER_H
#define PNLCACHE_FCGI_REQUEST_READER_H

#include "fcgi/request.h"

/* Once, before any thread. libfcgi installs signal handlers here; set ours afterwards. */
enum status request_reader_init(struct err *err) MUST_CHECK;

/* The hot path: a request in its plainest form, as nearly every GET is, is screened and parsed in one pass, without
 * libfcgi, its allocations and a second system call. False: these bytes are something else, and `r`, which must be clear, still is. */
bool request_read_plain(const unsigned char *bytes, size_t len, const struct record_limits *limits, struct request *r,
                        struct record_plain *ret_plain) MUST_CHECK;
/* Reads one whole request of any form, whose bytes were screened, through libfcgi. The parameters and the body go to
 * `r`, which must be clear. */
enum status request_read_bytes(const void *bytes, size_t len, size_t body_len, struct request *r,
                               struct err *err) MUST_CHECK;

#endif
