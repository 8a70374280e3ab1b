/* PUT /api/cache/dataset/NAME: an application has written a dataset's source rows. What they stand for is invalidated first, as by an
 * event; then the answer is computed as for any other request. */
#ifndef PNLCACHE_FCGI_WRITE_THROUGH_H
#define PNLCACHE_FCGI_WRITE_THROUGH_H

#include "fcgi/exchange.h"
#include "fcgi/responder.h"

/* Invalidates the dataset's own tags (of rows: those of this row; without own ones: all of them). STATUS_OK: it is in effect; when Redis did
 * not acknowledge it, it is durable in the outbox, the users concerned are pending, and *ret_bypass says that the cache is not to be used.
 * Other statuses: neither took it. `redis`: NULL where there is none. */
enum status write_through_invalidate(struct responder *r, struct redis *redis, struct db *db, const struct exchange *x,
                                     bool *ret_bypass, struct err *err) MUST_CHECK;

#endif
