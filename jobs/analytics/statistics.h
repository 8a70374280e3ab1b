/* Small statistical pieces that several metrics share. */
#ifndef PNLCACHE_JOBS_ANALYTICS_STATISTICS_H
#define PNLCACHE_JOBS_ANALYTICS_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/money.h"

/* A sum of doubles that carries what each addition lost (Neumaier; the loss by Knuth's TwoSum, which needs no branch on
 * which of the two is larger, and is exact all the same). */
struct float_sum {
    double sum, lost;
};

static inline void float_sum_add(struct float_sum *s, double x)
{
    double sum = s->sum + x;
    double x_part = sum - s->sum;

    s->lost += (s->sum - (sum - x_part)) + (x - x_part);
    s->sum = sum;
}
static inline double float_sum_value(const struct float_sum *s)
{
    return s->sum + s->lost;
}
static inline void float_sum_merge(struct float_sum *into, const struct float_sum *other)
{
    float_sum_add(into, other->sum);
    into->lost += other->lost;
}

/* sqrt(squares / (n - 1)); NAN below two values. `squares`: summed squared distances from the mean. */
double sample_deviation(double squares, size_t n);

/* Central moments of x[0..n): mean, and the sums of the 2nd, 3rd and 4th powers of the distances from it.
 * Two passes. n > 0. */
struct central_moments {
    double mean, m2, m3, m4;
};
struct central_moments central_moments_of(const double *x, size_t n);

/* Sum of squared distances of v[0..n) from their mean, whose exact sum is known. */
double integer_squares(const int64_t *v, size_t n, wide_int sum);

/* (sum_a / n_a) - (sum_b / n_b) without cancellation; both counts positive. */
double mean_difference(wide_int sum_a, size_t n_a, wide_int sum_b, size_t n_b);

#endif
