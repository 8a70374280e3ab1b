/* Deviations of per-trade values and the k-ratio (metrics.md 8, 9), from columns of values in canonical
 * order: each segment between two range starts is reduced once about its own mean, ranges merge their
 * segments. Differences of means are taken exactly, or from compensated sums, so that what a range gives does not depend on
 * the ranges it was computed with: the same snapshot has to give the same bytes. */
#ifndef PNLCACHE_JOBS_ANALYTICS_MOMENTS_H
#define PNLCACHE_JOBS_ANALYTICS_MOMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "jobs/analytics/statistics.h"
#include "lib/base/money.h"

/* Count, sum and squared distances from the mean of whole numbers. */
struct integer_moments {
    size_t n;
    wide_int sum;
    double squares;
};
void integer_moments_of(const int64_t *v, size_t n, struct integer_moments *ret_moments);
void integer_moments_merge(struct integer_moments *into, const struct integer_moments *later);

/* The same of doubles, with their extremes. */
struct float_moments {
    size_t n;
    struct float_sum sum;
    double squares, least, most;
};
void float_moments_of(const double *v, size_t n, struct float_moments *ret_moments);
void float_moments_merge(struct float_moments *into, const struct float_moments *later);
double float_moments_mean(const struct float_moments *m); /* NAN of nothing */
/* metrics.md 6: equal within 1e-12 of the largest size. */
int float_moments_lack_variance(const struct float_moments *m);

/* A stretch of a cumulative P&L curve, of n values with a known sum: with c_j the sum of its first j values and m their mean,
 * the sums of d_j = c_j - j m, of j d_j and of d_j^2, j = 1..n. */
struct curve {
    size_t n;
    wide_int sum;
    double d, jd, dd;
};
void curve_of(const int64_t *v, size_t n, wide_int sum, struct curve *ret_curve);
/* The least squares slope of the curve that joins `n` stretches over its standard error; NAN below 3
 * values or when the error is 0. first: the first value of the joined curve. */
double curve_k_ratio(const struct curve *stretches, size_t n, int64_t first);

#endif
