/* Layouts: the *_send functions of PostgreSQL; all integers are big-endian. Dates and times count from
 * 2000-01-01. A numeric is four 16-bit words (number of digits, weight, sign, display scale) and its
 * digits in base 10,000: digit i counts 10,000^(weight - i). 10^-8 units are exactly two such
 * digits behind the point, so the conversion never divides. */
#include "lib/store/db_field.h"

#include <string.h>

#define EPOCH_DAYS 10957 /* 1970-01-01 to 2000-01-01 */
#define DATE_TYPE_OID 1082

#define NUMERIC_HEADER 8
#define NUMERIC_BASE 10000
#define SIGN_POSITIVE 0x0000
#define SIGN_NEGATIVE 0x4000
#define SIGN_NAN 0xC000
#define SIGN_INFINITY 0xD000
#define SIGN_NEGATIVE_INFINITY 0xF000
#define DISPLAY_SCALE_MAX 0x3FFF
#define LIMIT_E8 INT64_C(1000000000000000000) /* 10^10 units */

int db_field_compare_text(struct db_field f, const char *text)
{
    size_t len = strlen(text);
    int order = memcmp(f.bytes, text, f.len < len ? f.len : len);

    return order != 0 ? order : (f.len > len) - (f.len < len);
}

static uint16_t read16(const unsigned char *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t read32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t read64(const unsigned char *p)
{
    return (uint64_t)read32(p) << 32 | read32(p + 4);
}

enum status db_field_int64(struct db_field f, int64_t *ret_value)
{
    switch (f.len) {
    case 2: *ret_value = (int16_t)read16(f.bytes); return STATUS_OK;
    case 4: *ret_value = (int32_t)read32(f.bytes); return STATUS_OK;
    case 8: *ret_value = (int64_t)read64(f.bytes); return STATUS_OK;
    default: return STATUS_INVALID;
    }
}

enum status db_field_bool(struct db_field f, bool *ret_value)
{
    if (f.len != 1 || f.bytes[0] > 1)
        return STATUS_INVALID;
    *ret_value = f.bytes[0] == 1;
    return STATUS_OK;
}

enum status db_field_instant(struct db_field f, struct instant *ret_value)
{
    int64_t us;

    if (f.len != 8)
        return STATUS_INVALID;
    us = (int64_t)read64(f.bytes);
    if (us != INT64_MAX && us != INT64_MIN && __builtin_add_overflow(us, EPOCH_DAYS * US_PER_DAY, &us))
        return STATUS_INVALID;
    ret_value->us = us;
    return STATUS_OK;
}

static enum status date_from_bytes(const unsigned char *bytes, struct date *ret_value)
{
    int32_t days = (int32_t)read32(bytes);

    if (days != INT32_MAX && days != INT32_MIN && __builtin_add_overflow(days, EPOCH_DAYS, &days))
        return STATUS_INVALID;
    ret_value->days = days;
    return STATUS_OK;
}

enum status db_field_date(struct db_field f, struct date *ret_value)
{
    return f.len == 4 ? date_from_bytes(f.bytes, ret_value) : STATUS_INVALID;
}

/* number of dimensions, has-nulls flag, element type; per dimension size and lower bound; then elements. */
enum status db_field_dates(struct db_field f, struct date *dates, size_t *ret_n)
{
    size_t n;

    if (f.len < 12 || read32(f.bytes + 8) != DATE_TYPE_OID)
        return STATUS_INVALID;
    if (read32(f.bytes) == 0 && f.len == 12) {
        *ret_n = 0;
        return STATUS_OK;
    }
    if (read32(f.bytes) != 1 || f.len < 20 || (f.len - 20) % 8 != 0)
        return STATUS_INVALID;
    n = (f.len - 20) / 8;
    if (read32(f.bytes + 12) != n)
        return STATUS_INVALID;
    for (size_t i = 0; i < n; i++) {
        const unsigned char *element = f.bytes + 20 + 8 * i;
        if (read32(element) != 4 || date_from_bytes(element + 4, &dates[i]) != STATUS_OK)
            return STATUS_INVALID;
    }
    *ret_n = n;
    return STATUS_OK;
}

/* The words of a numeric after its header has been checked against the length. */
struct numeric {
    const unsigned char *digits;
    size_t n;
    int weight;
    uint16_t sign;
};

static enum status parse_numeric(struct db_field f, struct numeric *ret_numeric)
{
    struct numeric num;

    if (f.len < NUMERIC_HEADER)
        return STATUS_INVALID;
    num.n = read16(f.bytes);
    num.weight = (int16_t)read16(f.bytes + 2);
    num.sign = read16(f.bytes + 4);
    num.digits = f.bytes + NUMERIC_HEADER;
    if (f.len != NUMERIC_HEADER + 2 * num.n || read16(f.bytes + 6) > DISPLAY_SCALE_MAX)
        return STATUS_INVALID;
    for (size_t i = 0; i < num.n; i++)
        if (read16(num.digits + 2 * i) >= NUMERIC_BASE)
            return STATUS_INVALID;
    *ret_numeric = num;
    return STATUS_OK;
}

/* |value| in 10^-8 units, rounded; LIMIT_E8 or more: too large. */
static int64_t numeric_magnitude_e8(struct numeric num)
{
    static const int64_t powers[] = {1, 10000, 100000000, 1000000000000, 10000000000000000};
    int64_t sum = 0;
    size_t kept, used; /* digits that count 10^-8 or more: 0 to 5; those of them that are there */
    int position;

    while (num.n > 0 && read16(num.digits) == 0) {
        num.digits += 2;
        num.n--;
        num.weight--;
    }
    if (num.n == 0 || num.weight < -3)
        return 0;
    if (num.weight > 2 || (num.weight == 2 && read16(num.digits) >= 100))
        return LIMIT_E8;
    position = num.weight + 3;
    kept = (size_t)position;
    used = num.n < kept ? num.n : kept;
    for (size_t i = 0; i < used; i++)
        sum = sum * NUMERIC_BASE + read16(num.digits + 2 * i);
    if (used < kept)
        sum *= powers[kept - used];
    if (num.n > kept && read16(num.digits + 2 * kept) >= NUMERIC_BASE / 2)
        sum++;
    return sum;
}

enum status db_field_numeric_e8(struct db_field f, enum numeric_class *ret_class, int64_t *ret_e8)
{
    struct numeric num;
    int64_t magnitude;

    if (parse_numeric(f, &num) != STATUS_OK)
        return STATUS_INVALID;
    switch (num.sign) {
    case SIGN_POSITIVE:
    case SIGN_NEGATIVE: break;
    case SIGN_NAN:
    case SIGN_INFINITY:
    case SIGN_NEGATIVE_INFINITY:
        if (num.n != 0)
            return STATUS_INVALID;
        *ret_class = num.sign == SIGN_NAN ? NUMERIC_NAN : NUMERIC_INFINITE;
        *ret_e8 = 0;
        return STATUS_OK;
    default: return STATUS_INVALID;
    }
    magnitude = numeric_magnitude_e8(num);
    *ret_class = magnitude < LIMIT_E8 ? NUMERIC_FINITE : NUMERIC_TOO_LARGE;
    *ret_e8 = magnitude >= LIMIT_E8 ? 0 : num.sign == SIGN_NEGATIVE ? -magnitude : magnitude;
    return STATUS_OK;
}
