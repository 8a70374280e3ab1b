#include "worker/schedule.h"

/* precompute: well within the documents' TTL of 900 s. rollover: days begin on quarters of an hour (the zones' offsets and
 * trading_day_start see to that); five seconds past, all clocks agree that it has begun. warm: between two precomputes.
 * audit: between these. At a worker's start: what all users share, then the users who are likely to come. */
const struct schedule_entry schedule[] = {
    {.job = "audit", .on_calendar = "*:27", .spread_s = 120},
    {.job = "market", .on_calendar = "Mon..Fri *-*-* 9..16:*:40 America/New_York", .spread_s = 5},
    {.job = "precompute", .on_calendar = "*:0/10", .spread_s = 30},
    {.job = "prune", .on_calendar = "*-*-* 3:40 UTC", .spread_s = 1800, .persistent = true},
    {.job = "reference", .on_calendar = "*-*-* 8:10 UTC", .spread_s = 600, .persistent = true, .at_start = true},
    {.job = "rollover", .on_calendar = "*:0/15:05", .spread_s = 5, .persistent = true},
    {.job = "warm", .on_calendar = "*:3/5", .spread_s = 10, .at_start = true},
};
const size_t schedule_length = sizeof schedule / sizeof schedule[0];
