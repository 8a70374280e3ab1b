#include "lib/base/status.h"

#include <stddef.h>

static const struct {
    const char *name;
    bool transient;
} codes[] = {
    [STATUS_OK] = {"ok", false},
    [STATUS_INVALID] = {"invalid", false},
    [STATUS_NOT_FOUND] = {"not_found", false},
    [STATUS_CONFLICT] = {"conflict", true},
    [STATUS_UNAVAILABLE] = {"unavailable", true},
    [STATUS_TIMEOUT] = {"timeout", true},
    [STATUS_LIMIT] = {"limit", true},
    [STATUS_NO_MEMORY] = {"no_memory", true},
    [STATUS_INTERNAL] = {"internal", false},
};

const char *status_name(enum status status)
{
    if ((size_t)status >= sizeof codes / sizeof codes[0])
        return "unknown";
    return codes[status].name;
}

bool status_is_transient(enum status status)
{
    return (size_t)status < sizeof codes / sizeof codes[0] && codes[status].transient;
}
