/* The collections of the users of one batch: chosen and their epochs opened before its snapshot, computed at the end of it. One
 * that fails, or is too large, is left to its readers and keeps nobody from anything. */
#ifndef PNLCACHE_JOBS_COLLECTION_BATCH_H
#define PNLCACHE_JOBS_COLLECTION_BATCH_H

#include "jobs/collection.h"
#include "jobs/document_batch.h"
#include "jobs/document_writer.h"

/* Too large: over COLLECTION_MAX_ROWS or CACHE_MAX_VALUE. */
enum collection_end { COLLECTION_VALID, COLLECTION_COMPUTED, COLLECTION_TOO_LARGE, COLLECTION_FAILED };

struct collection_counts {
    size_t computed, valid, too_large, failed;
};

struct collection_batch {
    const struct settings *settings;
    const struct dataset_set *set; /* NULL: there are none */
    bool all;                      /* every collection of the set; else those that the users asked for lately */
    bool only_invalid, without_short_lived; /* as of precompute_options */
    int64_t valid_for_s;
    struct cache *cache;
    struct redis *redis;
    struct db *db;
    /* May be NULL. `bytes` of the body; `reason` of a failure. */
    void (*on_collection)(void *context, const char *user_id, const struct dataset *dataset, enum collection_end end,
                          size_t bytes, const char *reason);
    void *context;
    struct collection_counts counts; /* added up */
};

/* Before the snapshot, after document_batch_open(), which reads what the users want. */
enum status collection_batch_open(struct collection_batch *c, struct document_batch *batch, struct err *err) MUST_CHECK;
/* In the snapshot, while no stream is open. The status is that of a lost server. */
enum status collection_batch_compute(struct collection_batch *c, const struct document_batch *batch,
                                     struct document_writer *writer, struct err *err) MUST_CHECK;

#endif
