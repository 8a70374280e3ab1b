/* Sorting: least-significant-digit radix sort, a byte at a time, of the leading bytes only, as many as tell most values
 * apart; what they leave out of order is a step or two from its place, which insertion mends. Values that crowd together
 * show by the number of steps, and are then sorted by every byte. (Of a thousand doubles, 3 passes instead of 8.) */
#include "jobs/analytics/ranking.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FEW 48
#define DIGITS 8
#define STEPS_PER_VALUE 8

void ranking_release(struct ranking *r)
{
    free(r->keys);
    free(r->positions);
    free(r->spare_keys);
    free(r->spare_positions);
    *r = (struct ranking){0};
}

static enum status resize(struct ranking *r, size_t n)
{
    if (n > r->cap) {
        ranking_release(r);
        r->keys = malloc(n * sizeof *r->keys);
        r->positions = malloc(n * sizeof *r->positions);
        r->spare_keys = malloc(n * sizeof *r->spare_keys);
        r->spare_positions = malloc(n * sizeof *r->spare_positions);
        if (r->keys == NULL || r->positions == NULL || r->spare_keys == NULL || r->spare_positions == NULL) {
            ranking_release(r);
            return STATUS_NO_MEMORY;
        }
        r->cap = n;
    }
    r->n = n;
    return STATUS_OK;
}

#define SIGN (UINT64_C(1) << 63)

static uint64_t key_of_double(double v)
{
    uint64_t bits;

    v += 0.0; /* -0 orders as 0 */
    memcpy(&bits, &v, sizeof bits);
    return bits & SIGN ? ~bits : bits | SIGN;
}

static uint64_t key_of_integer(int64_t v)
{
    return (uint64_t)v ^ SIGN;
}

/* --- sorting --------------------------------------------------------------------------------------- */

/* False when it would take more than `steps`; what is done by then is in order, equal keys included. */
static bool insertion_sort(struct ranking *r, size_t steps)
{
    for (size_t i = 1; i < r->n; i++) {
        uint64_t key = r->keys[i];
        uint32_t position = r->positions[i];
        size_t j = i;

        for (; j > 0 && r->keys[j - 1] > key; j--) {
            r->keys[j] = r->keys[j - 1];
            r->positions[j] = r->positions[j - 1];
        }
        r->keys[j] = key;
        r->positions[j] = position;
        if (i - j > steps)
            return false;
        steps -= i - j;
    }
    return true;
}

static void swap_spare(struct ranking *r)
{
    uint64_t *keys = r->keys;
    uint32_t *positions = r->positions;

    r->keys = r->spare_keys;
    r->positions = r->spare_positions;
    r->spare_keys = keys;
    r->spare_positions = positions;
}

static void scatter(struct ranking *r, const uint32_t counts[256], uint64_t least, int shift)
{
    const uint64_t *keys = r->keys;
    const uint32_t *positions = r->positions;
    uint64_t *to_keys = r->spare_keys;
    uint32_t *to_positions = r->spare_positions, next[256], sum = 0;

    for (int b = 0; b < 256; b++) {
        next[b] = sum;
        sum += counts[b];
    }
    for (size_t i = 0, n = r->n; i < n; i++) {
        uint32_t to = next[((keys[i] - least) >> shift) & 0xff]++;

        to_keys[to] = keys[i];
        to_positions[to] = positions[i];
    }
    swap_spare(r);
}

/* By the bytes of key - least from bit `shift` up, in a stable way. */
static void sort_digits(struct ranking *r, uint64_t least, int shift, int n_digits)
{
    uint32_t counts[DIGITS][256];

    memset(counts, 0, (size_t)n_digits * sizeof counts[0]);
    for (size_t i = 0; i < r->n; i++) {
        uint64_t rest = (r->keys[i] - least) >> shift;

        for (int d = 0; d < n_digits; d++) {
            counts[d][rest & 0xff]++;
            rest >>= 8;
        }
    }
    for (int d = 0; d < n_digits; d++)
        if (counts[d][((r->keys[0] - least) >> (shift + 8 * d)) & 0xff] != r->n)
            scatter(r, counts[d], least, shift + 8 * d);
}

static int bit_width(uint64_t v)
{
    return v == 0 ? 0 : 64 - __builtin_clzll(v);
}

/* The keys, in their positions' order or any other that is stable. */
static void sort(struct ranking *r)
{
    uint64_t least, most;
    int width, leading;

    if (r->n <= FEW) {
        (void)insertion_sort(r, FEW * FEW);
        return;
    }
    least = most = r->keys[0];
    for (size_t i = 1; i < r->n; i++) {
        least = r->keys[i] < least ? r->keys[i] : least;
        most = r->keys[i] > most ? r->keys[i] : most;
    }
    width = bit_width(most - least);
    /* Bytes with at least four times as many values as there are keys; keys of doubles are spaced by exponents, most of
     * which do not occur. */
    leading = (bit_width(r->n) + 2) / 8 + 1 + r->of_doubles;
    if (width > 8 * leading) {
        sort_digits(r, least, width - 8 * leading, leading);
        if (insertion_sort(r, STEPS_PER_VALUE * r->n))
            return;
    }
    sort_digits(r, least, 0, (width + 7) / 8);
}

enum status ranking_sort_doubles(struct ranking *r, const double *values, size_t n)
{
    enum status status = resize(r, n);

    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        r->keys[i] = key_of_double(values[i]);
        r->positions[i] = (uint32_t)i;
    }
    r->of_doubles = true;
    if (status == STATUS_OK)
        sort(r);
    return status;
}

void ranking_settle(struct ranking *r, uint64_t distance, const struct ranking_order *exact)
{
    for (size_t i = 1; i < r->n; i++) {
        for (size_t j = i; j > 0 && r->keys[j] - r->keys[j - 1] <= distance &&
                           exact->less(exact->context, r->positions[j], r->positions[j - 1]);
             j--) {
            uint32_t position = r->positions[j];

            /* The keys stay: they are equal but for rounding. */
            r->positions[j] = r->positions[j - 1];
            r->positions[j - 1] = position;
        }
    }
}

void ranking_select(const struct ranking *r, uint32_t first, size_t k, uint32_t *ret_position, uint32_t *ret_next)
{
    size_t i = 0, left = k + 1;

    for (; left > 0; i++)
        left -= r->positions[i] >= first;
    *ret_position = *ret_next = r->positions[i - 1];
    for (; i < r->n; i++) {
        if (r->positions[i] >= first) {
            *ret_next = r->positions[i];
            return;
        }
    }
}

/* --- finding places -------------------------------------------------------------------------------- */

/* Values are counted into buckets of equal width, laid over the middle of a sample so that outliers do not crowd the
 * others together; then only the buckets of the wanted places are sorted. (8 medians of 2,000 trades sort 200 of them.) */
#define SAMPLE 32
#define OUTLIERS 1 /* of the sample, on either side */
#define MIDDLE 254
#define BUCKETS (MIDDLE + 2) /* with one for what lies on either side: a number fits a byte */
#define ROUNDING 8           /* each value is within half as many units in the last place of the exact one */
#define ENOUGH 256           /* fewer are sorted as quickly */

/* One of the two. */
struct column {
    const int64_t *integers;
    const double *doubles;
    size_t n;
};

static double value_at(const struct column *c, size_t i)
{
    return c->integers != NULL ? (double)c->integers[i] : c->doubles[i];
}

struct scale {
    double low, per_unit; /* buckets per unit; 0: all in one */
};

static struct scale choose_scale(const struct column *c)
{
    double sample[SAMPLE], low, high, width;

    for (size_t i = 0; i < SAMPLE; i++)
        sample[i] = value_at(c, i * c->n / SAMPLE);
    for (size_t i = 1; i < SAMPLE; i++) {
        double value = sample[i];
        size_t j = i;

        for (; j > 0 && sample[j - 1] > value; j--)
            sample[j] = sample[j - 1];
        sample[j] = value;
    }
    low = sample[OUTLIERS];
    high = sample[SAMPLE - 1 - OUTLIERS];
    width = (high - low) / MIDDLE;
    /* Rounding moves no value across a bucket. */
    return (struct scale){low, width > 0x1p-40 * fmax(fabs(low), fabs(high)) ? 1 / width : 0};
}

/* Ascends with the value, because each operation does, rounding included. */
static inline unsigned char bucket_of(struct scale scale, double value)
{
    double bucket = (value - scale.low) * scale.per_unit + 1;

    bucket = bucket > 0 ? bucket : 0;
    return (unsigned char)(int)(bucket < BUCKETS - 1 ? bucket : BUCKETS - 1);
}

struct narrowing {
    unsigned char *buckets; /* of each value; lies in r->spare_positions */
    uint32_t counts[BUCKETS];
    bool wanted[BUCKETS];
    size_t around; /* buckets wanted on either side of a place */
};

static void count(struct narrowing *w, const struct column *c, struct scale scale, size_t from, size_t to)
{
    const int64_t *integers = c->integers;
    const double *doubles = c->doubles;
    unsigned char *buckets = w->buckets;

    if (integers != NULL)
        for (size_t i = from; i < to; i++)
            buckets[i] = bucket_of(scale, (double)integers[i]);
    else
        for (size_t i = from; i < to; i++)
            buckets[i] = bucket_of(scale, doubles[i]);
    for (size_t i = from; i < to; i++)
        w->counts[buckets[i]]++;
}

static void want(struct narrowing *w, size_t bucket)
{
    size_t end = bucket + w->around < BUCKETS ? bucket + w->around : BUCKETS - 1;

    for (size_t b = bucket > w->around ? bucket - w->around : 0; b <= end; b++)
        w->wanted[b] = true;
}

/* Of the `n` values counted so far; the place's k becomes one within its bucket. */
static void want_place(struct narrowing *w, size_t n, struct ranking_place *place)
{
    size_t b = 0, below = 0, next = place->k + 1 < n ? place->k + 1 : place->k;

    while (below + w->counts[b] <= place->k)
        below += w->counts[b++];
    want(w, b);
    place->bucket = b;
    place->k -= below;
    while (below + w->counts[b] <= next)
        below += w->counts[b++];
    want(w, b);
}

/* Keeps the positions of values in wanted buckets, in their order; the places' k become ones among them. */
static void keep_wanted(struct ranking *r, const struct narrowing *w, struct ranking_place *places, size_t n)
{
    uint32_t *positions = r->positions;
    size_t kept = 0, end = r->n;

    for (size_t i = places[0].first; i < end; i++) {
        positions[kept] = (uint32_t)i;
        kept += w->wanted[w->buckets[i]];
    }
    r->n = kept;
    for (size_t p = 0; p < n; p++)
        for (size_t i = kept; i > 0 && positions[i - 1] >= places[p].first; i--)
            places[p].k += w->buckets[positions[i - 1]] < places[p].bucket;
}

static void narrow(struct ranking *r, const struct column *c, struct ranking_place *places, size_t n, size_t around)
{
    struct narrowing w = {.buckets = (unsigned char *)r->spare_positions, .around = around};
    struct scale scale = choose_scale(c);
    size_t end = c->n;

    for (size_t p = n; p-- > 0;) {
        count(&w, c, scale, places[p].first, end);
        end = places[p].first;
        want_place(&w, c->n - end, &places[p]);
    }
    keep_wanted(r, &w, places, n);
}

static void keep_all(struct ranking *r)
{
    for (size_t i = 0; i < r->n; i++)
        r->positions[i] = (uint32_t)i;
}

static enum status find(struct ranking *r, const struct column *c, struct ranking_place *places, size_t n,
                        const struct ranking_order *exact)
{
    enum status status = resize(r, c->n);

    if (status != STATUS_OK || n == 0)
        return status;
    if (r->n < ENOUGH)
        keep_all(r);
    else
        narrow(r, c, places, n, exact != NULL ? 1 : 0);
    for (size_t i = 0; i < r->n; i++) {
        uint32_t at = r->positions[i];

        r->keys[i] = c->integers != NULL ? key_of_integer(c->integers[at]) : key_of_double(c->doubles[at]);
    }
    r->of_doubles = c->integers == NULL;
    sort(r);
    if (exact != NULL)
        ranking_settle(r, ROUNDING, exact);
    for (size_t p = 0; p < n; p++)
        ranking_select(r, places[p].first, places[p].k, &places[p].position, &places[p].next);
    return STATUS_OK;
}

enum status ranking_find_integers(struct ranking *r, const int64_t *values, size_t n, struct ranking_place *places,
                                  size_t n_places)
{
    const struct column column = {.integers = values, .n = n};

    return find(r, &column, places, n_places, NULL);
}

enum status ranking_find_doubles(struct ranking *r, const double *values, size_t n, const struct ranking_order *exact,
                                 struct ranking_place *places, size_t n_places)
{
    const struct column column = {.doubles = values, .n = n};

    return find(r, &column, places, n_places, exact);
}
