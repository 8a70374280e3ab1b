/* The part of /metrics about the workers, which are other processes: from what they leave in Redis. */
#ifndef PNLCACHE_FCGI_METRICS_JOBS_H
#define PNLCACHE_FCGI_METRICS_JOBS_H

#include "lib/store/cache.h"

/* The queue, and what jobs came to. The same work however long the queue is. */
enum status metrics_write_jobs(struct cache *cache, struct redis *redis, struct buf *out, struct err *err) MUST_CHECK;
/* What audits found, all together. */
enum status metrics_write_audit(struct cache *cache, struct redis *redis, struct buf *out, struct err *err) MUST_CHECK;

#endif
