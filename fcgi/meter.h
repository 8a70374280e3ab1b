/* What the responder's threads count about the requests they answer. Each thread writes to a meter of its own, without a lock;
 * a scrape adds them up. */
#ifndef PNLCACHE_FCGI_METER_H
#define PNLCACHE_FCGI_METER_H

#include <stdint.h>

#include "fcgi/exchange.h"

#define METER_ROUTES 48 /* 0: no route; the last: datasets */
#define METER_CODES 20
#define METER_BUCKETS 16

struct meters; /* thread-safe */
struct meter;  /* one thread's */

enum status meters_new(struct meters **ret_meters, struct err *err) MUST_CHECK;
void meters_free(struct meters **meters); /* with all of its meters */
enum status meter_new(struct meters *meters, struct meter **ret_meter, struct err *err) MUST_CHECK;

/* The exchange's response is complete: its route, status, tier, and the time it took. */
void meter_count(struct meter *meter, const struct exchange *x, int64_t now_us);

/* Appends the families of requests, durations and cache results; `route_name` gives the label of a route's number. */
void meters_write(struct meters *meters, const char *(*route_name)(size_t route), struct buf *out);

#endif
