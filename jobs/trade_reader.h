/* Reads journals from PostgreSQL through the views of schema pnlcache: one binary COPY over account
 * settings, stock and option trades, ordered by user, streamed; one user's trades in memory at a time. */
#ifndef PNLCACHE_JOBS_TRADE_READER_H
#define PNLCACHE_JOBS_TRADE_READER_H

#include "jobs/analytics/journal.h"
#include "lib/store/db.h"

struct trade_reader;

/* Inside a snapshot (db_begin_snapshot). The users' ids must be valid; their order does not matter.
 * Every one of them is delivered, users without any row included (with default settings). */
enum status trade_reader_open(struct db *db, size_t n_users, const char *const *user_ids, struct instant as_of,
                              struct trade_reader **ret_reader, struct err *err) MUST_CHECK;
/* The next user, ascending by bytes. The journal and the id are borrowed until the next call.
 * STATUS_NOT_FOUND: no more. STATUS_INVALID names a user whose settings cannot be used. */
enum status trade_reader_next(struct trade_reader *reader, const char **ret_user_id, const struct journal **ret_journal,
                              struct err *err) MUST_CHECK;
void trade_reader_close(struct trade_reader **reader);

/* Ids of all users known to the views, ascending by bytes, after `after` (NULL: from the start), at most max;
 * free each and the array with free(). */
enum status trade_reader_list_users(struct db *db, const char *after, size_t max, char ***ret_ids, size_t *ret_n,
                                    struct err *err) MUST_CHECK;

#endif
