/* The P&L calendar of one month (metrics.md 15). */
#ifndef PNLCACHE_JOBS_ANALYTICS_PNL_CALENDAR_H
#define PNLCACHE_JOBS_ANALYTICS_PNL_CALENDAR_H

#include "jobs/analytics/journal.h"
#include "lib/json/json_writer.h"

/* month: any day of it. By exit trading day; weeks begin as the account says. One look at every trade. */
void pnl_calendar_write(const struct journal *journal, enum asset asset, struct date month, struct json_writer *w);

#endif
