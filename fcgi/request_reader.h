/* Parses a whole FastCGI request that is known to be there. The one module that knows libfcgi. */
#ifndef PNLCACHE_FCGI_REQUEST_READER_H
#define PNLCACHE_FCGI_REQUEST_READER_H

#include "fcgi/request.h"

/* Once, before any thread. libfcgi installs signal handlers here; set ours afterwards. */
enum status request_reader_init(struct err *err) MUST_CHECK;

/* The hot path: the parameters of a request in its plainest form (record_plain_open()), as nearly every GET is, are screened and
 * parsed in one pass, without libfcgi, its allocations and a second system call. False: they are not sound or too many, and
 * `r`, which must be clear, still is. */
bool request_read_plain(const struct record_plain *plain, const struct record_limits *limits,
                        struct request *r) MUST_CHECK;
/* Reads one whole request of any form, whose bytes were screened, through libfcgi. The parameters and the body go to
 * `r`, which must be clear. */
enum status request_read_bytes(const void *bytes, size_t len, size_t body_len, struct request *r,
                               struct err *err) MUST_CHECK;

#endif
