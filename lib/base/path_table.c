#include "lib/base/path_table.h"

#include <stdbool.h>
#include <string.h>

void path_table_init(struct path_table *table, struct name_slot *slots, size_t n_slots, struct path_pattern *patterns)
{
    name_table_init(&table->literal, slots, n_slots);
    table->patterns = patterns;
    table->n_patterns = 0;
}

void path_table_add(struct path_table *table, const char *path, int value)
{
    size_t literal_len = strcspn(path, "{");

    if (path[literal_len] != '\0')
        table->patterns[table->n_patterns++] = (struct path_pattern){path, literal_len, value};
    else
        name_table_add(&table->literal, path, value);
}

static bool matches(const char *pattern, const char *path)
{
    while (*pattern != '\0' && *path != '\0') {
        size_t len = *pattern == '{' ? strcspn(path, "/") : 0;
        if (len > 0) {
            pattern += strcspn(pattern, "}") + 1;
            path += len;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *pattern == *path;
}

int path_table_find(const struct path_table *table, const char *path)
{
    size_t len = strlen(path);
    int value = name_table_find(&table->literal, path, len);

    for (size_t i = 0; i < table->n_patterns && value < 0; i++) {
        const struct path_pattern *p = &table->patterns[i];
        if (len > p->literal_len && memcmp(path, p->pattern, p->literal_len) == 0 &&
            matches(p->pattern + p->literal_len, path + p->literal_len))
            value = p->value;
    }
    return value;
}
