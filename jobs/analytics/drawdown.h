/* Drawdown of a closed-trade equity curve (metrics.md 6, 8): a state machine fed one equity point per
 * distinct exit instant.
 *
 *   state        point >= peak                       point < peak
 *   at the peak  the peak moves up to the point      a spell under water begins
 *   under water  the spell ends, recovered           the spell's trough may move down
 */
#ifndef PNLCACHE_JOBS_ANALYTICS_DRAWDOWN_H
#define PNLCACHE_JOBS_ANALYTICS_DRAWDOWN_H

#include <stdbool.h>

#include "lib/base/calendar.h"
#include "lib/base/money.h"

struct drawdown {
    wide_int peak_e8, value_e8; /* cumulative P&L from the account's first trade on */
    struct date peak_day;       /* of the last point that stood at the peak */
    bool started, under_water;
    wide_int trough_e8; /* of the present spell */
    struct date trough_day;
    /* of the spells that ended */
    wide_int deepest_e8;
    struct date deepest_peak_day, deepest_trough_day, recovery_day;
    bool recovered;
    wide_int steepest_e8, steepest_peak_e8; /* largest (peak - value) / (base + peak) */
    int longest_days;
    wide_int base_e8; /* account equity before its first trade; > 0 to have percentages */
};

/* A curve that stands at `start_e8` before its first point. */
void drawdown_begin(struct drawdown *d, wide_int start_e8, wide_int base_e8);
void drawdown_step_slow(struct drawdown *d, wide_int value_e8, struct date day);
/* Most points of a curve lie inside a spell. */
static inline void drawdown_step(struct drawdown *d, wide_int value_e8, struct date day)
{
    if (d->under_water && value_e8 < d->peak_e8 && value_e8 >= d->trough_e8)
        d->value_e8 = value_e8;
    else
        drawdown_step_slow(d, value_e8, day);
}
/* After the last point: closes the present spell without recovery at `end`. */
void drawdown_finish(struct drawdown *d, struct date end);

/* Largest fraction of the peak lost within one calendar year; the peak starts at the year's opening
 * equity (for the Sterling ratio). */
struct year_loss {
    double peak, trough, largest;
};
void year_loss_begin(struct year_loss *y, double equity);
static inline void year_loss_step(struct year_loss *y, double equity)
{
    if (equity >= y->peak) {
        y->peak = y->trough = equity;
    } else if (equity < y->trough) {
        double loss = (y->peak - equity) / y->peak;

        y->trough = equity;
        if (loss > y->largest)
            y->largest = loss;
    }
}

#endif
