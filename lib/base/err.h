/* The human half of a failure: one line that says what was wrong and, where it helps, what to do.
 * Fixed size, so that reporting a failure cannot fail. Callers that do not want it pass NULL. */
#ifndef PNLCACHE_BASE_ERR_H
#define PNLCACHE_BASE_ERR_H

#include "lib/base/status.h"

struct err {
    char text[512];
};

/* Writes the text (cut at the buffer's end) and returns `status`, so that a failing function
 * ends with `return err_fail(err, STATUS_X, "...", ...)`. `err` may be NULL. */
enum status err_fail(struct err *err, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4))) MUST_CHECK;

/* Puts "prefix: " in front of the present text. `err` may be NULL. */
void err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
