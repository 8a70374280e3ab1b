#include "jobs/analytics/moments.h"

#include <math.h>

void integer_moments_of(const int64_t *v, size_t n, struct integer_moments *ret_moments)
{
    struct integer_moments m = {.n = n};

    for (size_t i = 0; i < n; i++)
        m.sum += v[i];
    m.squares = integer_squares(v, n, m.sum);
    *ret_moments = m;
}

void integer_moments_merge(struct integer_moments *into, const struct integer_moments *later)
{
    double apart;

    if (into->n == 0 || later->n == 0) {
        if (into->n == 0)
            *into = *later;
        return;
    }
    apart = mean_difference(into->sum, into->n, later->sum, later->n);
    into->squares +=
        later->squares + apart * apart * ((double)into->n * (double)later->n / (double)(into->n + later->n));
    into->sum += later->sum;
    into->n += later->n;
}

void float_moments_of(const double *v, size_t n, struct float_moments *ret_moments)
{
    struct float_moments m = {.n = n};
    double rest = 0, mean;

    if (n != 0) {
        m.least = m.most = v[0];
        for (size_t i = 0; i < n; i++) {
            float_sum_add(&m.sum, v[i]);
            m.least = v[i] < m.least ? v[i] : m.least;
            m.most = v[i] > m.most ? v[i] : m.most;
        }
        mean = float_moments_mean(&m);
        for (size_t i = 0; i < n; i++) {
            double d = v[i] - mean;

            rest += d;
            m.squares += d * d;
        }
        m.squares -= rest * rest / (double)n;
    }
    *ret_moments = m;
}

void float_moments_merge(struct float_moments *into, const struct float_moments *later)
{
    double apart, n_a = (double)into->n, n_b = (double)later->n;

    if (into->n == 0 || later->n == 0) {
        if (into->n == 0)
            *into = *later;
        return;
    }
    apart = float_moments_mean(later) - float_moments_mean(into);
    into->squares += later->squares + apart * apart * (n_a * n_b / (n_a + n_b));
    float_sum_merge(&into->sum, &later->sum);
    into->least = fmin(into->least, later->least);
    into->most = fmax(into->most, later->most);
    into->n += later->n;
}

double float_moments_mean(const struct float_moments *m)
{
    return m->n == 0 ? NAN : float_sum_value(&m->sum) / (double)m->n;
}

int float_moments_lack_variance(const struct float_moments *m)
{
    return m->most - m->least <= 1e-12 * fmax(fabs(m->least), fabs(m->most));
}

/* --- k-ratio --------------------------------------------------------------------------------------- */

void curve_of(const int64_t *v, size_t n, wide_int sum, struct curve *ret_curve)
{
    struct curve c = {.n = n, .sum = sum};
    int64_t middle;
    double fraction, d = 0;

    *ret_curve = c;
    if (n == 0)
        return;
    /* v - mean as an exact integer distance less the small rest. */
    middle = (int64_t)wide_divide_round(c.sum, (wide_int)n);
    fraction = (double)(c.sum - (wide_int)middle * (wide_int)n) / (double)n;
    for (size_t i = 0; i < n; i++) {
        d += (double)(v[i] - middle) - fraction;
        c.d += d;
        c.jd += (double)(i + 1) * d;
        c.dd += d * d;
    }
    *ret_curve = c;
}

/* Running sums of g_i = c_i - c_1 - b (i - 1) over the joined curve, b = (c_N - c_1) / (N - 1): the line
 * through the first and the last point is taken off, so that a nearly straight curve leaves small
 * numbers. The residuals of the fit stay the same, the slope changes by b. */
struct joined {
    size_t n; /* values in all */
    wide_int sum;
    int64_t first;
    size_t before; /* values before the present stretch */
    wide_int sum_before;
    double g, ig, gg; /* i counted from the middle (N + 1) / 2 */
};

static void join(struct joined *all, const struct curve *c)
{
    double n = (double)c->n, steps = (double)(all->n - 1);
    wide_int rise = all->sum - all->first, run = (wide_int)all->n - 1;
    /* In the stretch g_j = a + slope j + d_j; numerators over N - 1 are exact. */
    double a = (double)((all->sum_before - all->first) * run - rise * ((wide_int)all->before - 1)) / steps;
    double slope = (double)(c->sum * run - rise * (wide_int)c->n) / (n * steps);
    double j = n * (n + 1) / 2, jj = j * (2 * n + 1) / 3;
    double offset = (double)all->before - ((double)all->n + 1) / 2;
    double g = n * a + slope * j + c->d;

    all->g += g;
    all->ig += offset * g + a * j + slope * jj + c->jd;
    all->gg += n * a * a + slope * slope * jj + c->dd + 2 * (a * slope * j + a * c->d + slope * c->jd);
    all->before += c->n;
    all->sum_before += c->sum;
}

double curve_k_ratio(const struct curve *stretches, size_t n_stretches, int64_t first)
{
    struct joined all = {.first = first};
    double n, sxx, sxy, syy, slope, residuals;

    for (size_t i = 0; i < n_stretches; i++) {
        all.n += stretches[i].n;
        all.sum += stretches[i].sum;
    }
    if (all.n < 3)
        return NAN;
    for (size_t i = 0; i < n_stretches; i++)
        if (stretches[i].n != 0)
            join(&all, &stretches[i]);
    n = (double)all.n;
    sxx = n * (n * n - 1) / 12;
    sxy = all.ig;
    syy = all.gg - all.g * all.g / n;
    slope = (double)(all.sum - all.first) / (n - 1) + sxy / sxx;
    residuals = syy - sxy * sxy / sxx;
    if (!(residuals > 0))
        return NAN;
    return slope / sqrt(residuals / (n - 2) / sxx);
}
