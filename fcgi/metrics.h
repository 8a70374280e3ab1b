/* GET /metrics (api.md 9). A thread of its own answers, with its own connections, since it asks Redis and the database how they
 * are: a scrape never delays a request. */
#ifndef PNLCACHE_FCGI_METRICS_H
#define PNLCACHE_FCGI_METRICS_H

#include "fcgi/exchange.h"
#include "fcgi/responder.h"

struct metrics;

/* `on_done` is called on the thread when an exchange's response is complete. */
enum status metrics_start(struct responder *responder, void (*on_done)(struct exchange *x),
                          struct metrics **ret_metrics, struct err *err) MUST_CHECK;
/* Answers what waits, and frees everything. */
void metrics_stop(struct metrics **metrics);

/* Hands the exchange over until on_done. STATUS_LIMIT: too many scrapes wait. */
enum status metrics_submit(struct metrics *metrics, struct exchange *x) MUST_CHECK;

#endif
