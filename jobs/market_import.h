/* Market data from CSV into the default journal's tables: what `pnlcache-worker import` does. A line is checked as strictly as a
 * request's parameters, so that COPY never meets one that it refuses; lines go in batches, each one transaction: COPY into a temporary
 * table, then one upsert. Running it again is harmless: a row that is there already is not written. */
#ifndef PNLCACHE_JOBS_MARKET_IMPORT_H
#define PNLCACHE_JOBS_MARKET_IMPORT_H

#include <stdatomic.h>
#include <stdio.h>

#include "jobs/import_kind.h"
#include "lib/store/db.h"

struct market_import {
    /* in */
    const struct import_kind *kind;
    FILE *file;
    struct db *db;      /* of a role that may write the tables */
    int64_t max_errors; /* more bad lines than this end it */
    const atomic_bool *stop;
    void (*on_bad_line)(void *context, int64_t line, const char *reason);
    void (*on_progress)(void *context, int64_t bytes_read); /* after each batch */
    void *context;
    /* out; also after a failure */
    int64_t lines;      /* of data, bad ones included */
    int64_t bad_lines;  /* not loaded */
    int64_t rows;       /* new ones and those that changed */
    int64_t done_lines; /* number of the last line that is committed, or was refused */
};
/* Reads to the end, or until *stop; what was committed stays in any case. STATUS_INVALID: the header names a column that the kind does not have, or
 * not one it needs; the role may not write; STATUS_LIMIT: more than max_errors bad lines. Other statuses: of the file or the database. */
enum status market_import_run(struct market_import *import, struct err *err) MUST_CHECK;

#endif
