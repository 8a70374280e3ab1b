#include "worker/calendar_event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse_number.h"

#define WORD_MAX 64
#define WALK_MINUTES (15 * 1440) /* a weekly event whose hour a clock change skips comes a week later */

/* --- parsing ----------------------------------------------------------------------------------------- */

/* A number or a name at *at, which moves behind it. */
typedef bool read_value(const char **at, int *ret_value);

static bool read_number(const char **at, int *ret_value)
{
    size_t len = strspn(*at, "0123456789");
    int64_t value;

    if (parse_int64_bytes(*at, len, 0, 59, &value) != STATUS_OK &&
        (len != 2 || (*at)[0] != '0' || parse_int64_bytes(*at + 1, 1, 0, 9, &value) != STATUS_OK))
        return false;
    *at += len;
    *ret_value = (int)value;
    return true;
}

static bool read_weekday(const char **at, int *ret_value)
{
    static const char names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

    for (int i = 0; i < 7; i++)
        if (strncmp(*at, names[i], 3) == 0) {
            *at += 3;
            *ret_value = i;
            return true;
        }
    return false;
}

/* "A", "A..B", "A/STEP", "A..B/STEP" at *at; adds to *set the numbers below `limit`. */
static bool read_range(const char **at, read_value *read, int limit, uint64_t *set)
{
    int first, last, step = 0;

    if (!read(at, &first) || first >= limit)
        return false;
    last = first;
    if (strncmp(*at, "..", 2) == 0) {
        *at += 2;
        if (!read(at, &last) || last >= limit || last < first)
            return false;
        step = 1;
    }
    if (**at == '/') {
        ++*at;
        if (step == 0)
            last = limit - 1;
        if (!read_number(at, &step) || step == 0)
            return false;
    }
    for (int i = first; i <= last; i += step > 0 ? step : 1)
        *set |= UINT64_C(1) << i;
    return true;
}

/* A list of ranges, or *; to the end of the text. */
static bool read_set(const char *text, read_value *read, int limit, uint64_t *ret_set)
{
    *ret_set = 0;
    if (strcmp(text, "*") == 0) {
        *ret_set = (UINT64_C(1) << limit) - 1;
        return true;
    }
    while (read_range(&text, read, limit, ret_set)) {
        if (*text == '\0')
            return true;
        if (*text++ != ',')
            return false;
    }
    return false;
}

/* "HOURS:MINUTES[:SECONDS]"; `word` is cut up. */
static bool read_time(char *word, struct calendar_event *event)
{
    const char *hours = strsep(&word, ":"), *minutes = strsep(&word, ":"), *seconds = strsep(&word, ":");

    return minutes != NULL && word == NULL && read_set(hours, read_number, 24, &event->hours) &&
           read_set(minutes, read_number, 60, &event->minutes) &&
           read_set(seconds == NULL ? "0" : seconds, read_number, 60, &event->seconds);
}

enum status calendar_event_parse(const char *text, struct calendar_event *ret_event, struct err *err)
{
    struct calendar_event event = {.weekdays = 0x7f};
    char copy[WORD_MAX], *position, *word;
    const char *zone = "UTC";
    enum status status;

    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy)
        return err_fail(err, STATUS_INVALID, "'%s' is too long for a calendar event", text);
    word = strtok_r(copy, " ", &position);
    if (word != NULL && read_set(word, read_weekday, 7, &event.weekdays))
        word = strtok_r(NULL, " ", &position);
    else
        event.weekdays = 0x7f;
    if (word != NULL && strcmp(word, "*-*-*") == 0)
        word = strtok_r(NULL, " ", &position);
    if (word == NULL || !read_time(word, &event))
        return err_fail(err, STATUS_INVALID, "'%s' is no calendar event of the kind Mon..Fri *-*-* 9..16:0/5:30 UTC",
                        text);
    word = strtok_r(NULL, " ", &position);
    if (word != NULL)
        zone = word;
    else if (event.hours != (1 << 24) - 1)
        return err_fail(err, STATUS_INVALID, "'%s' names hours, but no time zone", text);
    if (strtok_r(NULL, " ", &position) != NULL)
        return err_fail(err, STATUS_INVALID, "'%s' goes on after the time zone", text);
    status = timezone_open(zone, &event.zone, err);
    if (status == STATUS_OK)
        *ret_event = event;
    return status;
}

/* --- the next time ----------------------------------------------------------------------------------- */

static bool has(uint64_t set, int value)
{
    return (set >> value & 1) != 0;
}

/* The first second of the minute that begins at `minute`, not before `from`; false: none. */
static bool find_second(const struct calendar_event *event, struct instant minute, struct instant from,
                        struct instant *ret_time)
{
    struct local_time local = timezone_to_local(event->zone, minute);

    if (!has(event->weekdays, date_weekday(local.date)) || !has(event->hours, local.hour) ||
        !has(event->minutes, local.minute))
        return false;
    for (int second = 0; second < 60; second++) {
        ret_time->us = minute.us + second * US_PER_SECOND;
        if (has(event->seconds, second) && ret_time->us >= from.us)
            return true;
    }
    return false;
}

struct instant calendar_event_next(const struct calendar_event *event, struct instant after)
{
    const int64_t us_per_minute = 60 * US_PER_SECOND;
    struct instant from = {after.us + 1},
                   minute = {after.us - (after.us % us_per_minute + us_per_minute) % us_per_minute};
    struct instant found;

    for (int i = 0; i < WALK_MINUTES; i++, minute.us += us_per_minute)
        if (find_second(event, minute, from, &found))
            return found;
    return INSTANT_NEVER;
}
