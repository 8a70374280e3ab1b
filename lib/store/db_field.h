/* PostgreSQL's binary representations, decoded with bounds checked: a view over foreign tables, or
 * a damaged stream, can deliver anything. Pure code: no connection needed. */
#ifndef PNLCACHE_STORE_DB_FIELD_H
#define PNLCACHE_STORE_DB_FIELD_H

#include "lib/base/calendar.h"
#include "lib/base/clock.h"
#include "lib/base/status.h"
#include "lib/store/db.h"

static inline bool db_field_is_null(struct db_field f)
{
    return f.bytes == NULL;
}

/* As strcmp(), of a field that is not null. */
int db_field_compare_text(struct db_field f, const char *text);

/* Each: STATUS_OK, or STATUS_INVALID when the length or contents do not fit the type. The field
 * must not be NULL. */
enum status db_field_int64(struct db_field f, int64_t *ret_value) MUST_CHECK; /* int2, int4 or int8 */
enum status db_field_bool(struct db_field f, bool *ret_value) MUST_CHECK;
/* timestamptz; 'infinity' gives INSTANT_NEVER, '-infinity' INT64_MIN. */
enum status db_field_instant(struct db_field f, struct instant *ret_value) MUST_CHECK;
/* date; infinities give INT32_MAX / INT32_MIN days. */
enum status db_field_date(struct db_field f, struct date *ret_value) MUST_CHECK;
/* date[] of at most one dimension, in its order, into the caller's `dates`, which has room for f.len / 8 of
 * them (there cannot be more). A null element is STATUS_INVALID. */
enum status db_field_dates(struct db_field f, struct date *dates, size_t *ret_n) MUST_CHECK;

enum numeric_class { NUMERIC_FINITE, NUMERIC_NAN, NUMERIC_INFINITE, NUMERIC_TOO_LARGE };
/* numeric to 10^-8 units, rounded half away from zero as NUMERIC(18,8) would be. *ret_class says
 * whether *ret_e8 is meaningful; NUMERIC_TOO_LARGE: 10^10 units or more in size after rounding. */
enum status db_field_numeric_e8(struct db_field f, enum numeric_class *ret_class, int64_t *ret_e8) MUST_CHECK;

#endif
