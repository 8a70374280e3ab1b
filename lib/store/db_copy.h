/* Binary COPY ... TO STDOUT as a stream of rows: the cheapest way to read many rows. */
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

/* Checks the stream's header (signature, no flags, extension skipped). *ret_len: its length in bytes. */
enum status db_copy_parse_header(const unsigned char *bytes, size_t len, size_t *ret_len) MUST_CHECK;
/* Parses one COPY data message into fields; pure, for tests and fuzzing. *ret_end: it is the trailer, and
 * ret_row has no fields. STATUS_INVALID: lengths do not fit, or more than DB_COPY_MAX_FIELDS. */
enum status db_copy_parse_row(const unsigned char *bytes, size_t len, struct db_row *ret_row, bool *ret_end) MUST_CHECK;

#endif
