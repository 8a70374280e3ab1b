/* How many keys of each family there are in Redis: counted by the walk of the job `prune`, in the hash `stats:keys`, so that
 * nobody has to walk to tell. A family is what stands before a key's first colon. */
#ifndef PNLCACHE_JOBS_KEY_CENSUS_H
#define PNLCACHE_JOBS_KEY_CENSUS_H

#include "lib/store/cache.h"

#define KEY_FAMILIES_MAX 32
#define KEY_FAMILY_SIZE 24

struct key_census {
    struct instant counted_at; /* 0: never */
    size_t n;
    struct {
        char name[KEY_FAMILY_SIZE];
        int64_t keys;
    } families[KEY_FAMILIES_MAX]; /* one more is counted as "other", in the last */
};

/* Counts a key; `name` stands behind KEY_PREFIX. */
void key_census_count(struct key_census *census, const char *name, size_t len);
/* Adds the counts of a part of a walk to those of the parts before; `begins`: it is the first. When the walk is over what was counted
 * becomes the census of now. */
enum status key_census_add(const struct cache *cache, struct redis *redis, const struct key_census *part, bool begins,
                           bool is_over, struct err *err) MUST_CHECK;
/* The last whole census; an empty one when there is none. */
enum status key_census_read(const struct cache *cache, struct redis *redis, struct key_census *ret_census,
                            struct err *err) MUST_CHECK;

#endif
