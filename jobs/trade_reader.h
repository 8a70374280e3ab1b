/* Reads journals from PostgreSQL through the views of schema pnlcache: the account settings of a batch of users, then
 * one binary COPY over their stock and option trades, ordered by user and exit, streamed; one user's trades
 * in memory at a time. */
#ifndef PNLCACHE_JOBS_TRADE_READER_H
#define PNLCACHE_JOBS_TRADE_READER_H

#include "jobs/analytics/journal.h"
#include "lib/store/db.h"

struct trade_reader;

/* Inside a snapshot (db_begin_snapshot). The users' ids must be valid (cache.h); they are copied, their order
 * does not matter and repeated ones count once. Every one of them is delivered, users without any row included
 * (with default settings). Until trade_reader_close() nothing else can use the connection. Statuses as
 * db_query(); STATUS_INVALID: the views are not what sql/README.md asks for. */
enum status trade_reader_open(struct db *db, size_t n_users, const char *const *user_ids, struct instant as_of,
                              struct trade_reader **ret_reader, struct err *err) MUST_CHECK;
/* Before trade_reader_next(): whether journals from then on have their details, which groups need. At first they have not. */
void trade_reader_keep_details(struct trade_reader *reader, bool keep);
/* As of when journals are from then on, instead of the one given when opening. */
void trade_reader_set_as_of(struct trade_reader *reader, struct instant as_of);
/* The next user, ascending by bytes. The journal and the id are borrowed until the next user is delivered.
 * STATUS_NOT_FOUND: no more, everything was read, and the connection is free. STATUS_INVALID: this user's settings
 * cannot be used; *ret_user_id is set and the next call goes on with the next user. After every other status the reader
 * is finished and says the same again. */
enum status trade_reader_next(struct trade_reader *reader, const char **ret_user_id, const struct journal **ret_journal,
                              struct err *err) MUST_CHECK;
/* Closing before the end drops the connection. */
/* After the last user that was asked for: reads the stream to its end, for a connection that is left in the middle of one
 * is lost. STATUS_INTERNAL: it delivers a user who was not asked for. */
enum status trade_reader_finish(struct trade_reader *reader, struct err *err) MUST_CHECK;
void trade_reader_close(struct trade_reader **reader);

/* The query of the COPY, for EXPLAIN; user_id_array as by db_append_text_array(). */
void trade_reader_append_query(struct buf *sql, const char *user_id_array);

/* Ids of all users known to the views, ascending by bytes, after `after` (NULL: from the start), at most max;
 * free them with text_array_free(). They may be any text: check with user_id_is_valid(). Costs a few
 * index look-ups a user, however many trades there are. */
enum status trade_reader_list_users(struct db *db, const char *after, size_t max, char ***ret_ids, size_t *ret_n,
                                    struct err *err) MUST_CHECK;

#endif
