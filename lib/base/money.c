/* Everything works on magnitudes (unsigned, so the smallest 128-bit integer is no special case) and
 * ends in one printer that takes an integer part and a fraction of a known number of digits. */
#include "lib/base/money.h"

#include <assert.h>
#include <string.h>

enum { MAX_DECIMALS = 18 };

static const uint64_t powers_of_ten[MAX_DECIMALS + 1] = {
    UINT64_C(1),
    UINT64_C(10),
    UINT64_C(100),
    UINT64_C(1000),
    UINT64_C(10000),
    UINT64_C(100000),
    UINT64_C(1000000),
    UINT64_C(10000000),
    UINT64_C(100000000),
    UINT64_C(1000000000),
    UINT64_C(10000000000),
    UINT64_C(100000000000),
    UINT64_C(1000000000000),
    UINT64_C(10000000000000),
    UINT64_C(100000000000000),
    UINT64_C(1000000000000000),
    UINT64_C(10000000000000000),
    UINT64_C(100000000000000000),
    UINT64_C(1000000000000000000),
};

static wide_uint magnitude_of(wide_int value)
{
    return value < 0 ? 0 - (wide_uint)value : (wide_uint)value;
}

/* 128-bit division is a library call; most operands fit 64 bits. */
static wide_uint divide(wide_uint numerator, wide_uint denominator, wide_uint *ret_remainder)
{
    wide_uint quotient;

    if ((numerator >> 64) == 0 && (denominator >> 64) == 0) {
        *ret_remainder = (uint64_t)numerator % (uint64_t)denominator;
        return (uint64_t)numerator / (uint64_t)denominator;
    }
    quotient = numerator / denominator;
    *ret_remainder = numerator - quotient * denominator;
    return quotient;
}

wide_int wide_divide_round(wide_int numerator, wide_int denominator)
{
    wide_uint divisor = magnitude_of(denominator), remainder;
    wide_uint quotient = divide(magnitude_of(numerator), divisor, &remainder);

    if (remainder >= divisor - remainder)
        quotient++;
    return (wide_int)((numerator < 0) != (denominator < 0) ? 0 - quotient : quotient);
}

wide_int money_multiply(int64_t price_e8, int64_t quantity_e8)
{
    return wide_divide_round((wide_int)price_e8 * quantity_e8, MONEY_SCALE);
}

/* Writes the digits of `value` so that they end before `end`; returns where they begin. */
static char *put_uint64(char *end, uint64_t value)
{
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return end;
}

static char *put_padded(char *end, uint64_t value, int width)
{
    for (int i = 0; i < width; i++) {
        *--end = (char)('0' + value % 10);
        value /= 10;
    }
    return end;
}

static char *put_wide(char *end, wide_uint value)
{
    while ((value >> 64) != 0) {
        end = put_padded(end, (uint64_t)(value % powers_of_ten[18]), 18);
        value /= powers_of_ten[18];
    }
    return put_uint64(end, (uint64_t)value);
}

/* integer + fraction x 10^-decimals; fraction < 10^decimals. */
static void append_fixed(struct buf *out, bool negative, wide_uint integer, uint64_t fraction, int decimals,
                         bool keep_zeros)
{
    char text[64], *end = text + sizeof text, *start = end;

    if (!keep_zeros) {
        for (; decimals > 0 && fraction % 10 == 0; decimals--)
            fraction /= 10;
    }
    if (decimals > 0) {
        start = put_padded(start, fraction, decimals);
        *--start = '.';
    }
    start = put_wide(start, integer);
    if (negative && (integer != 0 || fraction != 0))
        *--start = '-';
    buf_append(out, start, (size_t)(end - start));
}

static void append_decimal(struct buf *out, wide_int value, int scale, int decimals, bool keep_zeros)
{
    wide_uint magnitude = magnitude_of(value), integer, fraction, rest;

    assert(scale >= 0 && scale <= MAX_DECIMALS && decimals >= 0 && decimals <= MAX_DECIMALS);
    if (decimals < scale) {
        uint64_t divisor = powers_of_ten[scale - decimals];
        magnitude = divide(magnitude, divisor, &rest);
        if (rest >= divisor - rest)
            magnitude++;
        scale = decimals;
    }
    integer = divide(magnitude, powers_of_ten[scale], &fraction);
    append_fixed(out, value < 0, integer, (uint64_t)fraction * powers_of_ten[decimals - scale], decimals, keep_zeros);
}

void decimal_append(struct buf *out, wide_int value, int scale, int decimals)
{
    append_decimal(out, value, scale, decimals, true);
}

void decimal_append_short(struct buf *out, wide_int value, int scale, int decimals)
{
    append_decimal(out, value, scale, decimals, false);
}

/* The next decimal digit of remainder/divisor: floor(10 x remainder / divisor), and what is left.
 * Ten times a 127-bit remainder does not fit 128 bits, so 10 = 1010b is multiplied in bit by bit;
 * every intermediate value stays below twice the divisor, that is below 2^128. */
static unsigned next_digit(wide_uint *remainder, wide_uint divisor)
{
    wide_uint rest = 0;
    unsigned digit = 0;

    for (unsigned bit = 8; bit > 0; bit >>= 1) {
        digit <<= 1;
        rest <<= 1;
        if (rest >= divisor) {
            rest -= divisor;
            digit++;
        }
        if (10u & bit) {
            rest += *remainder;
            if (rest >= divisor) {
                rest -= divisor;
                digit++;
            }
        }
    }
    *remainder = rest;
    return digit;
}

/* floor(remainder x 10^decimals / divisor) with remainder < divisor; leaves the new remainder. */
static uint64_t divide_fraction(wide_uint *remainder, wide_uint divisor, int decimals)
{
    uint64_t fraction = 0;

    /* 10^12 < 2^40: the whole fraction in one step. */
    if ((divisor >> 88) == 0)
        return (uint64_t)divide(*remainder * powers_of_ten[decimals], divisor, remainder);
    for (int i = 0; i < decimals; i++)
        fraction = fraction * 10 + next_digit(remainder, divisor);
    return fraction;
}

void ratio_append(struct buf *out, wide_int numerator, wide_int denominator, int decimals, bool keep_zeros)
{
    wide_uint divisor = magnitude_of(denominator), remainder;
    wide_uint integer;
    uint64_t fraction;

    assert(denominator != 0 && decimals >= 0 && decimals <= 12);
    integer = divide(magnitude_of(numerator), divisor, &remainder);
    fraction = divide_fraction(&remainder, divisor, decimals);
    if (remainder >= divisor - remainder && ++fraction == powers_of_ten[decimals]) {
        fraction = 0;
        integer++;
    }
    append_fixed(out, (numerator < 0) != (denominator < 0), integer, fraction, decimals, keep_zeros);
}

enum status money_parse(const char *text, int64_t *ret_e8)
{
    const int64_t limit = INT64_C(10000000000) * MONEY_SCALE; /* 10^10 units, what NUMERIC(18,8) cannot hold */
    bool negative = text[0] == '-', round_up = false;
    const char *at = text + negative;
    const char *digits = at;
    int64_t value = 0;

    for (; *at >= '0' && *at <= '9'; at++) {
        if (value < limit / MONEY_SCALE)
            value = value * 10 + (*at - '0');
    }
    if (at == digits)
        return STATUS_INVALID;
    value = value >= limit / MONEY_SCALE ? limit : value * MONEY_SCALE;
    if (*at == '.') {
        int64_t unit = MONEY_SCALE / 10;
        digits = ++at;
        for (; *at >= '0' && *at <= '9'; at++) {
            if (value < limit)
                value += (*at - '0') * unit;
            if (at - digits == 8)
                round_up = *at >= '5';
            unit /= 10;
        }
        if (at == digits)
            return STATUS_INVALID;
    }
    if (*at != '\0')
        return STATUS_INVALID;
    value += round_up;
    if (value >= limit)
        return STATUS_LIMIT;
    *ret_e8 = negative ? -value : value;
    return STATUS_OK;
}
