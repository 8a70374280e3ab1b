/* One metric as a JSON member, at the scale of its kind (metrics.md 4.3). A zero count or denominator is
 * an undefined number. */
#ifndef PNLCACHE_JOBS_ANALYTICS_METRIC_WRITER_H
#define PNLCACHE_JOBS_ANALYTICS_METRIC_WRITER_H

#include "jobs/analytics/tally.h"
#include "lib/json/json_writer.h"

void write_count(struct json_writer *w, const char *key, size_t n);
void write_money(struct json_writer *w, const char *key, wide_int value_e8);
void write_money_mean(struct json_writer *w, const char *key, wide_int sum_e8, size_t n);
/* numerator / denominator, 6 decimals. */
void write_ratio(struct json_writer *w, const char *key, wide_int numerator, wide_int denominator);
/* 100 x numerator / denominator, 4 decimals. */
void write_percentage(struct json_writer *w, const char *key, wide_int numerator, wide_int denominator);
/* Mean of durations in days, 6 decimals. */
void write_days_mean(struct json_writer *w, const char *key, wide_int sum_us, size_t n);
/* Class F; NAN or infinite: undefined. */
void write_float(struct json_writer *w, const char *key, double value, int decimals);
void write_float_mean(struct json_writer *w, const char *key, double sum, size_t n, int decimals);
/* average win / |average loss|: win_loss_ratio and its other names. */
void write_payoff(struct json_writer *w, const char *key, const struct totals *totals);
/* trade_type, trade_id and symbol, members of the object that is open. */
void write_trade_name(struct json_writer *w, const struct trade *trade, struct text_ref symbol);
void write_instant(struct json_writer *w, const char *key, struct instant t);
/* null when not `known`. */
void write_date(struct json_writer *w, const char *key, bool known, struct date d);

/* The exact rational of win_loss_ratio; denominator 0 when undefined. */
void payoff_ratio(const struct totals *totals, wide_int *ret_numerator, wide_int *ret_denominator);

#endif
