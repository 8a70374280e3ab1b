/* Options metrics (metrics.md 13). */
#ifndef PNLCACHE_JOBS_ANALYTICS_OPTIONS_METRICS_H
#define PNLCACHE_JOBS_ANALYTICS_OPTIONS_METRICS_H

#include "jobs/analytics/tally.h"
#include "lib/json/json_writer.h"

/* [0] long, [1] short. */
struct options_metrics {
    size_t n[2];
    wide_int premium_e8[2], net_e8[2];
    size_t contracts, n_puts, n_iv;
    wide_int dte, iv_e8;
    size_t by_status[OPTION_EXERCISED + 1];
};

void options_metrics_add_option(struct options_metrics *m, const struct trade_values *v);
/* Only option trades count. */
static inline void options_metrics_add(struct options_metrics *m, const struct trade_values *v)
{
    if (v->trade->option)
        options_metrics_add_option(m, v);
}
void options_metrics_merge(struct options_metrics *into, const struct options_metrics *later);
/* The object `options_metrics`. */
void options_metrics_write(const struct options_metrics *m, struct json_writer *w);

#endif
