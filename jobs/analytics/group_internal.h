/* What the group_* files share: the trades of one dimension on their way into groups. Nobody else includes this. */
#ifndef PNLCACHE_JOBS_ANALYTICS_GROUP_INTERNAL_H
#define PNLCACHE_JOBS_ANALYTICS_GROUP_INTERNAL_H

#include "jobs/analytics/account.h"
#include "jobs/analytics/group.h"
#include "jobs/analytics/symbol_table.h"

struct member {
    uint32_t key, trade; /* trade: index in the journal's closed */
};

struct grouping {
    const struct journal *journal;
    const struct annotations *annotations; /* NULL: none */
    enum asset asset;
    struct time_range range;
    struct day_clock clock;
    struct report *report;
    struct trade *trades; /* those of one group */
    size_t cap_trades;

    /* the present dimension */
    enum dimension dimension;
    const char *prefix; /* of its groups' keys in the answer; "": none */
    struct member *members;
    size_t n_members, cap_members;
    struct symbol_table names; /* of keys that have no id elsewhere */
    size_t n_keys;
    size_t *first, *end; /* by key: its trades in `sorted` */
    uint32_t *sorted;    /* indices in the journal, by key and canonical order */
    uint32_t *groups;    /* keys with a trade in the range, by name */
    size_t n_groups;
};

const char *group_type(enum dimension dimension); /* "Symbol" */
/* Fills g->members with the keys that the selection's trades have in the present dimension, in canonical order. */
enum status group_collect(struct grouping *g) MUST_CHECK;
/* All those keys are below. */
size_t group_count_keys(const struct grouping *g);
struct text_ref group_key_name(const struct grouping *g, uint32_t key);

#endif
