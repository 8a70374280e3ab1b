/* The cached documents: which there are, their keys, tags, needs and TTLs. How each is built is in document_body.h. */
#ifndef PNLCACHE_JOBS_DOCUMENT_H
#define PNLCACHE_JOBS_DOCUMENT_H

#include "jobs/analytics/group.h"
#include "jobs/analytics/report.h"
#include "lib/base/settings.h"
#include "lib/store/cache.h"

enum section {
    SECTION_SUMMARY,
    SECTION_CORE,
    SECTION_RISK,
    SECTION_PERFORMANCE,
    SECTIONS_PRECOMPUTED, /* the ones above */
    SECTION_TIME_SERIES = SECTIONS_PRECOMPUTED,
    SECTION_GROUPED,
    SECTION_PLAYBOOKS, /* all of them */
    SECTION_PLAYBOOK,  /* one */
    SECTION_CALENDAR,
    SECTION_POSITIONS,
    SECTION_TRADE,
    SECTION_SYMBOL,
    SECTION_TEXT, /* one of the summary's decimal strings */
    SECTION_COMPREHENSIVE,
    SECTIONS
};

struct document_request {
    enum section section;
    enum asset asset;           /* summary, trade: stocks or options only; playbooks, symbol: all only */
    struct range_request range; /* all_time for calendar, positions and trade */
    /* A bound of a custom range that was given as an instant: it means that instant's trading day, which depends on the
     * account; range.start or range.end is not read then. */
    bool start_is_instant, end_is_instant;
    struct instant start_at, end_at;
    unsigned dimensions;      /* a set of group.h; grouped: not empty; comprehensive: empty for no groups */
    bool without_time_series; /* comprehensive: its lists and maps are empty */
    int64_t playbook_id;      /* of SECTION_PLAYBOOK */
    bool has_month;           /* calendar; without: the month of today */
    struct date month;        /* the first day of it */
    int64_t trade_id;
    size_t text;        /* of SECTION_TEXT, as report_text_path() counts */
    const char *symbol; /* of SECTION_SYMBOL, in any case; borrowed for as long as the request is used */
    bool null_as_zero;  /* metrics.md 4.4 */
    bool has_risk_free_rate;
    int64_t risk_free_rate_e8; /* instead of the account's */
};

/* Appends the whole Redis key (prefix included) of design section 3. */
void document_append_key(const struct cache *cache, const struct document_request *request, const char *user_id,
                         struct buf *key);
/* What a document takes besides its user's trades; a set. */
enum {
    DOCUMENT_NEEDS_PLAYBOOKS = 1,
    DOCUMENT_NEEDS_TAGS = 2,
    DOCUMENT_NEEDS_PRICES = 4,
    DOCUMENT_TAG_SETS = 8, /* combinations of the ones above, each a source with a tag of its own */
    DOCUMENT_NEEDS_RULES = 8,
    DOCUMENT_NEEDS_DETAILS = 16, /* of trades (journal.h) */
};
unsigned document_needs(const struct document_request *request);

/* What the document depends on; static. */
const struct cache_tags *document_tags(const struct document_request *request);
/* All tags of documents with these needs, or fewer; static. Those of 0 are all that a precomputed document depends on. */
const struct cache_tags *document_tags_of_needs(unsigned needs);
bool document_depends_on(const struct document_request *request, const struct cache_tags *tags);
/* The epochs of the document's own tags, picked from `all`, which are those of the tags `known`. */
struct cache_epochs document_pick_epochs(const struct document_request *request, const struct cache_tags *known,
                                         const struct cache_epochs *all);
/* Whether it lists open positions, if there are any. */
bool document_may_hold_positions(const struct document_request *request);
/* `holds_positions`: whether there are any, as the body says (struct cache_body); they age with the prices. */
int64_t document_ttl_s(const struct settings *settings, const struct document_request *request, bool holds_positions);

/* Readers ask for a refresh in the last tenth of a value's time; the job renews all that is in its last fifth, because what
 * was stored together expires within a tenth of each other and shall not ask once each. */
enum { DOCUMENT_ASK_PERCENT = 10, DOCUMENT_RENEW_PERCENT = 20 };
/* Whether a reader of this value is to ask: it is valid `now`, but has little of its TTL left, and computing it again would
 * give it more, because it does not end with what it says (valid_until). */
bool document_asks_for_refresh(const struct cache_header *header, struct instant now);

/* The precomputed set of design section 3, in a fixed order: all documents of one asset are adjacent, and
 * what a client asks for first comes first within them. */
size_t document_precomputed_count(void);
struct document_request document_precomputed(size_t i);
/* Whether it is one of them. */
bool document_is_precomputed(const struct document_request *request);
/* Which one it is; false: it is none. */
bool document_precomputed_index(const struct document_request *request, size_t *ret_index);

#endif
