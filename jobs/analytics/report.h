/* The analytics of one journal: one pass over the trades computes every section for every requested
 * range; writers then print any section of any range as JSON (metrics.md 7-9, 16). */
#ifndef PNLCACHE_JOBS_ANALYTICS_REPORT_H
#define PNLCACHE_JOBS_ANALYTICS_REPORT_H

#include "jobs/analytics/journal.h"
#include "jobs/analytics/time_range.h"
#include "lib/json/json_writer.h"

#define REPORT_MAX_RANGES 9 /* the presets and one custom */

struct report; /* reusable: keeps its scratch memory between users */

enum status report_new(struct report **ret_report, struct err *err) MUST_CHECK;
void report_free(struct report **report);

/* Computes every section of `asset` for n ranges (1..REPORT_MAX_RANGES), which must all end on the same day.
 * The journal must outlive the report's use. A journal keeps its trades few enough and each amount small
 * enough that no sum or product can leave 128 bits. STATUS_NO_MEMORY. */
enum status report_compute(struct report *report, const struct journal *journal, enum asset asset,
                           const struct time_range *ranges, size_t n_ranges, struct err *err) MUST_CHECK;

/* Goes back to what the last report_compute() of this asset class left; it must have been of the same journal. */
void report_choose(struct report *report, enum asset asset);

/* Whether the reports of `asset` and of all trades say the same: there are no others, and no equity that only all trades
 * together earn returns on. */
bool report_is_of_all(const struct journal *journal, enum asset asset);

/* Computes the time series of one range of the last report_compute(): apart, because few answers have them. It stays
 * valid until the next report_compute(). STATUS_NO_MEMORY. */
enum status report_compute_time_series(struct report *report, size_t range, struct err *err) MUST_CHECK;

/* Each writes one JSON object for the i-th range of the last report_compute(), or of the chosen one. */
void report_write_core(const struct report *report, size_t range, struct json_writer *w);
void report_write_risk(const struct report *report, size_t range, struct json_writer *w);
void report_write_performance_metrics(const struct report *report, size_t range, struct json_writer *w);
void report_write_duration_performance(const struct report *report, size_t range, struct json_writer *w);
/* {"performance_metrics", "duration_performance"} (metrics.md 16.3). */
void report_write_performance(const struct report *report, size_t range, struct json_writer *w);
void report_write_options_metrics(const struct report *report, size_t range, struct json_writer *w);
/* Of the range given to the last report_compute_time_series() (metrics.md 11). */
void report_write_time_series(const struct report *report, struct json_writer *w);
/* The same with its lists and maps empty; needs no report_compute_time_series(). */
void report_write_time_series_scalars(const struct report *report, size_t range, struct json_writer *w);
/* /api/stocks/analytics, /api/options/analytics (metrics.md 16.4); the report must be of that asset. */
void report_write_summary(const struct report *report, size_t range, struct json_writer *w);
/* Each of the summary's decimal strings is also an answer of its own: {"total_pnl": "12.3400"}. */
#define REPORT_TEXTS 14
#define REPORT_TEXT_PNL 0
#define REPORT_TEXT_NET_PNL 13
const char *report_text_path(size_t text); /* the end of its path, "pnl", "profit-factor", ...; NULL after the last */
void report_write_text(const struct report *report, size_t range, size_t text, struct json_writer *w);
/* The `meta` object (metrics.md 16.1). computed_at and as_of are adjacent; *ret_volatile_start and
 * *ret_volatile_end receive the positions in w->out of the bytes from `"computed_at"` to the end of
 * as_of's value. */
void report_write_meta(const struct report *report, size_t range, const char *user_id, struct instant computed_at,
                       struct json_writer *w, size_t *ret_volatile_start, size_t *ret_volatile_end);

#endif
