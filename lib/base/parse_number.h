/* Whole-string integer parsing: no spaces, no '+', no trailing bytes, no octal. */
#ifndef PNLCACHE_BASE_PARSE_NUMBER_H
#define PNLCACHE_BASE_PARSE_NUMBER_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/status.h"

/* STATUS_INVALID: not a decimal integer; STATUS_LIMIT: outside min..max. */
enum status parse_int64(const char *text, int64_t min, int64_t max, int64_t *ret_value) MUST_CHECK;
/* The same for `len` bytes that are not NUL-terminated. */
enum status parse_int64_bytes(const char *text, size_t len, int64_t min, int64_t max, int64_t *ret_value) MUST_CHECK;
/* 1..16 lower- or upper-case hexadecimal digits. */
enum status parse_hex64(const char *text, size_t len, uint64_t *ret_value) MUST_CHECK;

#endif
