/* When a job is due, in the notation of systemd.time(7)'s calendar events, so that the schedule in the code and the timers
 * in systemd/ say the same in the same words. Of that notation:
 *
 *   [WEEKDAYS] [*-*-*] HOURS:MINUTES[:SECONDS] [ZONE]
 *
 * WEEKDAYS: Mon..Fri, Sat,Sun. HOURS, MINUTES, SECONDS: lists of N, A..B, A/STEP, A..B/STEP, or *. ZONE: UTC or an IANA name;
 * without one the hours must be *, because what an hour means would depend on the machine (every zone's offset is a
 * multiple of fifteen minutes, so minutes and seconds do not). A local time that a clock change skips is left out, one
 * that it repeats comes twice. */
#ifndef PNLCACHE_WORKER_CALENDAR_EVENT_H
#define PNLCACHE_WORKER_CALENDAR_EVENT_H

#include "lib/base/err.h"
#include "lib/base/timezone.h"

/* Sets of numbers: bit n stands for n. */
struct calendar_event {
    uint64_t weekdays; /* 0 = Sunday */
    uint64_t hours, minutes, seconds;
    const struct timezone *zone;
};

/* STATUS_INVALID: not this notation; STATUS_NOT_FOUND: an unknown zone. */
enum status calendar_event_parse(const char *text, struct calendar_event *ret_event, struct err *err) MUST_CHECK;
/* The first whole second after `after` that the event names. Walks minute by minute: up to a few milliseconds for one a
 * week away. */
struct instant calendar_event_next(const struct calendar_event *event, struct instant after);

#endif
