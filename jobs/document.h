/* The cached documents: which there are, their keys, tags and TTLs, and how each is built. The
 * responder (on a miss) and the jobs (ahead of time) both come here, so that they cannot disagree. */
#ifndef PNLCACHE_JOBS_DOCUMENT_H
#define PNLCACHE_JOBS_DOCUMENT_H

#include "jobs/analytics/report.h"
#include "lib/base/settings.h"
#include "lib/store/cache.h"
#include "lib/store/db.h"

enum section { SECTION_SUMMARY, SECTION_CORE, SECTIONS };

struct document_request {
    enum section section;
    enum asset asset; /* summary: stocks or options only */
    struct range_request range;
};

/* Appends the whole Redis key (prefix included) of design section 3. */
void document_append_key(const struct cache *cache, const struct document_request *request, const char *user_id,
                         struct buf *key);
/* What the document depends on; static. */
const struct cache_tags *document_tags(const struct document_request *request);
int64_t document_ttl_s(const struct settings *settings, const struct document_request *request);

/* The precomputed set of design section 3, in a fixed order. */
size_t document_precomputed_count(void);
struct document_request document_precomputed(size_t i);

/* Writes the body (envelope, data, meta) of one document of a computed report into `out` (appended)
 * and fills *ret_body, whose bytes point into `out` until it changes. */
enum status document_write(const struct report *report, size_t range, const struct document_request *request,
                           const char *user_id, struct instant computed_at, struct buf *out, struct cache_body *ret_body,
                           struct err *err) MUST_CHECK;

/* The whole read-through of one document: snapshot, read, compute, write. The epochs must have been
 * opened before. *ret_body's bytes point into `out`. */
enum status document_compute(struct db *db, const struct document_request *request, const char *user_id, struct buf *out,
                             struct cache_body *ret_body, struct err *err) MUST_CHECK;

#endif
