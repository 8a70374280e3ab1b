/* Numbers in JSON text against exact ones (metrics.md 4), digit for digit. A difference fails the test, named by `context`. */
#ifndef PNLCACHE_TESTS_SUPPORT_CHECK_VALUE_H
#define PNLCACHE_TESTS_SUPPORT_CHECK_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/money.h"

extern const char *document; /* the text looked into: the first member of a name counts */
extern const char *context;

/* What follows the member's name. */
const char *found(const char *key);
/* Class E: the digits of num/den rounded half away from zero. den 0: null. */
void check_exact(const char *key, wide_int num, wide_int den, int decimals);
void check_count(const char *key, int64_t expected);
/* Class F: one unit in the last place or 1e-9. NAN: null. */
void check_float(const char *key, long double expected, int decimals);
/* A date, or null when not known. day: since 1970-01-01. */
void check_day(const char *key, bool known, int64_t day);

#endif
