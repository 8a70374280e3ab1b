/* What one user wrote about trades: playbooks with their rules' answers, tags, missed opportunities
 * (metrics.md 1.3). Only groups and playbook documents need it; a journal is complete without. */
#ifndef PNLCACHE_JOBS_ANALYTICS_ANNOTATIONS_H
#define PNLCACHE_JOBS_ANALYTICS_ANNOTATIONS_H

#include "jobs/analytics/symbol_table.h"

struct playbook {
    int64_t id;
    uint32_t name; /* id in annotations' names; may be empty */
    int64_t n_rules;
};

/* One trade and one thing it is linked to. */
struct trade_link {
    int64_t trade_id;
    uint32_t target; /* index in playbooks; of a tag: its name */
    bool option;
    int64_t n_recorded, n_followed; /* playbooks: rules answered for the trade, and of these the followed ones */
};

struct trade_links {
    struct trade_link *links; /* by (stock before option, trade_id) */
    size_t n, cap;
    bool unsorted;
};

struct missed_trade {
    struct instant opportunity;
    uint32_t playbook; /* index in playbooks */
};

struct annotations {
    struct symbol_table names;  /* exact, trimmed */
    struct playbook *playbooks; /* ascending by id */
    size_t n_playbooks, cap_playbooks;
    struct trade_links playbook_links, tag_links;
    struct missed_trade *missed;
    size_t n_missed, cap_missed;
};

void annotations_init(struct annotations *a);
void annotations_release(struct annotations *a);

/* Playbooks come first, ascending by id; what belongs to a playbook that did not come is ignored. The rest comes in
 * any order, then annotations_finish(). Each: STATUS_NO_MEMORY. */
enum status annotations_add_playbook(struct annotations *a, int64_t id, struct text_ref name,
                                     int64_t n_rules) MUST_CHECK;
/* `link` but for its target. */
enum status annotations_add_playbook_link(struct annotations *a, const struct trade_link *link,
                                          int64_t playbook_id) MUST_CHECK;
/* An empty name is no tag. */
enum status annotations_add_tag(struct annotations *a, bool option, int64_t trade_id, struct text_ref name) MUST_CHECK;
enum status annotations_add_missed(struct annotations *a, int64_t playbook_id, struct instant opportunity) MUST_CHECK;
void annotations_finish(struct annotations *a);

/* The playbook's index; n_playbooks when there is none of this id. */
size_t annotations_find_playbook(const struct annotations *a, int64_t id);
/* The links of a trade: *ret_links points to the first of as many as are returned. */
size_t trade_links_of(const struct trade_links *links, const struct trade *t, const struct trade_link **ret_links);

#endif
