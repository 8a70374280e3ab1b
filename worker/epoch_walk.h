/* Invalidating a tag for every user there is: a walk over the epochs, which is where validity lives. In
 * the background only: it reads the whole key space. */
#ifndef PNLCACHE_WORKER_EPOCH_WALK_H
#define PNLCACHE_WORKER_EPOCH_WALK_H

#include "worker/daemon.h"

/* A user without epochs has no valid value, so nobody is missed; an epoch created during the walk belongs to
 * a computation that reads its rows afterwards. STATUS_UNAVAILABLE, STATUS_TIMEOUT: not complete, do it again. */
enum status epoch_walk_invalidate(const struct generation *g, struct redis *redis, const struct cache_tags *tags,
                                  struct err *err) MUST_CHECK;

#endif
