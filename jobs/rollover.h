/* Whose trading day has just begun: at that moment every range of theirs has moved on, and the documents of the day
 * before are no longer valid. Which moment that is depends on each account's time zone, its trading_day_start and the
 * clock changes of the zone. */
#ifndef PNLCACHE_JOBS_ROLLOVER_H
#define PNLCACHE_JOBS_ROLLOVER_H

#include <stdatomic.h>

#include "jobs/analytics/account.h"
#include "lib/store/cache.h"
#include "lib/store/db.h"

/* Did a trading day of the account begin in (since, now]? */
bool rollover_day_began(const struct account *account, struct instant since, struct instant now);

/* Marks the users whose day began in (since, now]; in batches of `batch` users, each with one query. A user whose
 * settings cannot be used is not marked: there is nothing to compute. Statuses of db_query(). *stop (may be NULL) ends it early. */
enum status rollover_select(struct db *db, size_t n, const char *const *user_ids, size_t batch, struct instant since,
                            struct instant now, const atomic_bool *stop, bool *ret_began, struct err *err) MUST_CHECK;

/* Until when the last finished roll-over looked; INSTANT_NEVER negated when nobody knows (a first run, an empty Redis). */
enum status rollover_read_mark(const struct cache *cache, struct redis *redis, struct instant *ret_mark,
                               struct err *err) MUST_CHECK;
enum status rollover_write_mark(const struct cache *cache, struct redis *redis, struct instant mark,
                                struct err *err) MUST_CHECK;

#endif
