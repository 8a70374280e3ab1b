/* What a failing function tells its caller: not what broke (that is the text in struct err)
 * but what the caller can do about it. */
#ifndef PNLCACHE_BASE_STATUS_H
#define PNLCACHE_BASE_STATUS_H

#include <stdbool.h>

#define MUST_CHECK __attribute__((warn_unused_result))

enum status {
    STATUS_OK = 0,
    STATUS_INVALID,     /* the input is wrong; the same input will fail again */
    STATUS_NOT_FOUND,   /* what was asked for does not exist; also: end of a stream */
    STATUS_CONFLICT,    /* somebody else holds or changed it */
    STATUS_UNAVAILABLE, /* a server is down or refuses; try again later */
    STATUS_TIMEOUT,     /* a deadline passed; whether it took effect is unknown */
    STATUS_LIMIT,       /* a configured bound was reached */
    STATUS_NO_MEMORY,
    STATUS_INTERNAL, /* a defect of ours or of a server */
};

/* The code in lower case, for logs and metrics: "ok", "invalid", ... Never NULL. */
const char *status_name(enum status status);

/* True when the same call may succeed later without anybody changing the input. */
bool status_is_transient(enum status status);

#endif
