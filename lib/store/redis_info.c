#include "lib/store/redis_info.h"

#include <string.h>

#include "lib/base/parse_number.h"

/* What stands behind "name:" at the beginning of a line, and how long it is; NULL: nowhere. */
static const char *find(const char *info, const char *name, size_t *ret_len)
{
    size_t name_len = strlen(name);

    for (const char *line = info; *line != '\0';) {
        if (strncmp(line, name, name_len) == 0 && line[name_len] == ':') {
            *ret_len = strcspn(line + name_len + 1, "\r\n");
            return line + name_len + 1;
        }
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return NULL;
}

bool redis_info_value(const char *info, const char *name, char *value, size_t size)
{
    size_t len;
    const char *found = find(info, name, &len);

    if (found == NULL || len >= size)
        return false;
    memcpy(value, found, len);
    value[len] = '\0';
    return true;
}

bool redis_info_number(const char *info, const char *name, int64_t *ret_value)
{
    size_t len;
    const char *found = find(info, name, &len);

    return found != NULL && parse_int64_bytes(found, len, 0, INT64_MAX, ret_value) == STATUS_OK;
}
