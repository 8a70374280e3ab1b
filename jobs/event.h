/* ONE table: event type -> tags (api.md 7). The webhook handler, the outbox and the triggers' tag names
 * all mean the same by it. */
#ifndef PNLCACHE_JOBS_EVENT_H
#define PNLCACHE_JOBS_EVENT_H

#include "lib/store/cache.h"

enum event_assets { EVENT_STOCKS = 1, EVENT_OPTIONS = 2, EVENT_BOTH = 3 };

struct event_type {
    const char *name;   /* "trade.created" */
    bool by_asset;      /* the tags are those of data.asset (both when it is absent) */
    bool names_its_tag; /* "data.changed": the tag is data.tag, see event_tag_find() */
    bool erases;        /* "user.deleted": nothing of the user may stay, see jobs/erase.h */
    struct cache_tags tags;
};

/* NULL: unknown type. */
const struct event_type *event_type_find(const char *name);
/* The tags an event of that type invalidates; none for one that names its tag itself. `assets`: which
 * asset classes it names. */
void event_type_tags(const struct event_type *type, enum event_assets assets, struct cache_tags *ret_tags);
/* The tag with that name as the triggers write it ("stocks", "options", "settings", ...); false: unknown. */
bool event_tag_find(const char *name, struct cache_tag *ret_tag);
/* Every tag that is known, one after the other from 0; false: there are no more. */
bool event_tag_at(size_t i, struct cache_tag *ret_tag);

/* From now on event_tag_find() knows this tag, which a dataset names; thread-safe, for good: datasets that are gone may still
 * have values in Redis. STATUS_CONFLICT: it is known, and shared where this one is not, or the other way round. STATUS_LIMIT: no room. */
enum status event_tag_learn(const char *name, bool shared, struct err *err) MUST_CHECK;

/* --- one row of a tag ----------------------------------------------------------------------------- */

/* Answers about one row (a dataset with the tag `guides:$id`) depend on `guides` and on the part of its rows that the id falls into,
 * `guides.0` to `guides.63`; all other answers on `guides` and `guides.rows`. An event about the whole tag invalidates `guides`, one
 * about a row `guides.rows` and the row's part: there are few epochs however many rows, and a row takes 1/64 of the others along. */
#define EVENT_TAG_PARTS 64
#define EVENT_ROW_TAG_MAX (CACHE_TAG_MAX - 6) /* bytes of such a tag's name */

/* From now on the tag, which is known, has rows; thread-safe, for good. STATUS_LIMIT: no room, or the name is too long. */
enum status event_tag_learn_rows(const char *name, struct err *err) MUST_CHECK;
/* The tag of all other answers, `guides.rows`; false: the tag has no rows that are told apart. */
bool event_tag_rows(const char *name, struct cache_tag *ret_tag);
/* The row's part. Spellings of one id (letters in any case, plus and zeros in front of a whole number) have one part. False: as above. */
bool event_tag_part(const char *name, const char *id, struct cache_tag *ret_tag);
/* The whole tag of such a tag's name: `guides` of `guides.17`; any other name is its own. */
const char *event_tag_whole(const char *name);

/* Stands in the outbox for "user.deleted". It is no tag of rows: event_tag_find() does not know it. */
#define EVENT_ERASE_TAG "erase"
/* Everything a user's documents can depend on; static. */
const struct cache_tags *event_user_tags(void);

bool event_tags_hold(const struct cache_tags *tags, const char *name);
/* Adds what is new. False: there is no room for all of it, and nothing was added. */
bool event_tags_add(struct cache_tags *to, const struct cache_tags *from);

#endif
