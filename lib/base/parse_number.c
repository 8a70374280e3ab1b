#include "lib/base/parse_number.h"

#include <stdbool.h>
#include <string.h>

/* Digits are collected as a magnitude that saturates, so that any number of digits is judged by
 * the range and not refused as malformed. */
static bool read_digits(const char *text, size_t len, uint64_t *ret_magnitude)
{
    uint64_t magnitude = 0;

    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)((unsigned char)text[i] - '0');
        if (digit > 9)
            return false;
        if (magnitude > (UINT64_MAX - digit) / 10)
            magnitude = UINT64_MAX;
        else
            magnitude = magnitude * 10 + digit;
    }
    *ret_magnitude = magnitude;
    return true;
}

enum status parse_int64_bytes(const char *text, size_t len, int64_t min, int64_t max, int64_t *ret_value)
{
    bool negative = len > 0 && text[0] == '-';
    uint64_t magnitude, most = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    int64_t value;

    if (!read_digits(text + negative, len - negative, &magnitude))
        return STATUS_INVALID;
    if (magnitude > most)
        return STATUS_LIMIT;
    value = (int64_t)(negative ? 0 - magnitude : magnitude);
    if (value < min || value > max)
        return STATUS_LIMIT;
    *ret_value = value;
    return STATUS_OK;
}

enum status parse_int64(const char *text, int64_t min, int64_t max, int64_t *ret_value)
{
    return parse_int64_bytes(text, strlen(text), min, max, ret_value);
}

enum status parse_hex64(const char *text, size_t len, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (len < 1 || len > 16)
        return STATUS_INVALID;
    for (size_t i = 0; i < len; i++) {
        unsigned c = (unsigned char)text[i], digit;
        if (c - '0' <= 9)
            digit = c - '0';
        else if ((c | 0x20) - 'a' <= 5)
            digit = (c | 0x20) - 'a' + 10;
        else
            return STATUS_INVALID;
        value = value << 4 | digit;
    }
    *ret_value = value;
    return STATUS_OK;
}
