/* The users of one snapshot and which of their documents have to be computed: the precomputed ones first, then those they
 * asked for lately. */
#ifndef PNLCACHE_JOBS_DOCUMENT_BATCH_H
#define PNLCACHE_JOBS_DOCUMENT_BATCH_H

#include "jobs/collection.h"
#include "jobs/wanted.h"

struct user_documents {
    const char *user_id; /* borrowed */
    struct wanted wanted;
    size_t n;                            /* documents, the wanted ones last */
    bool *due;                           /* of each: to be computed */
    bool without_short_lived;            /* as of the batch */
    const struct cache_tags *tags;       /* what any of them depends on ... */
    struct cache_epochs epochs;          /* ... and the epochs of these, opened before the snapshot */
    struct user_collections collections; /* of collection_batch.h; else none */
};

struct document_batch {
    size_t n;
    struct user_documents *users; /* ascending by id, each once */
    bool without_short_lived;     /* see precompute_options; to be set before document_batch_open() */
};

/* All documents of these users that are precomputed, all due. */
enum status document_batch_init(struct document_batch *batch, size_t n_users, const char *const *user_ids,
                                struct err *err) MUST_CHECK;
void document_batch_release(struct document_batch *batch);
/* Before the snapshot: adds the wanted documents, due too, and opens the epochs of exactly the tags each user's
 * documents depend on. *ret_dropped grows by the members of records that were dropped. */
enum status document_batch_open(struct document_batch *batch, struct cache *cache, struct redis *redis,
                                const struct settings *settings, size_t *ret_dropped, struct err *err) MUST_CHECK;
/* Those with open positions, of which this is the journal, are no longer due. */
void user_documents_leave_short_lived(struct user_documents *user, const struct journal *journal);
/* Documents that are still valid, and will be for valid_for_s and for DOCUMENT_RENEW_PERCENT of their TTL, are no longer due;
 * *ret_valid is their number. Nor are, without_short_lived, those that may hold open positions and are not known to hold none. */
enum status user_documents_judge(struct user_documents *user, struct cache *cache, struct redis *redis,
                                 const struct settings *settings, int64_t valid_for_s, size_t *ret_valid,
                                 struct err *err) MUST_CHECK;

struct document_request user_documents_request(const struct user_documents *user, size_t i);
/* Of the due ones. */
size_t user_documents_count_due(const struct user_documents *user);
unsigned user_documents_needs(const struct user_documents *user);

#endif
