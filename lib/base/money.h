/* Exact money: a signed number of 10^-8 currency units. One trade's amounts fit 64 bits
 * (metrics.md 1.2), sums are 128 bits wide, so a sum cannot overflow below 10^19 trades.
 * Binary floating point never touches money before output. */
#ifndef PNLCACHE_BASE_MONEY_H
#define PNLCACHE_BASE_MONEY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

#define MONEY_SCALE INT64_C(100000000)

/* 128-bit integers are a compiler extension; this is the one place that says so. */
__extension__ typedef __int128 wide_int;
__extension__ typedef unsigned __int128 wide_uint;

/* The nearest double. Only what does not fit 64 bits takes a library call. */
static inline double wide_to_double(wide_int value)
{
    int64_t narrow = (int64_t)value;

    return narrow == value ? (double)narrow : (double)value;
}

/* price_e8 x quantity_e8 (10^-16) rounded to 10^-8, half away from zero (metrics.md 4.1).
 * The product of two 64-bit numbers cannot overflow 128 bits; the result may exceed 64. */
wide_int money_multiply(int64_t price_e8, int64_t quantity_e8);

/* numerator / denominator rounded half away from zero; denominator must not be 0. */
wide_int wide_divide_round(wide_int numerator, wide_int denominator);

/* An exact value times 10^-scale as text with exactly `decimals` decimals, rounded half away from
 * zero, never "-0". scale 0..18, decimals 0..18. Appends to `out`. */
void decimal_append(struct buf *out, wide_int value, int scale, int decimals);
/* The same, trailing zeros (and a bare point) left out: JSON numbers. */
void decimal_append_short(struct buf *out, wide_int value, int scale, int decimals);

/* numerator/denominator as text with `decimals` decimals (0..12), rounded once, half away from
 * zero; exact for any 128-bit operands (the scaling is done in long division, not by multiplying).
 * denominator must not be 0. `keep_zeros`: keep trailing zeros (decimal strings of metrics.md 16.4). */
void ratio_append(struct buf *out, wide_int numerator, wide_int denominator, int decimals, bool keep_zeros);

/* Strict decimal text ("-12.5": no exponent, no spaces, no '+'; decimals beyond the eighth round
 * half away from zero) to 10^-8 units. STATUS_INVALID, or STATUS_LIMIT when
 * the size reaches 10^10 units. */
enum status money_parse(const char *text, int64_t *ret_e8) MUST_CHECK;

#endif
