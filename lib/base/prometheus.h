/* Prometheus' text format, version 0.0.4. Names, labels and help texts come from our own tables: nothing is escaped. */
#ifndef PNLCACHE_BASE_PROMETHEUS_H
#define PNLCACHE_BASE_PROMETHEUS_H

#include "lib/base/buf.h"

#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The two lines in front of a metric's samples; type: "counter", "gauge", "histogram" or "summary". */
void prometheus_family(struct buf *out, const char *name, const char *type, const char *help);
/* One sample; labels: `route="/x",code="200"`, or NULL. */
void prometheus_sample(struct buf *out, const char *name, const char *labels, int64_t value);
/* One sample of seconds, with six decimals. */
void prometheus_seconds(struct buf *out, const char *name, const char *labels, int64_t us);
/* A family of one sample. */
void prometheus_single(struct buf *out, const char *name, const char *type, const char *help, int64_t value);

#endif
