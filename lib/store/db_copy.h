/* COPY: binary, TO STDOUT, as a stream of rows, which is the cheapest way to read many; and FROM STDIN, to write many. */
#ifndef PNLCACHE_STORE_DB_COPY_H
#define PNLCACHE_STORE_DB_COPY_H

#include "lib/store/db.h"

#define DB_COPY_MAX_FIELDS 64

struct db_copy;

struct db_row {
    size_t n_fields;
    struct db_field fields[DB_COPY_MAX_FIELDS];
};

/* Starts COPY (query) TO STDOUT (FORMAT binary). One at a time per connection, and nothing else can use the
 * connection until db_copy_close(). Statuses as db_query(); the query's deadline holds for the start
 * and for each wait for data, statement_timeout for the whole. */
enum status db_copy_open(struct db *db, const char *query, struct db_copy **ret_copy, struct err *err) MUST_CHECK;
/* The next row; the fields are borrowed until the next call. STATUS_NOT_FOUND: the stream ended in
 * order (and only then is what was read complete). Every other status: the stream is unusable, and
 * each further call returns that status. STATUS_INTERNAL: the stream is damaged. */
enum status db_copy_next(struct db_copy *copy, struct db_row *ret_row, struct err *err) MUST_CHECK;
/* Closing before the end drops the connection (the rest of the stream cannot be skipped). */
void db_copy_close(struct db_copy **copy);

/* COPY table (columns) FROM STDIN in text format. `rows`: lines of values made with db_append_copy_text(), between tabs, each line
 * with its '\n'. `into` is "table (columns)". One statement: all rows or none. Statuses as db_query(). */
enum status db_copy_in(struct db *db, const char *into, const char *rows, size_t len, struct err *err) MUST_CHECK;
/* Appends a value in COPY's text format; NULL is SQL NULL. */
void db_append_copy_text(struct buf *out, const char *text);

/* Checks the stream's header (signature, no flags, extension skipped). *ret_len: its length in bytes. */
enum status db_copy_parse_header(const unsigned char *bytes, size_t len, size_t *ret_len) MUST_CHECK;
/* Parses one COPY data message into fields; pure, for tests and fuzzing. *ret_end: it is the trailer, and
 * ret_row has no fields. STATUS_INVALID: lengths do not fit, or more than DB_COPY_MAX_FIELDS. */
enum status db_copy_parse_row(const unsigned char *bytes, size_t len, struct db_row *ret_row, bool *ret_end) MUST_CHECK;

#endif
