#include "jobs/analytics/daily.h"

#include <stdlib.h>
#include <string.h>

void daily_release(struct daily *d)
{
    free(d->days);
    free(d->net);
    free(d->returns);
    free(d->equity_e8);
    ranking_release(&d->by_net);
    ranking_release(&d->by_return);
    *d = (struct daily){0};
}

enum status daily_begin(struct daily *d, struct date first, struct date end)
{
    size_t n = end.days < first.days ? 0 : (size_t)(end.days - first.days) + 1;

    if (n > d->cap_days) {
        free(d->days);
        d->cap_days = 0;
        d->days = malloc(n * sizeof *d->days);
        if (d->days == NULL)
            return STATUS_NO_MEMORY;
        d->cap_days = n;
    }
    d->first = first;
    d->end = end;
    d->n_days = n;
    d->n = 0;
    for (size_t i = 0; i < n; i++)
        d->days[i] = (struct day){.date = date_add_days(first, (int)i)};
    return STATUS_OK;
}

/* Keeps weekdays that are no holiday, and days with exits. */
static size_t compact(struct daily *d, const struct account *account)
{
    size_t kept = 0, holiday = 0;
    int weekday = d->n_days == 0 ? 0 : date_weekday(d->first);

    for (size_t i = 0; i < d->n_days; i++) {
        const struct day *day = &d->days[i];
        bool idle;

        while (holiday < account->n_holidays && account->holidays[holiday].days < day->date.days)
            holiday++;
        idle = weekday == 0 || weekday == 6 ||
               (holiday < account->n_holidays && account->holidays[holiday].days == day->date.days);
        if (!idle || day->n != 0)
            d->days[kept++] = *day;
        weekday = weekday == 6 ? 0 : weekday + 1;
    }
    return kept;
}

static enum status reserve(struct daily *d, size_t n)
{
    if (d->cap != 0 && n <= d->cap)
        return STATUS_OK;
    n = n == 0 ? 1 : n; /* there is always a column to point into */
    free(d->net);
    free(d->returns);
    free(d->equity_e8);
    d->cap = 0;
    d->net = malloc(n * sizeof *d->net);
    d->returns = malloc(n * sizeof *d->returns);
    d->equity_e8 = malloc(n * sizeof *d->equity_e8);
    if (d->net == NULL || d->returns == NULL || d->equity_e8 == NULL)
        return STATUS_NO_MEMORY;
    d->cap = n;
    return STATUS_OK;
}

static void compute_returns(struct daily *d, wide_int equity_e8)
{
    d->n_without_equity = 0;
    for (size_t i = 0; i < d->n; i++) {
        d->equity_e8[i] = equity_e8;
        d->returns[i] = equity_e8 > 0 ? d->net[i] / wide_to_double(equity_e8) : 0;
        if (equity_e8 <= 0)
            d->n_without_equity = i + 1;
        equity_e8 += d->days[i].net_e8;
    }
}

static bool earns_less(const void *context, uint32_t a, uint32_t b)
{
    const struct daily *d = context;

    return d->days[a].net_e8 < d->days[b].net_e8;
}

enum status daily_observe(struct daily *d, const struct account *account, const wide_int *opening_e8)
{
    const struct ranking_order exact = {earns_less, d};
    enum status status;

    d->n = compact(d, account);
    status = reserve(d, d->n);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < d->n; i++)
        d->net[i] = wide_to_double(d->days[i].net_e8);
    status = ranking_sort_doubles(&d->by_net, d->net, d->n);
    if (status != STATUS_OK)
        return status;
    ranking_settle(&d->by_net, 0, &exact); /* sums beyond 2^53 may share a key */
    d->has_equity = opening_e8 != NULL;
    if (!d->has_equity)
        return STATUS_OK;
    compute_returns(d, *opening_e8);
    return ranking_sort_doubles(&d->by_return, d->returns, d->n);
}

size_t daily_from(const struct daily *d, struct date start)
{
    size_t low = 0, high = d->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (d->days[middle].date.days < start.days)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
