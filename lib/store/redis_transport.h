/* A byte stream to Redis that never blocks; what lies beneath (a plain socket, TLS) is its own affair. */
#ifndef PNLCACHE_STORE_REDIS_TRANSPORT_H
#define PNLCACHE_STORE_REDIS_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/store/redis_url.h"

struct redis_transport {
    int fd; /* for poll() */
    /* As read(2) and write(2) on a non-blocking socket: -1 with errno EAGAIN when it would block. */
    ssize_t (*read)(struct redis_transport *transport, void *bytes, size_t size);
    ssize_t (*write)(struct redis_transport *transport, const void *bytes, size_t len);
    void (*close)(struct redis_transport *transport); /* frees it too */
};

/* Connects by deadline_ms (clock_monotonic_ms). STATUS_UNAVAILABLE, STATUS_TIMEOUT. Names are looked
 * up by the system's resolver, whose own time-outs apply: prefer addresses or Unix sockets. */
enum status redis_transport_open(const struct redis_url *url, int64_t deadline_ms,
                                 struct redis_transport **ret_transport, struct err *err) MUST_CHECK;

/* Waits for poll(2) `events`. STATUS_TIMEOUT at the deadline. */
enum status redis_transport_wait(int fd, short events, int64_t deadline_ms, short *ret_events) MUST_CHECK;

#endif
