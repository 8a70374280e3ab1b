/* What jobs came to, added up over all workers: the hash stats:jobs, one field for each kind and number. A kind is one of
 * job_stats_kinds, so the hash cannot grow. It has no TTL and is no more than a statistic: a Redis that lost it counts
 * from zero again, as a counter may. */
#ifndef PNLCACHE_STORE_JOB_STATS_H
#define PNLCACHE_STORE_JOB_STATS_H

#include "lib/store/cache.h"

#define JOB_STATS_KINDS 10
extern const char *const job_stats_kinds[JOB_STATS_KINDS]; /* those of the queue, the scheduled jobs, "other" */
#define JOB_STATS_BUCKETS 8
extern const int64_t job_stats_bucket_ms[JOB_STATS_BUCKETS]; /* upper bounds, ascending */

struct job_stats {
    int64_t done;
    int64_t failed;                         /* attempts */
    int64_t given_up;                       /* went to jobs:dead */
    int64_t last_done_s;                    /* wall clock; 0: never */
    int64_t timed_ms;                       /* all durations together */
    int64_t buckets[JOB_STATS_BUCKETS + 1]; /* how many durations up to each bound, and not up to the one before */
};

enum job_outcome { JOB_OUTCOME_DONE, JOB_OUTCOME_FAILED, JOB_OUTCOME_GIVEN_UP };

/* n jobs of a kind (an unknown one counts as "other") had this outcome; took_ms < 0: there was nothing to time. One round
 * trip. Statuses of redis_flush(); also where Redis takes no writes. */
enum status job_stats_add(const struct cache *cache, struct redis *redis, const char *kind, enum job_outcome outcome,
                          size_t n, int64_t took_ms, struct err *err) MUST_CHECK;
/* One round trip. */
enum status job_stats_read(const struct cache *cache, struct redis *redis, struct job_stats ret_stats[JOB_STATS_KINDS],
                           struct err *err) MUST_CHECK;

#endif
