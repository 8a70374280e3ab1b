/* Indicators of one symbol's daily bars, by their authors' definitions:
 *
 *   SMA(n)         mean of the last n closes
 *   EMA(n)         close x a + previous x (1 - a), a = 2 / (n + 1); the first is the SMA of the first n closes
 *   RSI(n)         100 x G / (G + L): Wilder's averages of rises and falls from close to close. The first are plain means of the first
 *                  n changes, then (previous x (n - 1) + present) / n (J. W. Wilder, New Concepts in Technical Trading Systems, 1978)
 *   MACD           EMA(fast) - EMA(slow) (G. Appel); signal: its EMA, the first the mean of the first so many; histogram: their difference
 *   Bollinger      SMA(n) +- width x the population standard deviation of the same n closes (J. Bollinger, Bollinger on Bollinger Bands, 2001)
 *   ATR(n)         Wilder's average, as for RSI, of the true range: the largest of high - low, |high - previous close|, |low - previous
 *                  close|; the first bar, which has no bar before it, has none (Wilder 1978)
 *   volatility(n)  realised: sample standard deviation of the last n daily log returns x sqrt(252), in percent
 *
 * Bars are sessions, however many days lie between them. What has not enough bars behind it is NAN; so is an RSI without any
 * change. A bar without high or low has no true range, and ATR begins anew behind it. */
#ifndef PNLCACHE_JOBS_ANALYTICS_INDICATORS_H
#define PNLCACHE_JOBS_ANALYTICS_INDICATORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/calendar.h"

struct bar {
    struct date date;
    bool has_range;
    int64_t high_e8, low_e8; /* when has_range */
    int64_t close_e8;        /* positive */
};

/* Numbers of bars; 1 or more, of the deviations 2 or more. */
struct indicator_periods {
    size_t sma, ema, rsi, macd_fast, macd_slow, macd_signal, bollinger, atr, volatility;
    double bollinger_width;
};

/* Prices in money units; RSI 0 to 100; volatility in percent a year. */
struct indicator_row {
    double sma, ema, rsi, macd, macd_signal, macd_histogram, bollinger_middle, bollinger_upper, bollinger_lower, atr,
        volatility;
};

/* rows[i] is as of bars[i], which ascend by date. Time grows with n x the periods of the two deviations. */
void indicators_compute(const struct bar *bars, size_t n, const struct indicator_periods *periods,
                        struct indicator_row *rows);

#endif
