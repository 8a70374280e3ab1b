/* Warming: the users who are most likely to come next find their documents ready. docs/decisions/0008-warming.md tells
 * what the choice rests on. */
#ifndef PNLCACHE_JOBS_WARM_H
#define PNLCACHE_JOBS_WARM_H

#include "jobs/precompute.h"

#define WARM_EVERY_S 300 /* how often the schedule runs it */

/* For how long a document must still be valid to be left alone until the next run: that run's interval and some delay,
 * but at most half of the TTL, or a document would be made again while it is young. */
int64_t warm_ahead_s(const struct settings *settings);

/* Whom to warm, most urgent first, at most WARM_USERS: those seen within the documents' TTL, whose visit may go on; then
 * those who usually come in this hour of the week; then those seen last within ACTIVE_WINDOW. Free with text_array_free(). */
enum status warm_choose(const struct settings *settings, struct cache *cache, struct redis *redis, char ***ret_ids,
                        size_t *ret_n, struct err *err) MUST_CHECK;

/* Renews the documents of warm_choose()'s users that are not valid for warm_ahead_s(). `precompute` was made with
 * only_invalid and that valid_for_s. */
enum status warm(struct precompute *precompute, const struct settings *settings, struct cache *cache,
                 struct redis *redis, struct err *err) MUST_CHECK;

#endif
