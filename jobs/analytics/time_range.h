/* Ranges of trading days (metrics.md 3). */
#ifndef PNLCACHE_JOBS_ANALYTICS_TIME_RANGE_H
#define PNLCACHE_JOBS_ANALYTICS_TIME_RANGE_H

#include "jobs/analytics/account.h"

enum range_name {
    RANGE_TODAY,
    RANGE_7D,
    RANGE_30D,
    RANGE_90D,
    RANGE_6M,
    RANGE_1Y,
    RANGE_YTD,
    RANGE_ALL_TIME,
    RANGE_PRESETS, /* the eight above are precomputed */
    RANGE_CUSTOM = RANGE_PRESETS
};

/* What a caller asked for, before "today" is known. */
struct range_request {
    enum range_name name;
    bool has_start, has_end; /* custom only */
    struct date start, end;
};

/* An inclusive interval of trading days. */
struct time_range {
    enum range_name name;
    bool has_start; /* false: unbounded */
    struct date start, end;
};

const char *range_name_text(enum range_name name); /* "today", "7d", ... "custom" */
/* Exact names of metrics.md 3, custom included. STATUS_INVALID otherwise. */
enum status range_name_parse(const char *text, enum range_name *ret_name) MUST_CHECK;

/* `today` is T, the trading day of as_of. A custom end is cut at T; a custom range that lies wholly
 * in the future is valid and empty (start after end). */
struct time_range time_range_resolve(const struct range_request *request, struct date today);

static inline bool time_range_has(const struct time_range *range, struct date day)
{
    return (!range->has_start || day.days >= range->start.days) && day.days <= range->end.days;
}

/* The first instant after as_of that has another trading day. */
struct instant next_trading_day_begin(const struct account *account, struct instant as_of);

#endif
