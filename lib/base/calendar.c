/* Days are counted in 400-year cycles of 146097 days whose years begin on 1 March, so that the leap
 * day is the last of its year and month lengths follow one linear formula. */
#include "lib/base/calendar.h"

#include <string.h>

enum {
    DAYS_PER_CYCLE = 146097,
    CYCLE_EPOCH = 719468, /* days from 0000-03-01 to 1970-01-01 */
    DAYS_FIRST = -719162, /* 0001-01-01 */
    DAYS_LAST = 2932896,  /* 9999-12-31 */
};

static int64_t floor_divide(int64_t value, int64_t divisor)
{
    int64_t quotient = value / divisor;

    return value % divisor < 0 ? quotient - 1 : quotient;
}

struct date date_from_civil(int year, int month, int day)
{
    int64_t march_year = (int64_t)year - (month <= 2);
    int64_t cycle = floor_divide(march_year, 400);
    int64_t year_of_cycle = march_year - cycle * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;

    return (struct date){(int32_t)(cycle * DAYS_PER_CYCLE + day_of_cycle - CYCLE_EPOCH)};
}

struct civil date_to_civil(struct date d)
{
    int64_t days = (int64_t)d.days + CYCLE_EPOCH;
    int64_t cycle = floor_divide(days, DAYS_PER_CYCLE);
    int day_of_cycle = (int)(days - cycle * DAYS_PER_CYCLE);
    int year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36524 - day_of_cycle / (DAYS_PER_CYCLE - 1)) / 365;
    int day_of_year = day_of_cycle - (year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100);
    int march_month = (day_of_year * 5 + 2) / 153;
    struct civil c;

    c.day = day_of_year - (march_month * 153 + 2) / 5 + 1;
    c.month = march_month < 10 ? march_month + 3 : march_month - 9;
    c.year = (int)(cycle * 400) + year_of_cycle + (c.month <= 2);
    return c;
}

static bool is_leap_year(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int days_in_month(int year, int month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return month == 2 && is_leap_year(year) ? 29 : days[month - 1];
}

bool civil_is_valid(int year, int month, int day)
{
    return year >= 1 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 && day <= days_in_month(year, month);
}

struct date date_add_months(struct date d, int months)
{
    struct civil c = date_to_civil(d);
    int64_t count = (int64_t)c.year * 12 + (c.month - 1) + months;
    int year = (int)floor_divide(count, 12);
    int month = (int)(count - (int64_t)year * 12) + 1;
    int last = days_in_month(year, month);

    return date_from_civil(year, month, c.day < last ? c.day : last);
}

struct date date_first_of_year(struct date d)
{
    return date_from_civil(date_to_civil(d).year, 1, 1);
}

struct date date_first_of_month(struct date d)
{
    struct civil c = date_to_civil(d);

    return date_from_civil(c.year, c.month, 1);
}

int date_weekday(struct date d)
{
    int weekday = (int)(((int64_t)d.days + 4) % 7); /* 1970-01-01 was a Thursday */

    return weekday < 0 ? weekday + 7 : weekday;
}

void date_iso_week(struct date d, int *ret_year, int *ret_week)
{
    /* The week belongs to the year its Thursday lies in. */
    int monday_based = (date_weekday(d) + 6) % 7;
    struct date thursday = date_add_days(d, 3 - monday_based);

    *ret_year = date_to_civil(thursday).year;
    *ret_week = date_diff_days(thursday, date_first_of_year(thursday)) / 7 + 1;
}

static void put_digits(char *text, int value, int width)
{
    while (width-- > 0) {
        text[width] = (char)('0' + value % 10);
        value /= 10;
    }
}

void date_format(struct date d, char text[DATE_TEXT_SIZE])
{
    struct civil c;

    if (d.days < DAYS_FIRST)
        d.days = DAYS_FIRST;
    if (d.days > DAYS_LAST)
        d.days = DAYS_LAST;
    c = date_to_civil(d);
    put_digits(text, c.year, 4);
    text[4] = '-';
    put_digits(text + 5, c.month, 2);
    text[7] = '-';
    put_digits(text + 8, c.day, 2);
    text[10] = '\0';
}

static bool read_digits(const char *text, int width, int *ret_value)
{
    int value = 0;

    for (int i = 0; i < width; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
    }
    *ret_value = value;
    return true;
}

enum status date_parse(const char *text, struct date *ret_date)
{
    int year, month, day;

    if (strnlen(text, DATE_TEXT_SIZE) != DATE_TEXT_SIZE - 1 || text[4] != '-' || text[7] != '-')
        return STATUS_INVALID;
    if (!read_digits(text, 4, &year) || !read_digits(text + 5, 2, &month) || !read_digits(text + 8, 2, &day))
        return STATUS_INVALID;
    if (!civil_is_valid(year, month, day))
        return STATUS_INVALID;
    *ret_date = date_from_civil(year, month, day);
    return STATUS_OK;
}
