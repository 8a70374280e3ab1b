/* Civil dates in the proleptic Gregorian calendar, without time zones. */
#ifndef PNLCACHE_BASE_CALENDAR_H
#define PNLCACHE_BASE_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

/* A calendar day: days since 1970-01-01 (negative before). Years 0001..9999 are supported. */
struct date {
    int32_t days;
};

struct civil {
    int year, month, day; /* month 1..12, day 1..31 */
};

struct date date_from_civil(int year, int month, int day); /* the parts must be valid */
struct civil date_to_civil(struct date d);
bool civil_is_valid(int year, int month, int day);
int days_in_month(int year, int month);

static inline struct date date_add_days(struct date d, int days)
{
    return (struct date){d.days + days};
}
static inline int date_diff_days(struct date later, struct date earlier)
{
    return later.days - earlier.days;
}
/* Moves by calendar months; the day is clamped to the month's end (31 Aug - 6 months = 28/29 Feb). */
struct date date_add_months(struct date d, int months);
struct date date_first_of_year(struct date d);
struct date date_first_of_month(struct date d);

/* 0 = Sunday ... 6 = Saturday. */
int date_weekday(struct date d);
static inline bool date_is_weekend(struct date d)
{
    int w = date_weekday(d);
    return w == 0 || w == 6;
}
/* ISO 8601 week of the date: week-year and week number 1..53. */
void date_iso_week(struct date d, int *ret_year, int *ret_week);

#define DATE_TEXT_SIZE 11
/* "YYYY-MM-DD". */
void date_format(struct date d, char text[DATE_TEXT_SIZE]);
/* Exactly "YYYY-MM-DD" of a valid date; anything else is STATUS_INVALID. */
enum status date_parse(const char *text, struct date *ret_date) MUST_CHECK;

#endif
