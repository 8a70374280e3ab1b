/* What the files of the audit share. audit.c: the run and its counts; audit_choose.c: which values; audit_batch.c: many values computed in
 * one snapshot; audit_value.c: one value, looked at closely. */
#ifndef PNLCACHE_JOBS_AUDIT_INTERNAL_H
#define PNLCACHE_JOBS_AUDIT_INTERNAL_H

#include "jobs/audit.h"
#include "jobs/wanted.h"

#define AUDIT_BODY_MAX (64 << 20)
#define AUDIT_CHUNK 64                       /* values of users who are looked at together, about */
#define AUDIT_CHUNK_BYTES ((size_t)16 << 20) /* of their stored bodies */

enum audit_finding { AUDIT_SAME, AUDIT_DIFFERENT, AUDIT_CHANGED, AUDIT_PENDING, AUDIT_FAILED };

/* One stored value. */
struct audit_value {
    const char *user_id;             /* borrowed from the options */
    const struct dataset *dataset;   /* a whole list of it; NULL: the document */
    struct document_request request; /* its symbol is borrowed from the chunk */
    /* As it was when it was chosen; without a body it is looked at by itself. */
    bool has_body;
    struct instant as_of; /* of a document */
    size_t body, body_len;
    enum audit_finding finding;
};

struct audit_chunk {
    size_t n, cap;
    struct audit_value *values;
    struct buf bodies;
    size_t n_wanted, cap_wanted;
    struct wanted *wanted; /* of the users; the symbols are in there */
};

struct audit {
    const struct audit_options *options;
    struct audit_counts counts;
    uint64_t random;
    struct audit_chunk chunk;
    /* The value looked at last. */
    struct buf key, stored, expected;
    struct cache_header header;
    struct instant as_of;
    size_t at;
    struct err why; /* of AUDIT_FAILED */
};

/* --- audit_value.c ------------------------------------------------------------------------------ */

const struct cache_tags *audit_tags(const struct audit_value *value);
void audit_append_key(const struct audit *a, const struct audit_value *value, struct buf *key);
/* Served, and a value: that something is not there says nothing that could be wrong. */
bool audit_is_auditable(const struct cache_lookup *lookup);
/* The identity body of a hit, appended, and the as_of of a document. STATUS_INVALID: damaged in a way the read rule lets pass. */
enum status audit_unpack(const struct audit_value *value, const struct cache_lookup *lookup, struct buf *body,
                         struct instant *ret_as_of, struct err *err) MUST_CHECK;
/* Whether envelope and data are those of the stored bytes; *ret_at: up to where. */
bool audit_is_same(const char *stored, size_t stored_len, const struct cache_body *expected, size_t *ret_at);
/* Reads, computes, compares and judges the value by itself; key, stored, expected, header, as_of and at are those of it then. Fails where
 * a server fails. */
enum status audit_examine(struct audit *a, const struct audit_value *value, enum audit_finding *ret_finding,
                          struct err *err) MUST_CHECK;

/* --- audit_choose.c ----------------------------------------------------------------------------- */

/* Moves a random one of order[from .. n) to order[from]. */
void audit_draw(uint64_t *random, size_t *order, size_t from, size_t n);
/* Adds at most `quota` of what would be served of the user's, drawn at random, to the chunk. */
enum status audit_choose(struct audit *a, const char *user_id, size_t quota, struct err *err) MUST_CHECK;
void audit_chunk_clear(struct audit_chunk *chunk);
void audit_chunk_release(struct audit_chunk *chunk);

/* --- audit_batch.c ------------------------------------------------------------------------------ */

/* Computes the values of the chunk that have a body in one snapshot and notes which are AUDIT_SAME; all others are AUDIT_DIFFERENT, until
 * they are examined. Fails where a server fails. */
enum status audit_compute_chunk(struct audit *a, struct err *err) MUST_CHECK;

#endif
