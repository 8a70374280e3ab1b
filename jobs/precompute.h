/* Precomputing: users in batches, each batch's epochs first, then one snapshot, one COPY, one pass per
 * user for all documents, then pipelined writes. */
#ifndef PNLCACHE_JOBS_PRECOMPUTE_H
#define PNLCACHE_JOBS_PRECOMPUTE_H

#include "jobs/document.h"

struct precompute;

struct precompute_progress {
    size_t users_done, users_total; /* total 0: not known */
    size_t documents_stored, documents_unchanged, documents_refused;
    size_t trades, skipped_rows;
};

/* db, cache, redis: borrowed. on_progress may be NULL; called after every user. */
struct precompute_options {
    const struct settings *settings;
    struct db *db;
    struct cache *cache;
    struct redis *redis;
    void (*on_progress)(void *context, const struct precompute_progress *progress);
    void (*on_skipped)(void *context, const char *user_id, const struct journal *journal); /* rows were left out */
    void *context;
    bool only_invalid; /* leave documents that are still valid alone (event jobs) */
    const volatile bool *stop; /* may be NULL; when it turns true the run ends after the present batch */
};

enum status precompute_new(const struct precompute_options *options, struct precompute **ret_precompute,
                           struct err *err) MUST_CHECK;
void precompute_free(struct precompute **precompute);

/* Precomputes these users; ids must be valid. Progress is added up over calls. */
enum status precompute_users(struct precompute *p, size_t n, const char *const *user_ids, struct err *err) MUST_CHECK;
/* Every user the views know. */
enum status precompute_all(struct precompute *p, struct err *err) MUST_CHECK;
/* The recently active ones. */
enum status precompute_active(struct precompute *p, struct err *err) MUST_CHECK;
const struct precompute_progress *precompute_progress(const struct precompute *p);

#endif
