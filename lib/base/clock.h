/* Instants and the clocks they come from. */
#ifndef PNLCACHE_BASE_CLOCK_H
#define PNLCACHE_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/status.h"

/* A point in time: microseconds since 1970-01-01T00:00:00Z. */
struct instant {
    int64_t us;
};

#define INSTANT_NEVER ((struct instant){INT64_MAX})
#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY (INT64_C(86400) * US_PER_SECOND)

/* Wall clock now, or the instant set by clock_set_override() (--as-of; tests). */
struct instant clock_now(void);
void clock_set_override(struct instant as_of);
void clock_clear_override(void);
/* True and the instant when an override is in force. */
bool clock_get_override(struct instant *ret_as_of);

/* Monotonic milliseconds / microseconds, for deadlines and durations; never overridden. */
int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);

#define INSTANT_TEXT_SIZE 40
/* "YYYY-MM-DDTHH:MM:SSZ", with ".ffffff" only when not zero. */
void instant_format(struct instant t, char text[INSTANT_TEXT_SIZE]);
/* HTTP date (RFC 9110 IMF-fixdate), whole seconds, rounded down. */
void instant_format_http(struct instant t, char text[INSTANT_TEXT_SIZE]);
/* RFC 3339 date-time; 'T' or a space, up to 6 decimals (more: refused), offset "Z" or "+hh:mm";
 * no offset means UTC. Years 0001..9999. Anything else is STATUS_INVALID. */
enum status instant_parse(const char *text, struct instant *ret_instant) MUST_CHECK;
/* IMF-fixdate only (If-Modified-Since). */
enum status instant_parse_http(const char *text, struct instant *ret_instant) MUST_CHECK;

#endif
