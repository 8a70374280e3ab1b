/* UTC to local time for IANA zones, read from the system's TZif files (RFC 8536) by ourselves,
 * because localtime_r() knows one zone per process. Only UTC -> local is needed to place a trade,
 * and the UTC instant at which a local day begins to print a range, so gaps and repeats of local
 * time never make a trade's day ambiguous. */
#ifndef PNLCACHE_BASE_TIMEZONE_H
#define PNLCACHE_BASE_TIMEZONE_H

#include "lib/base/calendar.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

struct timezone; /* immutable once opened, shared by threads */

/* Finds an opened zone or reads it (under TZDIR, default /usr/share/zoneinfo). Zones stay in a
 * process-wide table until exit, so the pointer is valid for ever. Refuses (STATUS_INVALID) names
 * that are not plain IANA names ("..", leading '/', odd bytes); STATUS_NOT_FOUND: no such file. */
enum status timezone_open(const char *name, const struct timezone **ret_zone, struct err *err) MUST_CHECK;
const char *timezone_name(const struct timezone *zone);

struct local_time {
    struct date date;
    int hour, minute, second;
    int32_t utc_offset_seconds;
};

struct local_time timezone_to_local(const struct timezone *zone, struct instant t);

/* A half-open stretch [from, to) with one offset, for hot loops that convert ascending instants. */
struct timezone_span {
    struct instant from, to;
    int32_t utc_offset_seconds;
};
struct timezone_span timezone_span_at(const struct timezone *zone, struct instant t);

/* metrics.md section 2: the trading day of an instant; trading_day_start is an hour 0..23. */
struct date trading_day(const struct timezone *zone, int trading_day_start, struct instant t);
/* The first whole second whose trading day is `day`, or, when clock changes leave the day empty,
 * the first of the next day that has one. */
struct instant trading_day_begin(const struct timezone *zone, int trading_day_start, struct date day);

#endif
