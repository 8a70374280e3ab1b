/* Expected digits come from a schoolbook 256-bit calculator below, which shares nothing with money.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/money.h"

#define WIDE_MIN ((wide_int)((wide_uint)1 << 127))
#define WIDE_MAX ((wide_int)(((wide_uint)1 << 127) - 1))

static struct buf out = BUF_INIT;

/* --- schoolbook arithmetic ----------------------------------------------------------------------- */

/* 256-bit unsigned, most significant limb first. */
struct big {
    uint32_t limb[8];
};

static struct big big_of(wide_uint value)
{
    struct big b = {{0}};

    for (int i = 0; i < 4; i++)
        b.limb[7 - i] = (uint32_t)(value >> (32 * i));
    return b;
}

static void big_multiply_small(struct big *b, uint32_t factor, uint32_t carry)
{
    for (int i = 7; i >= 0; i--) {
        uint64_t product = (uint64_t)b->limb[i] * factor + carry;
        b->limb[i] = (uint32_t)product;
        carry = (uint32_t)(product >> 32);
    }
    assert_int_equal(carry, 0);
}

static int big_compare(const struct big *a, const struct big *b)
{
    for (int i = 0; i < 8; i++)
        if (a->limb[i] != b->limb[i])
            return a->limb[i] < b->limb[i] ? -1 : 1;
    return 0;
}

static void big_subtract(struct big *a, const struct big *b)
{
    int64_t borrow = 0;

    for (int i = 7; i >= 0; i--) {
        int64_t difference = (int64_t)a->limb[i] - b->limb[i] - borrow;
        borrow = difference < 0;
        a->limb[i] = (uint32_t)difference;
    }
}

/* |numerator| x 10^decimals / |denominator| rounded half up, by binary long division. */
static struct big big_ratio(wide_uint numerator, wide_uint denominator, int decimals)
{
    struct big n = big_of(numerator), d = big_of(denominator), quotient = {{0}}, rest = {{0}};

    for (int i = 0; i < decimals; i++)
        big_multiply_small(&n, 10, 0);
    for (int bit = 255; bit >= 0; bit--) {
        big_multiply_small(&rest, 2, n.limb[7 - bit / 32] >> (bit % 32) & 1);
        big_multiply_small(&quotient, 2, 0);
        if (big_compare(&rest, &d) >= 0) {
            big_subtract(&rest, &d);
            quotient.limb[7] |= 1;
        }
    }
    big_multiply_small(&rest, 2, 0);
    if (big_compare(&rest, &d) >= 0)
        big_multiply_small(&quotient, 1, 1);
    return quotient;
}

/* Digits of `value` x 10^-decimals with all its zeros. */
static void big_format(struct big value, int decimals, bool negative, char text[128])
{
    char digits[100];
    int n = 0, at = 0;
    bool zero = true;

    for (int i = 0; i < 8; i++)
        zero = zero && value.limb[i] == 0;
    for (; n < 90; n++) {
        uint64_t rest = 0;
        for (int i = 0; i < 8; i++) {
            rest = rest << 32 | value.limb[i];
            value.limb[i] = (uint32_t)(rest / 10);
            rest %= 10;
        }
        digits[n] = (char)('0' + rest);
    }
    while (n > decimals + 1 && digits[n - 1] == '0')
        n--;
    if (negative && !zero)
        text[at++] = '-';
    while (n-- > 0) {
        text[at++] = digits[n];
        if (n == decimals && n > 0)
            text[at++] = '.';
    }
    text[at] = '\0';
}

static wide_uint size_of(wide_int value)
{
    return value < 0 ? 0 - (wide_uint)value : (wide_uint)value;
}

static void check_ratio(wide_int numerator, wide_int denominator, int decimals)
{
    char expected[128];

    big_format(big_ratio(size_of(numerator), size_of(denominator), decimals), decimals,
               (numerator < 0) != (denominator < 0), expected);
    buf_clear(&out);
    ratio_append(&out, numerator, denominator, decimals, true);
    if (strcmp(out.data, expected) != 0)
        fail_msg("%d decimals: %s, expected %s", decimals, out.data, expected);
    if (decimals > 0) {
        size_t len = strlen(expected);
        while (expected[len - 1] == '0')
            len--;
        expected[expected[len - 1] == '.' ? len - 1 : len] = '\0';
    }
    buf_clear(&out);
    ratio_append(&out, numerator, denominator, decimals, false);
    assert_string_equal(out.data, expected);
}

static void test_ratio_append_extreme_operands_are_exact(void **state)
{
    const wide_int extremes[] = {WIDE_MIN,
                                 WIDE_MIN + 1,
                                 WIDE_MAX,
                                 WIDE_MAX - 1,
                                 WIDE_MAX / 2,
                                 WIDE_MAX / 10,
                                 (wide_int)1 << 88,
                                 ((wide_int)1 << 88) - 1,
                                 (wide_int)1 << 64,
                                 ((wide_int)1 << 64) - 1,
                                 0,
                                 1,
                                 -1,
                                 2,
                                 3,
                                 -3,
                                 7,
                                 1999999,
                                 2000000,
                                 -2000001,
                                 MONEY_SCALE};
    const size_t n = sizeof extremes / sizeof extremes[0];

    (void)state;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            for (int decimals = 0; decimals <= 12; decimals++)
                if (extremes[j] != 0)
                    check_ratio(extremes[i], extremes[j], decimals);
}

static wide_int random_wide(unsigned short seed[3])
{
    wide_uint value = 0;

    for (int i = 0; i < 4; i++)
        value = value << 32 | (uint32_t)jrand48(seed);
    return (wide_int)value >> (nrand48(seed) % 127);
}

static void test_ratio_append_random_operands_are_exact(void **state)
{
    unsigned short seed[3] = {4, 5, 6};

    (void)state;
    for (int i = 0; i < 100000; i++) {
        wide_int numerator = random_wide(seed), denominator = random_wide(seed);
        if (denominator != 0)
            check_ratio(numerator, denominator, (int)(nrand48(seed) % 13));
    }
}

static void test_decimal_append_is_exact(void **state)
{
    unsigned short seed[3] = {7, 8, 9};

    (void)state;
    for (int i = 0; i < 100000; i++) {
        wide_int value = i < 5 ? (const wide_int[]){WIDE_MIN, WIDE_MAX, 0, -1, 1}[i] : random_wide(seed);
        int scale = (int)(nrand48(seed) % 19), decimals = (int)(nrand48(seed) % 19);
        wide_uint power = 1;
        char expected[128];
        for (int k = 0; k < scale; k++)
            power *= 10;
        big_format(big_ratio(size_of(value), power, decimals), decimals, value < 0, expected);
        buf_clear(&out);
        decimal_append(&out, value, scale, decimals);
        if (strcmp(out.data, expected) != 0)
            fail_msg("scale %d, %d decimals: %s, expected %s", scale, decimals, out.data, expected);
    }
}

static void test_decimal_append_rounds_half_away_and_never_minus_zero(void **state)
{
    static const struct {
        int64_t value;
        int decimals;
        const char *expected, *expected_short;
    } cases[] = {
        {-30175000000, 4, "-301.7500", "-301.75"}, /* metrics.md 4.3 */
        {4999, 4, "0.0000", "0"},
        {-4999, 4, "0.0000", "0"},
        {5000, 4, "0.0001", "0.0001"},
        {-5000, 4, "-0.0001", "-0.0001"},
        {99999999, 4, "1.0000", "1"},
        {100, 0, "0", "0"},
        {50000000, 0, "1", "1"},
        {-50000000, 0, "-1", "-1"},
        {1500000000, 8, "15.00000000", "15"},
        {10000000000, 0, "100", "100"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buf_clear(&out);
        decimal_append(&out, cases[i].value, 8, cases[i].decimals);
        assert_string_equal(out.data, cases[i].expected);
        buf_clear(&out);
        decimal_append_short(&out, cases[i].value, 8, cases[i].decimals);
        assert_string_equal(out.data, cases[i].expected_short);
    }
}

static void test_money_multiply_rounds_half_away(void **state)
{
    (void)state;
    assert_true(money_multiply(1, 50000000) == 1); /* metrics.md 4.1 */
    assert_true(money_multiply(-1, 50000000) == -1);
    assert_true(money_multiply(1, 49999999) == 0);
    assert_true(money_multiply(1500000000, 200000000) == 3000000000);
    assert_true(money_multiply(INT64_MIN, INT64_MIN) == ((((wide_int)1 << 126) + MONEY_SCALE / 2) / MONEY_SCALE));
    assert_true(money_multiply(INT64_MIN, INT64_MAX) < 0);
}

static void test_wide_divide_round_all_signs(void **state)
{
    (void)state;
    assert_true(wide_divide_round(7, 2) == 4);
    assert_true(wide_divide_round(-7, 2) == -4);
    assert_true(wide_divide_round(7, -2) == -4);
    assert_true(wide_divide_round(-7, -2) == 4);
    assert_true(wide_divide_round(1, 3) == 0);
    assert_true(wide_divide_round(WIDE_MIN, WIDE_MIN) == 1);
    assert_true(wide_divide_round(WIDE_MAX, WIDE_MIN) == -1);
    assert_true(wide_divide_round(WIDE_MIN, 1) == WIDE_MIN);
}

static void test_money_parse_table(void **state)
{
    static const struct {
        const char *text;
        enum status status;
        int64_t value;
    } cases[] = {
        {"0", STATUS_OK, 0},
        {"-0", STATUS_OK, 0},
        {"-12.5", STATUS_OK, -1250000000},
        {"0.00000001", STATUS_OK, 1},
        {"0.000000005", STATUS_OK, 1},
        {"0.0000000049999", STATUS_OK, 0},
        {"-0.000000005", STATUS_OK, -1},
        {"1.999999999", STATUS_OK, 200000000},
        {"9999999999.99999999", STATUS_OK, INT64_C(999999999999999999)},
        {"9999999999.999999994", STATUS_OK, INT64_C(999999999999999999)},
        {"9999999999.999999995", STATUS_LIMIT, 0},
        {"10000000000", STATUS_LIMIT, 0},
        {"-10000000000", STATUS_LIMIT, 0},
        {"99999999999999999999999999999999", STATUS_LIMIT, 0},
        {"000000000000000000000000000001.5", STATUS_OK, 150000000},
        {"", STATUS_INVALID, 0},
        {"-", STATUS_INVALID, 0},
        {".", STATUS_INVALID, 0},
        {"1.", STATUS_INVALID, 0},
        {".5", STATUS_INVALID, 0},
        {"+1", STATUS_INVALID, 0},
        {" 1", STATUS_INVALID, 0},
        {"1 ", STATUS_INVALID, 0},
        {"1e5", STATUS_INVALID, 0},
        {"1,5", STATUS_INVALID, 0},
        {"1.2.3", STATUS_INVALID, 0},
        {"--1", STATUS_INVALID, 0},
        {"99999999999999999999x", STATUS_INVALID, 0},
        {"NaN", STATUS_INVALID, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value = 0;
        enum status status = money_parse(cases[i].text, &value);
        if (status != cases[i].status || value != cases[i].value)
            fail_msg("case %zu '%s': %s, %lld", i, cases[i].text, status_name(status), (long long)value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ratio_append_extreme_operands_are_exact),
        cmocka_unit_test(test_ratio_append_random_operands_are_exact),
        cmocka_unit_test(test_decimal_append_is_exact),
        cmocka_unit_test(test_decimal_append_rounds_half_away_and_never_minus_zero),
        cmocka_unit_test(test_money_multiply_rounds_half_away),
        cmocka_unit_test(test_wide_divide_round_all_signs),
        cmocka_unit_test(test_money_parse_table),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    buf_release(&out);
    return failed;
}
