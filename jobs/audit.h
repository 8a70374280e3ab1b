/* The audit (design section 4): documents and whole lists that would be served at this moment are computed anew, a document as of
 * its own as_of, and their `data` is compared. What differs was wrong, or has changed without our knowing: that never happens, and this
 * is how somebody would notice. All that is served under its tags then ends, and a job makes it anew, unless it is to be kept.
 *
 * A sample is computed some sixty values at a time, in one snapshot, with a number of queries that does not grow with the users; only
 * what differs there is looked at by itself.
 *
 * A document does not count when its user's rows changed since, which shows in one of two ways: an event of the user is
 * still in the outbox, or the value is no longer served, because the event was carried out. They are looked at in
 * this order after the computation, so that an event that moves from one to the other meanwhile is not missed. An
 * application without triggers has only its webhooks, which come after the change: so differences are looked
 * at once more after AUDIT_SETTLE_MS. */
#ifndef PNLCACHE_JOBS_AUDIT_H
#define PNLCACHE_JOBS_AUDIT_H

#include <stdatomic.h>

#include "jobs/dataset.h"
#include "jobs/document.h"

#define AUDIT_SETTLE_MS 2000

struct audit_mismatch {
    const char *user_id, *key;
    const struct cache_header *header; /* of the stored value */
    struct instant as_of; /* of a list: when it was computed */
    const char *stored; /* its identity body */
    size_t stored_len;
    const char *expected; /* what it should be; where what it shows does not exist, the text that says so */
    size_t expected_len;
    size_t at; /* the first byte that differs */
};

struct audit_options {
    const struct settings *settings;
    struct db *db;
    struct cache *cache;
    struct redis *redis;
    const struct dataset_set *datasets; /* whose whole lists are values, too; NULL: none */
    size_t sample;                      /* values to compare, at most */
    uint64_t seed; /* which ones: the same in the same cache */
    bool keep;     /* leave in the cache what is wrong */
    size_t n_users;
    const char *const *user_ids; /* whose values; borrowed */
    /* May be NULL. */
    void (*on_progress)(void *context, size_t done, size_t total);
    void (*on_mismatch)(void *context, const struct audit_mismatch *mismatch); /* valid during the call */
    void (*on_failed)(void *context, const char *user_id, const char *key, const char *reason);
    void *context;
    const atomic_bool *stop; /* true: end after the document at hand */
};

struct audit_counts {
    size_t users;      /* who were looked at */
    size_t checked;    /* values that were compared and count */
    size_t mismatched; /* of these */
    size_t changed;    /* differing, but the value is served no more */
    size_t pending;    /* differing, but an event of the user is in the outbox */
    size_t failed;     /* values that could not be read or computed, through no fault of a server */
};

/* Compares values of the users, about as many of each: documents, precomputed and lately asked for, and lists. Fails only where a server fails; what had been
 * counted until then is in *ret_counts in any case. It sets and clears the clock's override (base/clock.h), so no other
 * thread may be computing. */
enum status audit_run(const struct audit_options *options, struct audit_counts *ret_counts, struct err *err) MUST_CHECK;

/* What the hash stats:audit says of all runs. */
struct audit_record {
    int64_t checked, mismatches;
    int64_t last_time_s; /* 0: none has run */
};
enum status audit_read_record(const struct cache *cache, struct redis *redis, struct audit_record *ret_record,
                              struct err *err) MUST_CHECK;
/* Adds the counts to the hash stats:audit: checked and mismatches over all runs; last_time (seconds), last_checked and
 * last_mismatches of this one. */
enum status audit_record(struct cache *cache, struct redis *redis, const struct audit_counts *counts,
                         struct err *err) MUST_CHECK;

#endif
