/* Small files, read whole. */
#ifndef PNLCACHE_BASE_FILE_H
#define PNLCACHE_BASE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

#define FILE_READ_MAX (1024 * 1024) /* larger ones are not what was meant */

/* Appends the file's bytes. STATUS_NOT_FOUND: there is none; STATUS_INVALID: it cannot be read or is larger than
 * FILE_READ_MAX; the text names the path. After a failure `out` holds an unknown part of it. */
enum status file_read(const char *path, struct buf *out, struct err *err) MUST_CHECK;

/* What tells one version of a file from the next, however it was replaced. All zero: there is none. */
struct file_mark {
    uint64_t device, inode, size;
    int64_t changed_ns;
};
struct file_mark file_mark_take(const char *path);
bool file_mark_equal(const struct file_mark *a, const struct file_mark *b);

#endif
