/* The encodings in the tables were written down from PostgreSQL's *_send functions; tests/store/test_db_field.c
 * compares with a server's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/store/db_field.h"

#define FIELD(...) field_of((const unsigned char[]){__VA_ARGS__}, sizeof((const unsigned char[]){__VA_ARGS__}))

/* A copy of exactly that size, so that the address sanitizer sees a read past its end. */
static struct db_field field_of(const unsigned char *bytes, size_t len)
{
    unsigned char *copy = test_malloc(len + (len == 0));

    memcpy(copy, bytes, len);
    return (struct db_field){copy, len};
}

static void release(struct db_field f)
{
    test_free((void *)(uintptr_t)f.bytes);
}

/* --- numeric ------------------------------------------------------------------------------- */

#define MAX_DIGITS 12

struct numeric_case {
    int weight;
    unsigned sign, scale;
    size_t n;
    uint16_t digits[MAX_DIGITS];
    enum numeric_class class;
    int64_t e8;
};

static const struct numeric_case numerics[] = {
    {0, 0, 0, 0, {0}, NUMERIC_FINITE, 0},                               /* 0 */
    {0, 0, 8, 0, {0}, NUMERIC_FINITE, 0},                               /* 0.00000000 */
    {0, 0, 0, 1, {1}, NUMERIC_FINITE, 100000000},                       /* 1 */
    {0, 0x4000, 0, 1, {1}, NUMERIC_FINITE, -100000000},                 /* -1 */
    {0, 0, 2, 2, {123, 4500}, NUMERIC_FINITE, 12345000000},             /* 123.45 */
    {1, 0, 8, 4, {1, 2345, 6789, 1234}, NUMERIC_FINITE, 1234567891234}, /* 12345.67891234 */
    {-1, 0, 4, 1, {1}, NUMERIC_FINITE, 10000},                          /* 0.0001 */
    {-2, 0, 8, 1, {1}, NUMERIC_FINITE, 1},                              /* 0.00000001 */
    {-3, 0, 9, 1, {5000}, NUMERIC_FINITE, 1},                           /* 0.000000005: half goes up */
    {-3, 0x4000, 9, 1, {5000}, NUMERIC_FINITE, -1},                     /* and away from zero */
    {-3, 0, 12, 1, {4999}, NUMERIC_FINITE, 0},                          /* 0.000000004999 */
    {-3, 0x4000, 12, 1, {4999}, NUMERIC_FINITE, 0},                     /* never minus zero */
    {-3, 0, 16, 2, {4999, 9999}, NUMERIC_FINITE, 0},                    /* 0.0000000049999999 */
    {-4, 0, 13, 1, {9999}, NUMERIC_FINITE, 0},                          /* too small to round up */
    {-1000, 0, 4000, 1, {9999}, NUMERIC_FINITE, 0},                     /* 10^-4000 */
    {0, 0, 12, 4, {0, 0, 1, 5000}, NUMERIC_FINITE, 2},                  /* leading zero digits are harmless */
    {2, 0, 0, 1, {99}, NUMERIC_FINITE, 990000000000000000},             /* 9900000000 */
    {2, 0, 8, 5, {99, 9999, 9999, 9999, 9999}, NUMERIC_FINITE, 999999999999999999},
    {2, 0x4000, 8, 5, {99, 9999, 9999, 9999, 9999}, NUMERIC_FINITE, -999999999999999999},
    {2, 0, 12, 6, {99, 9999, 9999, 9999, 9999, 4999}, NUMERIC_FINITE, 999999999999999999},
    {2, 0, 12, 6, {99, 9999, 9999, 9999, 9999, 5000}, NUMERIC_TOO_LARGE, 0}, /* rounds up to 10^10 */
    {2, 0, 0, 1, {100}, NUMERIC_TOO_LARGE, 0},                               /* 10^10 */
    {2, 0x4000, 0, 1, {100}, NUMERIC_TOO_LARGE, 0},
    {2, 0, 0, 1, {9999}, NUMERIC_TOO_LARGE, 0},
    {3, 0, 0, 1, {1}, NUMERIC_TOO_LARGE, 0}, /* 10^12 */
    {32767, 0x4000, 0, 1, {1}, NUMERIC_TOO_LARGE, 0},
    {4, 0, 0, 3, {0, 0, 99}, NUMERIC_FINITE, 990000000000000000},
    {0, 0xC000, 0, 0, {0}, NUMERIC_NAN, 0},
    {0, 0xD000, 0x20, 0, {0}, NUMERIC_INFINITE, 0},
    {0, 0xF000, 0x20, 0, {0}, NUMERIC_INFINITE, 0},
};

static void put16(unsigned char *p, unsigned value)
{
    p[0] = (unsigned char)(value >> 8);
    p[1] = (unsigned char)value;
}

static struct db_field encode_numeric(const struct numeric_case *c)
{
    unsigned char bytes[8 + 2 * MAX_DIGITS];

    put16(bytes, (unsigned)c->n);
    put16(bytes + 2, (unsigned)c->weight);
    put16(bytes + 4, c->sign);
    put16(bytes + 6, c->scale);
    for (size_t i = 0; i < c->n; i++)
        put16(bytes + 8 + 2 * i, c->digits[i]);
    return field_of(bytes, 8 + 2 * c->n);
}

static void test_numeric_table_gives_rounded_fixed_point(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof numerics / sizeof numerics[0]; i++) {
        struct db_field f = encode_numeric(&numerics[i]);
        enum numeric_class class;
        int64_t e8 = 77;

        if (db_field_numeric_e8(f, &class, &e8) != STATUS_OK || class != numerics[i].class || e8 != numerics[i].e8)
            fail_msg("case %zu: class %d, %lld", i, class, (long long)e8);
        release(f);
    }
}

static void test_numeric_many_digits_reads_all_of_them(void **state)
{
    static unsigned char bytes[8 + 2 * 30000];
    enum numeric_class class;
    int64_t e8;

    (void)state;
    put16(bytes, 30000);
    put16(bytes + 2, 0);
    put16(bytes + 6, 0x3FFF);
    put16(bytes + 8, 7);
    assert_int_equal(db_field_numeric_e8((struct db_field){bytes, sizeof bytes}, &class, &e8), STATUS_OK);
    assert_int_equal(class, NUMERIC_FINITE);
    assert_int_equal(e8, 700000000);
    put16(bytes + sizeof bytes - 2, 10000);
    assert_int_equal(db_field_numeric_e8((struct db_field){bytes, sizeof bytes}, &class, &e8), STATUS_INVALID);
}

static void test_numeric_damaged_is_refused(void **state)
{
    struct db_field damaged[] = {
        FIELD(0),
        FIELD(0, 0, 0, 0, 0, 0, 0),                /* short header */
        FIELD(0, 1, 0, 0, 0, 0, 0, 0),             /* a digit is missing */
        FIELD(0, 1, 0, 0, 0, 0, 0, 0, 0),          /* half of it */
        FIELD(0, 0, 0, 0, 0, 0, 0, 0, 0, 1),       /* one too many */
        FIELD(0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 1), /* 65535 digits */
        FIELD(0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10), /* digit 10000 */
        FIELD(0, 1, 0, 0, 0x80, 0, 0, 0, 0, 1),    /* no such sign */
        FIELD(0, 1, 0, 0, 0xC0, 0, 0, 0, 0, 1),    /* NaN with a digit */
        FIELD(0, 1, 0, 0, 0, 0, 0x40, 0, 0, 1),    /* display scale 16384 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        enum numeric_class class;
        int64_t e8;

        if (db_field_numeric_e8(damaged[i], &class, &e8) != STATUS_INVALID)
            fail_msg("case %zu was accepted", i);
        release(damaged[i]);
    }
}

/* --- the others ---------------------------------------------------------------------------- */

static void test_int64_each_width_keeps_its_sign(void **state)
{
    static const struct {
        unsigned char bytes[9];
        size_t len;
        enum status status;
        int64_t value;
    } cases[] = {
        {{0xFF, 0xFE}, 2, STATUS_OK, -2},
        {{0x7F, 0xFF}, 2, STATUS_OK, 32767},
        {{0x80, 0, 0, 0}, 4, STATUS_OK, INT32_MIN},
        {{0, 0, 1, 0}, 4, STATUS_OK, 256},
        {{0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, 8, STATUS_OK, INT64_MAX},
        {{0x80}, 8, STATUS_OK, INT64_MIN},
        {{0}, 0, STATUS_INVALID, 0},
        {{0}, 3, STATUS_INVALID, 0},
        {{0}, 9, STATUS_INVALID, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct db_field f = field_of(cases[i].bytes, cases[i].len);
        int64_t value = 0;

        if (db_field_int64(f, &value) != cases[i].status || value != cases[i].value)
            fail_msg("case %zu: %lld", i, (long long)value);
        release(f);
    }
}

static void test_bool_only_zero_and_one(void **state)
{
    struct db_field yes = FIELD(1), no = FIELD(0), two = FIELD(2), wide = FIELD(0, 1);
    bool value = false;

    (void)state;
    assert_int_equal(db_field_bool(yes, &value), STATUS_OK);
    assert_true(value);
    assert_int_equal(db_field_bool(no, &value), STATUS_OK);
    assert_false(value);
    assert_int_equal(db_field_bool(two, &value), STATUS_INVALID);
    assert_int_equal(db_field_bool(wide, &value), STATUS_INVALID);
    release(yes);
    release(no);
    release(two);
    release(wide);
}

static void test_instant_epoch_infinities_and_overflow(void **state)
{
    static const struct {
        uint64_t us;
        enum status status;
        int64_t expected;
    } cases[] = {
        {0, STATUS_OK, INT64_C(946684800000000)}, /* 2000-01-01T00:00:00Z */
        {(uint64_t)-INT64_C(946684800000000), STATUS_OK, 0},
        {(uint64_t)INT64_MAX, STATUS_OK, INT64_MAX},
        {(uint64_t)INT64_MIN, STATUS_OK, INT64_MIN},
        {(uint64_t)INT64_MAX - 1, STATUS_INVALID, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t big = __builtin_bswap64(cases[i].us);
        struct db_field f = field_of((const unsigned char *)&big, 8);
        struct instant t = {0};

        if (db_field_instant(f, &t) != cases[i].status || t.us != cases[i].expected)
            fail_msg("case %zu: %lld", i, (long long)t.us);
        f.len = 7;
        assert_int_equal(db_field_instant(f, &t), STATUS_INVALID);
        release(f);
    }
}

static void test_date_epoch_infinities_and_overflow(void **state)
{
    static const struct {
        uint32_t days;
        enum status status;
        int32_t expected;
    } cases[] = {
        {0, STATUS_OK, 10957}, /* 2000-01-01 is 10,957 days after 1970-01-01 */
        {(uint32_t)-10957, STATUS_OK, 0},
        {INT32_MAX, STATUS_OK, INT32_MAX},
        {(uint32_t)INT32_MIN, STATUS_OK, INT32_MIN},
        {INT32_MAX - 1, STATUS_INVALID, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t big = __builtin_bswap32(cases[i].days);
        struct db_field f = field_of((const unsigned char *)&big, 4);
        struct date d = {0};

        if (db_field_date(f, &d) != cases[i].status || d.days != cases[i].expected)
            fail_msg("case %zu: %d", i, d.days);
        f.len = 3;
        assert_int_equal(db_field_date(f, &d), STATUS_INVALID);
        release(f);
    }
}

static void test_dates_one_dimension_in_order(void **state)
{
    struct db_field two = FIELD(0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4, 0x3A, 0, 0, 0, 2, 0, 0, 0, 1, /* header */
                                0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0);
    struct db_field empty = FIELD(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0x3A);
    struct date dates[4];
    size_t n = 9;

    (void)state;
    assert_int_equal(db_field_dates(two, dates, &n), STATUS_OK);
    assert_int_equal(n, 2);
    assert_int_equal(dates[0].days, 10958);
    assert_int_equal(dates[1].days, 10957);
    assert_int_equal(db_field_dates(empty, dates, &n), STATUS_OK);
    assert_int_equal(n, 0);
    for (size_t len = 0; len < two.len; len++) {
        struct db_field cut = field_of(two.bytes, len);
        if (db_field_dates(cut, dates, &n) != STATUS_INVALID)
            fail_msg("%zu of %zu bytes were accepted", len, two.len);
        release(cut);
    }
    release(two);
    release(empty);
}

static void test_dates_damaged_is_refused(void **state)
{
    struct db_field damaged[] = {
        FIELD(0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 4, 0x3A, 0, 0, 0, 1, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0,
              0),                                                                                     /* null */
        FIELD(0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x17, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0), /* int4[] */
        FIELD(0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4, 0x3A, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0,
              0),                                                                                     /* count */
        FIELD(0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 4, 0x3A, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1), /* two dim. */
        FIELD(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0x3A, 0),
    };

    (void)state;
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        struct date dates[8];
        size_t n;

        if (db_field_dates(damaged[i], dates, &n) != STATUS_INVALID)
            fail_msg("case %zu was accepted", i);
        release(damaged[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numeric_table_gives_rounded_fixed_point),
        cmocka_unit_test(test_numeric_many_digits_reads_all_of_them),
        cmocka_unit_test(test_numeric_damaged_is_refused),
        cmocka_unit_test(test_int64_each_width_keeps_its_sign),
        cmocka_unit_test(test_bool_only_zero_and_one),
        cmocka_unit_test(test_instant_epoch_infinities_and_overflow),
        cmocka_unit_test(test_date_epoch_infinities_and_overflow),
        cmocka_unit_test(test_dates_one_dimension_in_order),
        cmocka_unit_test(test_dates_damaged_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
