#include "jobs/analytics/account.h"

enum status account_init_default(struct account *ret_account, struct err *err)
{
    const struct timezone *zone;
    enum status status = timezone_open("America/New_York", &zone, err);

    if (status != STATUS_OK)
        return status;
    *ret_account = (struct account){.zone = zone, .risk_free_rate_e8 = 2000000, .currency = "USD"};
    return STATUS_OK;
}

void day_clock_init(struct day_clock *clock, const struct account *account)
{
    *clock = (struct day_clock){.account = account};
}

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t local_seconds(struct day_clock *clock, struct instant t)
{
    if (t.us < clock->span.from.us || t.us >= clock->span.to.us)
        clock->span = timezone_span_at(clock->account->zone, t);
    return floor_divide(t.us, US_PER_SECOND) + clock->span.utc_offset_seconds;
}

int day_clock_hour(struct day_clock *clock, struct instant t)
{
    int64_t hours = floor_divide(local_seconds(clock, t), 3600);

    return (int)(hours - 24 * floor_divide(hours, 24));
}

struct date day_clock_day(struct day_clock *clock, struct instant t)
{
    int start = clock->account->trading_day_start;
    int64_t seconds = local_seconds(clock, t), day = floor_divide(seconds, 86400);
    int hour;

    hour = (int)((seconds - day * 86400) / 3600);
    if (start >= 12)
        day += hour >= start;
    else
        day -= hour < start;
    return (struct date){(int32_t)day};
}
