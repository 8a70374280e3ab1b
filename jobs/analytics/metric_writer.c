#include "jobs/analytics/metric_writer.h"

#include <math.h>

void write_count(struct json_writer *w, const char *key, size_t n)
{
    json_key(w, key);
    json_int(w, (int64_t)n);
}

void write_money(struct json_writer *w, const char *key, wide_int value_e8)
{
    json_key(w, key);
    json_decimal(w, value_e8, 8, 4);
}

void write_money_mean(struct json_writer *w, const char *key, wide_int sum_e8, size_t n)
{
    json_key(w, key);
    json_ratio(w, sum_e8, (wide_int)n * MONEY_SCALE, 4);
}

void write_ratio(struct json_writer *w, const char *key, wide_int numerator, wide_int denominator)
{
    json_key(w, key);
    json_ratio(w, numerator, denominator, 6);
}

void write_percentage(struct json_writer *w, const char *key, wide_int numerator, wide_int denominator)
{
    json_key(w, key);
    json_ratio(w, 100 * numerator, denominator, 4);
}

void write_days_mean(struct json_writer *w, const char *key, wide_int sum_us, size_t n)
{
    json_key(w, key);
    json_ratio(w, sum_us, (wide_int)n * US_PER_DAY, 6);
}

void write_float(struct json_writer *w, const char *key, double value, int decimals)
{
    json_key(w, key);
    if (isfinite(value))
        json_double(w, value, decimals);
    else
        json_null_number(w);
}

void write_float_mean(struct json_writer *w, const char *key, double sum, size_t n, int decimals)
{
    write_float(w, key, n == 0 ? NAN : sum / (double)n, decimals);
}

void payoff_ratio(const struct totals *t, wide_int *ret_numerator, wide_int *ret_denominator)
{
    *ret_numerator = t->gross_profit_e8 * (wide_int)t->losses;
    *ret_denominator = -t->gross_loss_e8 * (wide_int)t->wins;
}

void write_payoff(struct json_writer *w, const char *key, const struct totals *t)
{
    wide_int numerator, denominator;

    payoff_ratio(t, &numerator, &denominator);
    write_ratio(w, key, numerator, denominator);
}

void write_trade_name(struct json_writer *w, const struct trade *trade, struct text_ref symbol)
{
    json_key(w, "trade_type");
    json_string(w, trade->option ? "option" : "stock");
    json_key(w, "trade_id");
    json_int(w, trade->id);
    json_key(w, "symbol");
    json_string_bytes(w, symbol.bytes, symbol.len);
}

void write_instant(struct json_writer *w, const char *key, struct instant t)
{
    char text[INSTANT_TEXT_SIZE];

    instant_format(t, text);
    json_key(w, key);
    json_string(w, text);
}

void write_date(struct json_writer *w, const char *key, bool known, struct date d)
{
    char text[DATE_TEXT_SIZE];

    json_key(w, key);
    if (!known) {
        json_null(w);
        return;
    }
    date_format(d, text);
    json_string(w, text);
}
