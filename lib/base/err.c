#include "lib/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum status err_fail(struct err *err, enum status status, const char *format, ...)
{
    va_list args;

    if (err == NULL)
        return status;
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return status;
}

void err_prefix(struct err *err, const char *format, ...)
{
    char old[sizeof err->text];
    va_list args;
    size_t used;

    if (err == NULL)
        return;
    memcpy(old, err->text, sizeof old);
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof err->text - used, ": %s", old);
}
