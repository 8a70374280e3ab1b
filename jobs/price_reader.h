/* The latest prices of what a journal holds open (sql/README.md). */
#ifndef PNLCACHE_JOBS_PRICE_READER_H
#define PNLCACHE_JOBS_PRICE_READER_H

#include "jobs/analytics/price_table.h"
#include "lib/store/db.h"

/* Reads the prices of the open positions' symbols into *ret_prices, which was initialised and is finished then; asks
 * nothing when nothing is open. Inside the trades' snapshot, while nothing else uses the connection. Statuses as
 * db_query(); STATUS_INTERNAL also when the view is not what sql/README.md asks for. */
enum status price_read(struct db *db, const struct journal *journal, struct price_table *ret_prices,
                       struct err *err) MUST_CHECK;

#endif
