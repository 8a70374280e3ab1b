/* TLS beneath a Redis connection (rediss://). The server must show a certificate for the host that the URL names, signed by
 * somebody we trust; at least TLS 1.2. */
#ifndef PNLCACHE_STORE_REDIS_TLS_H
#define PNLCACHE_STORE_REDIS_TLS_H

#include "lib/store/redis_transport.h"

struct redis_tls; /* whom to trust; immutable */

/* `ca_file`: PEM certificates; "": those of the system. STATUS_INVALID: the file cannot be used. */
enum status redis_tls_new(const char *ca_file, struct redis_tls **ret_tls, struct err *err) MUST_CHECK;
void redis_tls_free(struct redis_tls **tls);

/* Shakes hands over a connected transport by deadline_ms (clock_monotonic_ms) and puts itself in its place; `host` is a name or an
 * address. After a failure (STATUS_UNAVAILABLE, STATUS_TIMEOUT) *transport is the plain one, good for closing only. */
enum status redis_tls_wrap(const struct redis_tls *tls, const char *host, int64_t deadline_ms,
                           struct redis_transport **transport, struct err *err) MUST_CHECK;

#endif
