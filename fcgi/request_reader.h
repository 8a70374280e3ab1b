/* The one module that knows libfcgi: it parses a whole FastCGI request that is known to be there. */
#ifndef PNLCACHE_FCGI_REQUEST_READER_H
#define PNLCACHE_FCGI_REQUEST_READER_H

#include "fcgi/request.h"

/* Once, before any thread. libfcgi installs signal handlers here; set ours afterwards. */
enum status request_reader_init(struct err *err) MUST_CHECK;

/* Reads one request whose bytes are all there and were screened. `fd` is a socket or a file positioned at the
 * request's first byte. On failure libfcgi has closed the descriptor: *fd becomes -1. The parameters and the body go
 * to `r`, which must be clear. */
enum status request_read(int *fd, size_t body_len, struct request *r, struct err *err) MUST_CHECK;
/* The same from bytes in memory. */
enum status request_read_bytes(const void *bytes, size_t len, size_t body_len, struct request *r, struct err *err) MUST_CHECK;

#endif
