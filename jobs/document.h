/* The cached documents: which there are, their keys, tags and TTLs, and how each is built. The
 * responder (on a miss) and the jobs (ahead of time) both come here, so that they cannot disagree. */
#ifndef PNLCACHE_JOBS_DOCUMENT_H
#define PNLCACHE_JOBS_DOCUMENT_H

#include "jobs/analytics/group.h"
#include "jobs/analytics/report.h"
#include "lib/base/settings.h"
#include "lib/store/cache.h"
#include "lib/store/db.h"

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
/* What the document depends on; static. */
const struct cache_tags *document_tags(const struct document_request *request);
/* All tags any precomputed document depends on; static. What a computation of all of them opens epochs for. */
const struct cache_tags *document_all_tags(void);
/* The epochs of a precomputed document's own tags, picked from those of document_all_tags(). */
struct cache_epochs document_pick_epochs(const struct document_request *request, const struct cache_epochs *all);
int64_t document_ttl_s(const struct settings *settings, const struct document_request *request);

/* The precomputed set of design section 3, in a fixed order: all documents of one asset are adjacent, and
 * what a client asks for first comes first within them. */
size_t document_precomputed_count(void);
struct document_request document_precomputed(size_t i);

/* Writes the body (envelope, data, meta) of one precomputed document of a computed report into `out` (appended)
 * and fills *ret_body but for its cost; its bytes point into `out` until that changes. `journal` is
 * the one the report was computed from. */
enum status document_write(const struct report *report, const struct journal *journal, size_t range,
                           const struct document_request *request, const char *user_id, struct instant computed_at,
                           struct buf *out, struct cache_body *ret_body, struct err *err) MUST_CHECK;

/* The whole read-through of one document: snapshot, read, compute, write. The epochs must have been
 * opened before. *ret_body's bytes point into `out`. STATUS_INVALID: the user's settings cannot be used;
 * STATUS_NOT_FOUND: the request names something that is not there, *err says what. */
enum status document_compute(struct db *db, const struct document_request *request, const char *user_id,
                             struct buf *out, struct cache_body *ret_body, struct err *err) MUST_CHECK;

#endif
