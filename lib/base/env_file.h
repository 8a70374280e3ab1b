/* NAME=value files in the syntax of a systemd EnvironmentFile: lines, comments that begin with '#' or
 * ';', values bare or in single or double quotes, a backslash at a line's end joins it to the next. */
#ifndef PNLCACHE_BASE_ENV_FILE_H
#define PNLCACHE_BASE_ENV_FILE_H

#include <stddef.h>

#include "lib/base/err.h"

struct env_entry {
    char *name; /* [A-Za-z_][A-Za-z0-9_]* */
    char *value;
    int line; /* where it begins, from 1 */
};
struct env_file {
    size_t n;
    struct env_entry *entries; /* in the file's order; a name may come twice */
};

/* Parses `len` bytes; `file_name` is for the texts of errors ("FILE:LINE: reason"). Refuses lines that
 * are not NAME=value, unterminated quotes and NUL bytes. Release with env_file_release(). */
enum status env_file_parse(const char *file_name, const char *text, size_t len, struct env_file *ret_file,
                           struct err *err) MUST_CHECK;
void env_file_release(struct env_file *file);

/* The value of the last entry with that name, NULL when there is none. Borrowed. */
const char *env_file_get(const struct env_file *file, const char *name);

#endif
