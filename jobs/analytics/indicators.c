#include "jobs/analytics/indicators.h"

#include <math.h>

#include "jobs/analytics/statistics.h"
#include "lib/base/money.h"

#define SESSIONS_A_YEAR 252

/* An average that begins as the plain mean of its first n values and then moves towards each by `weight`. */
struct average {
    size_t n, seen;
    double weight, value; /* until n are seen: their sum */
};

static struct average average_exponential(size_t n)
{
    return (struct average){.n = n, .weight = 2.0 / ((double)n + 1)};
}

static struct average average_wilder(size_t n)
{
    return (struct average){.n = n, .weight = 1.0 / (double)n};
}

/* NAN until there are n. */
static double average_add(struct average *a, double x)
{
    a->seen++;
    if (a->seen <= a->n)
        a->value += x;
    if (a->seen == a->n)
        a->value /= (double)a->n;
    else if (a->seen > a->n)
        a->value += (x - a->value) * a->weight;
    return a->seen >= a->n ? a->value : NAN;
}

static double price(int64_t e8)
{
    return (double)e8 / MONEY_SCALE;
}

static double close_of(const struct bar *bar)
{
    return price(bar->close_e8);
}

/* --- means and bands ------------------------------------------------------------------------- */

static void compute_means(const struct bar *bars, size_t n, const struct indicator_periods *p,
                          struct indicator_row *rows)
{
    struct average ema = average_exponential(p->ema);
    wide_int sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += bars[i].close_e8;
        if (i >= p->sma)
            sum -= bars[i - p->sma].close_e8;
        rows[i].sma = i + 1 >= p->sma ? (double)sum / (double)p->sma / MONEY_SCALE : NAN;
        rows[i].ema = average_add(&ema, close_of(&bars[i]));
    }
}

/* Squared distances of the k closes up to bars[last] from their mean, in 10^-8. Each window anew: a running sum of squares would lose the small
 * deviations of large prices. */
static double window_squares(const struct bar *bars, size_t last, size_t k, double mean_e8)
{
    double squares = 0;

    for (size_t j = last + 1 - k; j <= last; j++) {
        double distance = (double)bars[j].close_e8 - mean_e8;
        squares += distance * distance;
    }
    return squares;
}

static void compute_bands(const struct bar *bars, size_t n, const struct indicator_periods *p,
                          struct indicator_row *rows)
{
    size_t k = p->bollinger;
    wide_int sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += bars[i].close_e8;
        if (i >= k)
            sum -= bars[i - k].close_e8;
        rows[i].bollinger_middle = rows[i].bollinger_upper = rows[i].bollinger_lower = NAN;
        if (i + 1 < k)
            continue;
        double mean_e8 = (double)sum / (double)k;
        double deviation_e8 = sqrt(window_squares(bars, i, k, mean_e8) / (double)k);
        rows[i].bollinger_middle = mean_e8 / MONEY_SCALE;
        rows[i].bollinger_upper = (mean_e8 + p->bollinger_width * deviation_e8) / MONEY_SCALE;
        rows[i].bollinger_lower = (mean_e8 - p->bollinger_width * deviation_e8) / MONEY_SCALE;
    }
}

/* --- momentum -------------------------------------------------------------------------------- */

static void compute_macd(const struct bar *bars, size_t n, const struct indicator_periods *p,
                         struct indicator_row *rows)
{
    struct average fast = average_exponential(p->macd_fast), slow = average_exponential(p->macd_slow),
                   signal = average_exponential(p->macd_signal);

    for (size_t i = 0; i < n; i++) {
        double of_fast = average_add(&fast, close_of(&bars[i])), of_slow = average_add(&slow, close_of(&bars[i]));
        rows[i].macd = of_fast - of_slow;
        rows[i].macd_signal = isnan(rows[i].macd) ? NAN : average_add(&signal, rows[i].macd);
        rows[i].macd_histogram = rows[i].macd - rows[i].macd_signal;
    }
}

static void compute_rsi(const struct bar *bars, size_t n, const struct indicator_periods *p, struct indicator_row *rows)
{
    struct average rises = average_wilder(p->rsi), falls = average_wilder(p->rsi);

    for (size_t i = 0; i < n; i++) {
        rows[i].rsi = NAN;
        if (i == 0)
            continue;
        double change = price(bars[i].close_e8 - bars[i - 1].close_e8);
        double rise = average_add(&rises, change > 0 ? change : 0),
               fall = average_add(&falls, change < 0 ? -change : 0);
        if (rise + fall > 0)
            rows[i].rsi = 100 * rise / (rise + fall);
    }
}

/* --- ranges ---------------------------------------------------------------------------------- */

static int64_t true_range_e8(const struct bar *bar, int64_t before_e8)
{
    int64_t top = bar->high_e8 > before_e8 ? bar->high_e8 : before_e8;
    int64_t bottom = bar->low_e8 < before_e8 ? bar->low_e8 : before_e8;

    return top - bottom;
}

static void compute_atr(const struct bar *bars, size_t n, const struct indicator_periods *p, struct indicator_row *rows)
{
    struct average range = average_wilder(p->atr);

    for (size_t i = 0; i < n; i++) {
        rows[i].atr = NAN;
        if (i > 0 && bars[i].has_range)
            rows[i].atr = average_add(&range, price(true_range_e8(&bars[i], bars[i - 1].close_e8)));
        else
            range = average_wilder(p->atr);
    }
}

/* From the last row backwards, so that each row's place can keep its return until nobody needs it any more. */
static void compute_volatility(const struct bar *bars, size_t n, const struct indicator_periods *p,
                               struct indicator_row *rows)
{
    size_t k = p->volatility;

    for (size_t i = 1; i < n; i++)
        rows[i].volatility = log(close_of(&bars[i]) / close_of(&bars[i - 1]));
    for (size_t i = n; i-- > 0;) {
        double sum = 0, squares = 0;
        for (size_t j = i; i >= k && j > i - k; j--)
            sum += rows[j].volatility;
        double mean = sum / (double)k;
        for (size_t j = i; i >= k && j > i - k; j--)
            squares += (rows[j].volatility - mean) * (rows[j].volatility - mean);
        rows[i].volatility = i >= k ? 100 * sample_deviation(squares, k) * sqrt(SESSIONS_A_YEAR) : NAN;
    }
}

void indicators_compute(const struct bar *bars, size_t n, const struct indicator_periods *p, struct indicator_row *rows)
{
    compute_means(bars, n, p, rows);
    compute_bands(bars, n, p, rows);
    compute_macd(bars, n, p, rows);
    compute_rsi(bars, n, p, rows);
    compute_atr(bars, n, p, rows);
    compute_volatility(bars, n, p, rows);
}
