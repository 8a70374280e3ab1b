/* What the responder's threads count about the requests they answer. Each thread writes to a meter of its own, without a lock;
 * a scrape adds them up. */
#ifndef PNLCACHE_FCGI_METER_H
#define PNLCACHE_FCGI_METER_H

#include <stdint.h>

#include "fcgi/exchange.h"

#define METER_OWN_ROUTES 48                               /* 0: no route; the program's own */
#define METER_ROUTES (METER_OWN_ROUTES + DATASET_NUMBERS) /* then the datasets, by number */
#define METER_CODES 21
#define METER_BUCKETS 16

struct meters; /* thread-safe */
struct meter;  /* one thread's */

enum status meters_new(struct meters **ret_meters, struct err *err) MUST_CHECK;
void meters_free(struct meters **meters); /* with all of its meters */
enum status meter_new(struct meters *meters, struct meter **ret_meter, struct err *err) MUST_CHECK;

/* The exchange's response is complete: its route, status, tier, and the time it took. */
void meter_count(struct meter *meter, const struct exchange *x, int64_t now_us);

/* What a route has come to, and how long answers took, over all threads. */
struct meter_route {
    int64_t requests, errors; /* errors: answered 5xx */
    int64_t results[RESPONSE_TIERS];
};
struct meter_times {
    int64_t answers[RESPONSE_TIERS], total_us[RESPONSE_TIERS];
};
void meters_read_route(struct meters *meters, size_t route, struct meter_route *ret_route);
void meters_read_times(struct meters *meters, struct meter_times *ret_times);

#define METER_LABEL_SIZE 64
typedef void meter_labeller(size_t route, char label[METER_LABEL_SIZE]);
/* Appends the families of requests, durations and cache results; `label_of` gives the label of a route's number. */
void meters_write(struct meters *meters, meter_labeller *label_of, struct buf *out);

#endif
