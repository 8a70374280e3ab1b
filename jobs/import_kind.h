/* What `pnlcache-worker import` can load: for each kind its table, columns and keys, and what a line's cells may be. */
#ifndef PNLCACHE_JOBS_IMPORT_KIND_H
#define PNLCACHE_JOBS_IMPORT_KIND_H

#include "jobs/dataset.h"

#define IMPORT_MAX_COLUMNS 8

enum import_need {
    IMPORT_OPTIONAL,
    IMPORT_NEEDED,
    IMPORT_TIME /* optional; the import's own time where there is none */
};

struct import_column {
    const char *name;
    enum import_need need;
    struct dataset_param value; /* what a cell may be; not looked at for IMPORT_TIME */
};

/* A unique index of the table: its columns, its predicate, and which lines are about it (both NULL: all). */
struct import_target {
    const char *keys, *predicate, *lines;
};

struct import_kind {
    const char *name, *table;
    struct cache_tags tags;
    struct import_column columns[IMPORT_MAX_COLUMNS];
    struct import_target targets[2];
    const char *newer; /* an older row is not written over a newer one by this column; NULL: the file is right */
    /* What cells may not be together; NULL: they are good. The values are canonical, "" where there is none. */
    const char *(*judge)(const char *const values[IMPORT_MAX_COLUMNS]);
};

/* "bars", "quotes", "prices", "earnings", "symbols"; NULL: there is no such kind. */
const struct import_kind *import_kind_find(const char *name);
/* How many columns it has. */
size_t import_kind_columns(const struct import_kind *kind);

#endif
