#include "jobs/analytics/drawdown.h"

void drawdown_begin(struct drawdown *d, wide_int start_e8, wide_int base_e8)
{
    *d = (struct drawdown){.peak_e8 = start_e8, .value_e8 = start_e8, .base_e8 = base_e8};
}

/* a/b < c/d for a, c >= 0 and b, d > 0 whose cross products may leave 128 bits: compares whole parts,
 * then the reciprocals of what is left (Euclid). */
static bool fraction_is_less(wide_int a, wide_int b, wide_int c, wide_int d)
{
    bool less = true;

    for (;;) {
        wide_int whole_ab = a / b, whole_cd = c / d;

        if (whole_ab != whole_cd)
            return (whole_ab < whole_cd) == less;
        a -= whole_ab * b;
        c -= whole_cd * d;
        if (a == 0 || c == 0)
            return less ? c != 0 : a != 0;
        /* a/b < c/d exactly when b/a > d/c. */
        wide_int old_a = a, old_c = c;
        a = b;
        b = old_a;
        c = d;
        d = old_c;
        less = !less;
    }
}

static void end_spell(struct drawdown *d, struct date day, bool recovered)
{
    wide_int depth = d->peak_e8 - d->trough_e8;
    int days = date_diff_days(day, d->peak_day);

    if (depth > d->deepest_e8) {
        d->deepest_e8 = depth;
        d->deepest_peak_day = d->peak_day;
        d->deepest_trough_day = d->trough_day;
        d->recovery_day = day;
        d->recovered = recovered;
    }
    if (days > d->longest_days)
        d->longest_days = days;
    if (d->base_e8 + d->peak_e8 > 0 &&
        (d->steepest_e8 == 0 ||
         fraction_is_less(d->steepest_e8, d->base_e8 + d->steepest_peak_e8, depth, d->base_e8 + d->peak_e8))) {
        d->steepest_e8 = depth;
        d->steepest_peak_e8 = d->peak_e8;
    }
}

void drawdown_step_slow(struct drawdown *d, wide_int value_e8, struct date day)
{
    if (!d->started)
        d->peak_day = day; /* the start is dated by the first point */
    d->started = true;
    d->value_e8 = value_e8;
    if (value_e8 >= d->peak_e8) {
        if (d->under_water)
            end_spell(d, day, true);
        d->under_water = false;
        d->peak_e8 = value_e8;
        d->peak_day = day;
    } else if (!d->under_water || value_e8 < d->trough_e8) {
        d->under_water = true;
        d->trough_e8 = value_e8;
        d->trough_day = day;
    }
}

void drawdown_finish(struct drawdown *d, struct date end)
{
    if (d->under_water)
        end_spell(d, end, false);
}

void year_loss_begin(struct year_loss *y, double equity)
{
    *y = (struct year_loss){.peak = equity, .trough = equity};
}
