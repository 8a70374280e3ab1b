#include "jobs/analytics/statistics.h"

#include <math.h>

double sample_deviation(double squares, size_t n)
{
    return n < 2 ? NAN : sqrt(squares / (double)(n - 1));
}

struct central_moments central_moments_of(const double *x, size_t n)
{
    struct central_moments m = {.mean = 0};
    struct float_sum sum = {0, 0};
    double rest = 0;

    for (size_t i = 0; i < n; i++)
        float_sum_add(&sum, x[i]);
    m.mean = float_sum_value(&sum) / (double)n;
    for (size_t i = 0; i < n; i++) {
        double d = x[i] - m.mean;

        rest += d;
        m.m2 += d * d;
        m.m3 += d * d * d;
        m.m4 += d * d * d * d;
    }
    m.m2 -= rest * rest / (double)n; /* what rounding the mean cost */
    return m;
}

/* Distances from the mean's nearest integer are exact; the correction for its fraction is small. */
double integer_squares(const int64_t *v, size_t n, wide_int sum)
{
    int64_t middle;
    double squares = 0, rest;

    if (n == 0)
        return 0;
    middle = (int64_t)wide_divide_round(sum, (wide_int)n);
    for (size_t i = 0; i < n; i++) {
        double d = (double)(v[i] - middle);

        squares += d * d;
    }
    rest = (double)(sum - (wide_int)middle * (wide_int)n);
    return squares - rest * rest / (double)n;
}

double mean_difference(wide_int sum_a, size_t n_a, wide_int sum_b, size_t n_b)
{
    return (double)(sum_a * (wide_int)n_b - sum_b * (wide_int)n_a) / ((double)n_a * (double)n_b);
}
