/* The override is two atomics: readers on every thread, one writer (start-up or a test). */
#include "lib/base/clock.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "lib/base/calendar.h"

static atomic_bool overridden;
static _Atomic int64_t override_us;

/* 0001-01-01T00:00:00Z and the last microsecond of 9999: what our texts can show. */
#define US_FIRST (INT64_C(-719162) * US_PER_DAY)
#define US_LAST (INT64_C(2932897) * US_PER_DAY - 1)

static int64_t read_clock_us(clockid_t id)
{
    struct timespec now;

    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000;
}

struct instant clock_now(void)
{
    struct instant as_of;

    if (clock_get_override(&as_of))
        return as_of;
    return (struct instant){read_clock_us(CLOCK_REALTIME)};
}

void clock_set_override(struct instant as_of)
{
    atomic_store(&override_us, as_of.us);
    atomic_store(&overridden, true);
}

void clock_clear_override(void)
{
    atomic_store(&overridden, false);
}

bool clock_get_override(struct instant *ret_as_of)
{
    if (!atomic_load(&overridden))
        return false;
    ret_as_of->us = atomic_load(&override_us);
    return true;
}

int64_t clock_monotonic_us(void)
{
    return read_clock_us(CLOCK_MONOTONIC);
}

int64_t clock_monotonic_ms(void)
{
    return clock_monotonic_us() / 1000;
}

struct parts {
    struct date date;
    int hour, minute, second, micros;
};

static struct parts instant_to_parts(struct instant t)
{
    int64_t us = t.us < US_FIRST ? US_FIRST : t.us > US_LAST ? US_LAST : t.us;
    int64_t days = us / US_PER_DAY, rest = us % US_PER_DAY;
    int seconds;

    if (rest < 0) {
        rest += US_PER_DAY;
        days--;
    }
    seconds = (int)(rest / US_PER_SECOND);
    return (struct parts){
        {(int32_t)days}, seconds / 3600, seconds / 60 % 60, seconds % 60, (int)(rest % US_PER_SECOND)};
}

static struct instant parts_to_instant(const struct parts *p)
{
    int64_t seconds = p->hour * 3600 + p->minute * 60 + p->second;

    return (struct instant){p->date.days * US_PER_DAY + seconds * US_PER_SECOND + p->micros};
}

static void put_digits(char *at, int digits, int value)
{
    while (digits-- > 0) {
        at[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

void instant_format(struct instant t, char text[INSTANT_TEXT_SIZE])
{
    struct parts p = instant_to_parts(t);
    char *end = text + 19;

    /* Several times in each document: no printf. */
    date_format(p.date, text);
    memcpy(text + 10, "T00:00:00.000000", 17);
    put_digits(text + 11, 2, p.hour);
    put_digits(text + 14, 2, p.minute);
    put_digits(text + 17, 2, p.second);
    if (p.micros != 0) {
        put_digits(text + 20, 6, p.micros);
        end = text + 26;
    }
    memcpy(end, "Z", 2);
}

static const char weekday_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void instant_format_http(struct instant t, char text[INSTANT_TEXT_SIZE])
{
    struct parts p = instant_to_parts(t);
    struct civil c = date_to_civil(p.date);

    /* On the hot path of every answer: no printf. */
    memcpy(text, "Xxx, 00 Xxx 0000 00:00:00 GMT", 30);
    memcpy(text, weekday_names[date_weekday(p.date)], 3);
    put_digits(text + 5, 2, c.day);
    memcpy(text + 8, month_names[c.month - 1], 3);
    put_digits(text + 12, 4, c.year);
    put_digits(text + 17, 2, p.hour);
    put_digits(text + 20, 2, p.minute);
    put_digits(text + 23, 2, p.second);
}

static bool two_digits(const char *text, int most, int *ret_value)
{
    if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
        return false;
    *ret_value = (text[0] - '0') * 10 + (text[1] - '0');
    return *ret_value <= most;
}

/* "hh:mm:ss" at `text`, which has at least one more byte or its NUL. */
static bool read_time_of_day(const char *text, struct parts *p)
{
    return strnlen(text, 8) == 8 && text[2] == ':' && text[5] == ':' && two_digits(text, 23, &p->hour) &&
           two_digits(text + 3, 59, &p->minute) && two_digits(text + 6, 59, &p->second);
}

/* Reads ".f" to ".ffffff" when there is a point, and moves the position behind it. */
static bool read_fraction(const char **position, int *ret_micros)
{
    const char *at = *position;
    int micros = 0, unit = 100000;

    if (*at == '.') {
        for (at++; *at >= '0' && *at <= '9'; at++) {
            if (unit == 0)
                return false;
            micros += (*at - '0') * unit;
            unit /= 10;
        }
        if (unit == 100000)
            return false;
    }
    *position = at;
    *ret_micros = micros;
    return true;
}

/* "", "Z" or "+hh:mm" to the end of the text. */
static bool read_offset(const char *text, int64_t *ret_seconds)
{
    int hours, minutes;

    *ret_seconds = 0;
    if (text[0] == '\0' || ((text[0] == 'Z' || text[0] == 'z') && text[1] == '\0'))
        return true;
    if ((text[0] != '+' && text[0] != '-') || strnlen(text, 7) != 6 || text[3] != ':')
        return false;
    if (!two_digits(text + 1, 23, &hours) || !two_digits(text + 4, 59, &minutes))
        return false;
    *ret_seconds = (hours * 60 + minutes) * INT64_C(60) * (text[0] == '-' ? -1 : 1);
    return true;
}

enum status instant_parse(const char *text, struct instant *ret_instant)
{
    char day[DATE_TEXT_SIZE];
    struct parts p = {0};
    const char *at;
    int64_t offset_seconds;
    struct instant t;

    if (strnlen(text, 19) != 19 || (text[10] != 'T' && text[10] != 't' && text[10] != ' '))
        return STATUS_INVALID;
    memcpy(day, text, DATE_TEXT_SIZE - 1);
    day[DATE_TEXT_SIZE - 1] = '\0';
    if (date_parse(day, &p.date) != STATUS_OK || !read_time_of_day(text + 11, &p))
        return STATUS_INVALID;
    at = text + 19;
    if (!read_fraction(&at, &p.micros) || !read_offset(at, &offset_seconds))
        return STATUS_INVALID;
    t = parts_to_instant(&p);
    t.us -= offset_seconds * US_PER_SECOND;
    if (t.us < US_FIRST || t.us > US_LAST)
        return STATUS_INVALID;
    *ret_instant = t;
    return STATUS_OK;
}

enum status instant_parse_http(const char *text, struct instant *ret_instant)
{
    struct parts p = {0};
    char canonical[INSTANT_TEXT_SIZE];
    int day, month, century, year;
    struct instant t;

    if (strnlen(text, 30) != 29 || !two_digits(text + 5, 31, &day) || !two_digits(text + 12, 99, &century) ||
        !two_digits(text + 14, 99, &year) || !read_time_of_day(text + 17, &p))
        return STATUS_INVALID;
    for (month = 0; month < 12; month++)
        if (memcmp(text + 8, month_names[month], 3) == 0)
            break;
    if (month == 12 || !civil_is_valid(century * 100 + year, month + 1, day))
        return STATUS_INVALID;
    p.date = date_from_civil(century * 100 + year, month + 1, day);
    t = parts_to_instant(&p);
    /* There is one spelling of each instant, so the fixed parts and the weekday need no checks of their own. */
    instant_format_http(t, canonical);
    if (strcmp(canonical, text) != 0)
        return STATUS_INVALID;
    *ret_instant = t;
    return STATUS_OK;
}
