/* Which of a program's paths a request means. A path is literal and found at once, or has segments "{...}", each of which
 * stands for any one segment that is not empty; of these there are few, and they are tried one by one, in the order in which they were
 * added. A literal path wins. Filled once, then read by any number of threads. */
#ifndef PNLCACHE_BASE_PATH_TABLE_H
#define PNLCACHE_BASE_PATH_TABLE_H

#include "lib/base/name_table.h"

struct path_pattern {
    const char *pattern;
    size_t literal_len; /* before the first "{" */
    int value;
};

struct path_table {
    struct name_table literal;
    struct path_pattern *patterns;
    size_t n_patterns;
};

/* The memory is the caller's: slots as name_table_init() wants them, and room for the patterns. */
void path_table_init(struct path_table *table, struct name_slot *slots, size_t n_slots, struct path_pattern *patterns);
/* The path is borrowed for as long as the table is used; the value is not negative. A literal path that is there already keeps its value. */
void path_table_add(struct path_table *table, const char *path, int value);
/* The value of the path that matches; -1: none does. */
int path_table_find(const struct path_table *table, const char *path);

#endif
