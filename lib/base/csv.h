/* CSV, line by line (RFC 4180 but for one thing: a cell does not span lines, so that a quote too many spoils its own line
 * and no other). LF or CRLF; a byte order mark in front is skipped, empty lines are too. */
#ifndef PNLCACHE_BASE_CSV_H
#define PNLCACHE_BASE_CSV_H

#include <stdio.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

#define CSV_MAX_CELLS 64
#define CSV_MAX_LINE 65536 /* bytes */

struct csv_reader {
    FILE *file;     /* borrowed */
    int64_t line;   /* number of the line read last, from 1 */
    int64_t offset; /* bytes read */
    struct buf text;
    size_t n_cells;
    char *cells[CSV_MAX_CELLS]; /* unquoted, without blanks around; borrowed until the next csv_next() */
};

void csv_begin(struct csv_reader *r, FILE *file);
void csv_release(struct csv_reader *r);
/* The next line that is not empty, in `cells`. STATUS_NOT_FOUND: there are no more. STATUS_INVALID: this line is no CSV, or not UTF-8;
 * the next call goes on behind it. STATUS_UNAVAILABLE: the file cannot be read. */
enum status csv_next(struct csv_reader *r, struct err *err) MUST_CHECK;

#endif
