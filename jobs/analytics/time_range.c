#include "jobs/analytics/time_range.h"

#include <string.h>

static const char *const names[] = {"today", "7d", "30d", "90d", "6m", "1y", "ytd", "all_time", "custom"};

const char *range_name_text(enum range_name name)
{
    return names[name];
}

enum status range_name_parse(const char *text, enum range_name *ret_name)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret_name = (enum range_name)i;
            return STATUS_OK;
        }
    }
    return STATUS_INVALID;
}

static struct date preset_start(enum range_name name, struct date today)
{
    switch (name) {
    case RANGE_7D: return date_add_days(today, -6);
    case RANGE_30D: return date_add_days(today, -29);
    case RANGE_90D: return date_add_days(today, -89);
    case RANGE_6M: return date_add_days(date_add_months(today, -6), 1);
    case RANGE_1Y: return date_add_days(date_add_months(today, -12), 1);
    case RANGE_YTD: return date_first_of_year(today);
    case RANGE_TODAY:
    case RANGE_ALL_TIME:
    case RANGE_CUSTOM: break;
    }
    return today;
}

struct time_range time_range_resolve(const struct range_request *request, struct date today)
{
    struct time_range range = {.name = request->name, .end = today};

    if (request->name == RANGE_CUSTOM) {
        range.has_start = request->has_start;
        range.start = request->start;
        if (request->has_end && request->end.days < today.days)
            range.end = request->end;
        return range;
    }
    range.has_start = request->name != RANGE_ALL_TIME;
    range.start = preset_start(request->name, today);
    return range;
}

/* Stretch by stretch of constant UTC offset, because a clock change can begin a day as well as local
 * midnight does, and can also put the clock back into a day that had ended. */
struct instant next_trading_day_begin(const struct account *account, struct instant as_of)
{
    struct date today = trading_day(account->zone, account->trading_day_start, as_of);
    struct instant t = as_of;

    for (;;) {
        struct timezone_span span = timezone_span_at(account->zone, t);
        int64_t offset_us = span.utc_offset_seconds * US_PER_SECOND;
        int64_t in_day_us =
            (t.us + offset_us - account->trading_day_start * INT64_C(3600) * US_PER_SECOND) % US_PER_DAY;
        int64_t boundary_us = t.us - in_day_us + (in_day_us < 0 ? 0 : US_PER_DAY);

        if (boundary_us < span.to.us)
            return (struct instant){boundary_us};
        t = span.to;
        if (trading_day(account->zone, account->trading_day_start, t).days != today.days)
            return t;
    }
}
