/* The whole lists that datasets have (`collection` in their header, limit=all), as values of a user that are computed in one
 * snapshot with the user's analytics: at a login, and later while the user still reads them (wanted.h). */
#ifndef PNLCACHE_JOBS_COLLECTION_H
#define PNLCACHE_JOBS_COLLECTION_H

#include "jobs/dataset.h"
#include "jobs/wanted.h"

struct collection {
    const struct dataset *dataset; /* borrowed from the set */
    struct cache_epochs epochs;    /* of its tags, opened before the snapshot */
    bool due;                      /* to be computed */
};

/* Those of one user. Zeroed is fine; release is repeatable. */
struct user_collections {
    const char *user_id; /* borrowed */
    size_t n;
    struct collection *list;
};

/* All that the set has for a user, or, with `wanted`, those of them that stand in it; all due. Not those that live shorter than
 * min_ttl_s. */
enum status user_collections_choose(struct user_collections *c, const struct dataset_set *set, const char *user_id,
                                    const struct wanted *wanted, int64_t min_ttl_s, struct err *err) MUST_CHECK;
void user_collections_release(struct user_collections *c);
/* Before the snapshot. One or two round trips for each. */
enum status user_collections_open(struct user_collections *c, struct cache *cache, struct redis *redis,
                                  struct err *err) MUST_CHECK;
/* What is still valid, for valid_for_s and for DOCUMENT_RENEW_PERCENT of its TTL, is no longer due. One round trip. */
enum status user_collections_judge(struct user_collections *c, struct cache *cache, struct redis *redis,
                                   int64_t valid_for_s, struct err *err) MUST_CHECK;
size_t user_collections_count_due(const struct user_collections *c);

/* Whether the dataset has such a list. */
bool collection_is_of_user(const struct dataset *dataset);
/* Appends the whole Redis key of a dataset's collection. */
void collection_append_key(const struct cache *cache, const struct dataset *dataset, const char *user_id,
                           struct buf *key);
/* Runs the statement with limit=all; as dataset_compute(). */
enum status collection_compute(struct db *db, const struct dataset *dataset, const char *user_id, struct buf *out,
                               struct cache_body *ret_body, struct err *err) MUST_CHECK;
/* Whether a reader of this value is to ask for a refresh: it is valid `now`, but little of its TTL is left. */
bool collection_asks_for_refresh(const struct dataset *dataset, const struct cache_header *header, struct instant now);
/* The names of the datasets with a user's collection, into an array with room for all of the set; gives their number. */
size_t collection_names(const struct dataset_set *set, const char **ret_names);
/* Whether any collection of the set, or with `wanted` of those that stand in it, depends on one of these tags. */
bool collections_depend_on(const struct dataset_set *set, const struct wanted *wanted, const struct cache_tags *tags);

#endif
