/* Telling systemd how we are (sd_notify(3)'s protocol: one datagram), without its library. Without
 * NOTIFY_SOCKET every call does nothing. */
#ifndef PNLCACHE_BASE_SERVICE_NOTIFY_H
#define PNLCACHE_BASE_SERVICE_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=..."; several separated by line ends. */
void service_notify(const char *state);
/* RELOADING=1 with the moment, which newer systemd asks for. READY=1 ends it. */
void service_notify_reloading(void);
/* WATCHDOG_USEC if it is meant for this process, in milliseconds; 0: no watchdog. */
int64_t service_watchdog_ms(void);

#endif
