/* Precomputing: users in batches, each batch's epochs first, then one snapshot, one COPY, one pass per
 * user and asset class for all documents, then pipelined writes of a few users at a time. Memory does
 * not grow with the number of users, only with the largest single one.
 *
 * What a user asked for lately (wanted.h) is computed in the same pass. Users whose documents need annotations share a second
 * COPY, and those of prices are read one by one (source_stream.h), in the same snapshot. So nobody pays who asked for no such
 * thing. */
#ifndef PNLCACHE_JOBS_PRECOMPUTE_H
#define PNLCACHE_JOBS_PRECOMPUTE_H

#include <stdatomic.h>

#include "jobs/collection_batch.h"
#include "jobs/document.h"

struct precompute;

struct precompute_progress {
    size_t users_done, users_total; /* total 0: not known */
    size_t users_failed;            /* of those done: without documents, see on_failed */
    size_t documents_stored, documents_unchanged, documents_refused;
    size_t documents_too_large; /* over CACHE_MAX_VALUE, so they stay misses */
    size_t documents_valid;     /* left alone (only_invalid) */
    size_t requests_dropped;    /* foreign or damaged members of wanted records */
    size_t requests_forgotten;  /* wanted documents of what is no longer there */
    size_t trades, skipped_rows;
    struct collection_counts collections;
};

/* db, cache, redis: borrowed, used by the calling thread. The callbacks may be NULL. */
struct precompute_options {
    const struct settings *settings;
    struct db *db;
    struct cache *cache;
    struct redis *redis; /* may be NULL with on_document */

    void (*on_progress)(void *context, const struct precompute_progress *progress);        /* after every user */
    void (*on_skipped)(void *context, const char *user_id, const struct journal *journal); /* rows were left out */
    /* This user's documents cannot be computed (unusable settings, sums too large); the others go on. */
    void (*on_failed)(void *context, const char *user_id, enum status status, const char *reason);
    /* This one of the user's documents, named by its section, is too large to be stored. */
    void (*on_too_large)(void *context, const char *user_id, const char *section);
    /* With `datasets`: what became of each collection. */
    void (*on_collection)(void *context, const char *user_id, const struct dataset *dataset, enum collection_end end,
                          size_t bytes, const char *reason);
    /* Instead of storing: receives every document. */
    void (*on_document)(void *context, const char *key, const struct cache_body *body);
    void *context;
    bool only_invalid;   /* leave documents alone that are still valid, and not about to expire (event jobs) */
    int64_t valid_for_s; /* with only_invalid: valid means for at least this long from now */
    /* Leave wanted documents alone that hold open positions, and so live shorter than the others: on a schedule they would be computed
     * for nobody, since they have run out long before the next run. */
    bool without_short_lived;
    /* Also, in the same snapshot, the whole lists of these datasets that the users asked for lately, or all of them. NULL: none,
     * as always with on_document. */
    const struct dataset_set *datasets;
    bool all_collections;
    bool count_users;        /* learn users_total before precompute_all(): one more walk over the ids */
    bool overlapped;         /* write from a second thread over a connection of its own: for long runs */
    const atomic_bool *stop; /* may be NULL; when it turns true the run ends after the present batch */
};

enum status precompute_new(const struct precompute_options *options, struct precompute **ret_precompute,
                           struct err *err) MUST_CHECK;
void precompute_free(struct precompute **precompute);

/* Precomputes these users; ids must be valid, repeated ones count once. Progress is added up over calls.
 * A failure means that an unknown part of the last batch was not stored. */
enum status precompute_users(struct precompute *p, size_t n, const char *const *user_ids, struct err *err) MUST_CHECK;
/* Every user the views know. */
enum status precompute_all(struct precompute *p, struct err *err) MUST_CHECK;
/* The recently active ones, at most 100,000, most recent first. */
enum status precompute_active(struct precompute *p, struct err *err) MUST_CHECK;
const struct precompute_progress *precompute_progress(const struct precompute *p);

#endif
