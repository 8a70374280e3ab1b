/* Warming: the users who are most likely to come next find their documents ready. Likely means recently active:
 * docs/decisions/0004-warming.md tells what else was tried. */
#ifndef PNLCACHE_JOBS_WARM_H
#define PNLCACHE_JOBS_WARM_H

#include "jobs/precompute.h"

#define WARM_EVERY_S 300 /* how often the schedule runs it */

/* For how long a document must still be valid to be left alone until the next run: that run's interval and some delay,
 * but at most half of the TTL, or a document would be made again while it is young. */
int64_t warm_ahead_s(const struct settings *settings);

/* Renews, of the WARM_USERS most recently active users (within ACTIVE_WINDOW), the documents that are not valid for
 * warm_ahead_s(). `precompute` was made with only_invalid and that valid_for_s. */
enum status warm_recent(struct precompute *precompute, const struct settings *settings, struct cache *cache,
                        struct redis *redis, struct err *err) MUST_CHECK;

#endif
