#include "tests/support/check_value.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/calendar.h"

const char *document;
const char *context;

const char *found(const char *key)
{
    char wanted[100];
    const char *at;

    (void)snprintf(wanted, sizeof wanted, "\"%s\":", key);
    at = strstr(document, wanted);
    if (at == NULL)
        fail_msg("%s: no %s", context, key);
    return at + strlen(wanted);
}

static bool starts_value(const char *at, const char *expected)
{
    size_t len = strlen(expected);

    return strncmp(at, expected, len) == 0 && strchr(",}]", at[len]) != NULL;
}

void check_exact(const char *key, wide_int num, wide_int den, int decimals)
{
    char digits[64], expected[80];
    wide_uint scaled, power = 1;
    bool negative = (num < 0) != (den < 0);
    const char *at = found(key);
    size_t n;

    if (den == 0) {
        if (!starts_value(at, "null"))
            fail_msg("%s: %s is %.30s, expected null", context, key, at);
        return;
    }
    for (int i = 0; i < decimals; i++)
        power *= 10;
    num = num < 0 ? -num : num;
    den = den < 0 ? -den : den;
    scaled = ((wide_uint)num * power * 2 + (wide_uint)den) / ((wide_uint)den * 2);
    (void)snprintf(digits, sizeof digits, "%llu.%0*llu", (unsigned long long)(scaled / power), decimals,
                   (unsigned long long)(scaled % power));
    n = strlen(digits);
    while (digits[n - 1] == '0')
        n--;
    n -= digits[n - 1] == '.';
    (void)snprintf(expected, sizeof expected, "%s%.*s", negative && scaled != 0 ? "-" : "", (int)n, digits);
    if (!starts_value(at, expected))
        fail_msg("%s: %s is %.30s, expected %s", context, key, at, expected);
}

void check_count(const char *key, int64_t expected)
{
    check_exact(key, expected, 1, 1);
}

void check_float(const char *key, long double expected, int decimals)
{
    const char *at = found(key);
    long double value, allowed = powl(10, -decimals) * 1.001L + fabsl(expected) * 1e-9L;

    if (isnan(expected)) {
        if (!starts_value(at, "null"))
            fail_msg("%s: %s is %.30s, expected null", context, key, at);
        return;
    }
    value = strtold(at, NULL);
    if (starts_value(at, "null") || !(fabsl(value - expected) <= allowed))
        fail_msg("%s: %s is %.30s, expected %.12Lg", context, key, at, expected);
}

void check_day(const char *key, bool known, int64_t day)
{
    char date[DATE_TEXT_SIZE], expected[20] = "null";
    struct date d = {(int32_t)day};

    if (known) {
        date_format(d, date);
        (void)snprintf(expected, sizeof expected, "\"%s\"", date);
    }
    if (!starts_value(found(key), expected))
        fail_msg("%s: %s is %.30s, expected %s", context, key, found(key), expected);
}
