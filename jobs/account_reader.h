/* Account settings (metrics.md 1.3) of a batch of users, from the view pnlcache.account_settings. */
#ifndef PNLCACHE_JOBS_ACCOUNT_READER_H
#define PNLCACHE_JOBS_ACCOUNT_READER_H

#include "jobs/analytics/account.h"
#include "lib/store/db.h"

struct account_reader {
    struct db_result *rows; /* ascending by user id */
    size_t next;
    struct date *holidays; /* of the account read last */
    size_t cap_holidays;
};

/* Queries the settings; user_id_array is the text form of an array (db_append_text_array). */
enum status account_reader_open(struct account_reader *reader, struct db *db, const char *user_id_array,
                                struct err *err) MUST_CHECK;
/* This user's settings, defaults for what is NULL and for a user without a row. Users must be asked for in
 * ascending order. The account borrows the holidays until the next call. STATUS_INVALID: a value that cannot
 * be used; the text names user, setting and value. */
enum status account_reader_get(struct account_reader *reader, const char *user_id, struct account *ret_account,
                               struct err *err) MUST_CHECK;
void account_reader_release(struct account_reader *reader);

#endif
