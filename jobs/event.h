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
    struct cache_tags tags;
};

/* NULL: unknown type. */
const struct event_type *event_type_find(const char *name);
/* The tags an event of that type invalidates; none for one that names its tag itself. `assets`: which
 * asset classes it names. */
void event_type_tags(const struct event_type *type, enum event_assets assets, struct cache_tags *ret_tags);
/* The tag with that name as the triggers write it ("stocks", "options", "settings", ...); false: unknown. */
bool event_tag_find(const char *name, struct cache_tag *ret_tag);

#endif
