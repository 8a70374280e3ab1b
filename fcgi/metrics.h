/* GET /metrics (api.md 9): Prometheus' text. */
#ifndef PNLCACHE_FCGI_METRICS_H
#define PNLCACHE_FCGI_METRICS_H

#include "fcgi/operations.h"

void metrics_answer(struct operation_context *o, struct exchange *x);

#endif
