/* A user's account settings (metrics.md 1.3), as one computation sees them. */
#ifndef PNLCACHE_JOBS_ANALYTICS_ACCOUNT_H
#define PNLCACHE_JOBS_ANALYTICS_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/calendar.h"
#include "lib/base/timezone.h"

struct account {
    const struct timezone *zone;
    int trading_day_start;   /* hour 0..23 */
    bool week_starts_monday; /* calendar grid only */
    bool has_starting_equity;
    int64_t starting_equity_e8;
    int64_t risk_free_rate_e8;   /* annual, fraction x 10^8 */
    char currency[4];            /* ISO 4217 */
    const struct date *holidays; /* ascending; borrowed for the life of the computation */
    size_t n_holidays;
};

/* The defaults of metrics.md 1.3. STATUS_NOT_FOUND: the time zone database is missing. */
enum status account_init_default(struct account *ret_account, struct err *err) MUST_CHECK;

/* Whether returns on equity can be computed (metrics.md 6). */
static inline bool account_has_equity(const struct account *account)
{
    return account->has_starting_equity && account->starting_equity_e8 > 0;
}

/* Trading days of many instants that lie close together: remembers the stretch of constant UTC offset
 * of the last one, so that most conversions are a division. */
struct day_clock {
    const struct account *account; /* borrowed */
    struct timezone_span span;     /* empty before the first use */
};
void day_clock_init(struct day_clock *clock, const struct account *account);
struct date day_clock_day(struct day_clock *clock, struct instant t);
/* The local clock hour, 0..23. */
int day_clock_hour(struct day_clock *clock, struct instant t);

#endif
