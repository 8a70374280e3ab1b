#include "jobs/dataset_indicators.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/analytics/indicators.h"
#include "jobs/analytics/metric_writer.h"
#include "lib/base/parse_number.h"
#include "lib/store/db_field.h"

#define PRICE_DECIMALS 8
#define PERCENT_DECIMALS 4

/* --- parameters ------------------------------------------------------------------------------ */

enum which {
    DAYS,
    SMA,
    EMA,
    RSI,
    MACD_FAST,
    MACD_SLOW,
    MACD_SIGNAL,
    BOLLINGER,
    BOLLINGER_WIDTH,
    ATR,
    VOLATILITY,
    N_PARAMS
};

static const struct {
    const char *name;
    enum dataset_type type;
    int64_t min; /* the least the header may allow */
} params[N_PARAMS] = {
    [DAYS] = {"days", DATASET_INTEGER, 1},
    [SMA] = {"sma", DATASET_INTEGER, 1},
    [EMA] = {"ema", DATASET_INTEGER, 1},
    [RSI] = {"rsi", DATASET_INTEGER, 1},
    [MACD_FAST] = {"macd_fast", DATASET_INTEGER, 1},
    [MACD_SLOW] = {"macd_slow", DATASET_INTEGER, 1},
    [MACD_SIGNAL] = {"macd_signal", DATASET_INTEGER, 1},
    [BOLLINGER] = {"bollinger", DATASET_INTEGER, 2},
    [BOLLINGER_WIDTH] = {"bollinger_width", DATASET_DECIMAL, 1},
    [ATR] = {"atr", DATASET_INTEGER, 1},
    [VOLATILITY] = {"volatility", DATASET_INTEGER, 2},
};

bool dataset_indicators_take(const char *param)
{
    for (size_t i = 0; i < N_PARAMS; i++)
        if (strcmp(params[i].name, param) == 0)
            return true;
    return false;
}

enum status dataset_indicators_check(const struct dataset *d, struct err *err)
{
    if (d->one_row)
        return err_fail(err, STATUS_INVALID, "compute: indicators is a list");
    if (d->until != NULL)
        return err_fail(err, STATUS_INVALID, "compute: indicators has no valid-until");
    for (size_t i = 0; i < N_PARAMS; i++) {
        int at = dataset_param_find(d, params[i].name, strlen(params[i].name));
        const struct dataset_param *p = at >= 0 ? &d->params[at] : NULL;
        if (p == NULL || p->type != params[i].type || p->list_max > 0 || p->min < params[i].min ||
            !(p->required || p->fallback))
            return err_fail(err, STATUS_INVALID, "compute: indicators needs a parameter '%s %s %s..MAX' with a default",
                            params[i].name, params[i].type == DATASET_INTEGER ? "integer" : "decimal",
                            params[i].min > 1                   ? "2"
                            : params[i].type == DATASET_INTEGER ? "1"
                                                                : "0.00000001");
    }
    return STATUS_OK;
}

static int64_t value_of(const struct dataset_request *r, enum which which)
{
    int at = dataset_param_find(r->dataset, params[which].name, strlen(params[which].name));
    const char *text = at >= 0 ? dataset_request_value(r, (size_t)at) : NULL;
    int64_t value = params[which].min;

    /* Canonical, and of the type that was checked. */
    if (text == NULL || (params[which].type == DATASET_INTEGER ? parse_int64(text, 1, INT64_MAX, &value)
                                                               : money_parse(text, &value)) != STATUS_OK)
        return params[which].min;
    return value;
}

static struct indicator_periods periods_of(const struct dataset_request *r)
{
    return (struct indicator_periods){
        .sma = (size_t)value_of(r, SMA),
        .ema = (size_t)value_of(r, EMA),
        .rsi = (size_t)value_of(r, RSI),
        .macd_fast = (size_t)value_of(r, MACD_FAST),
        .macd_slow = (size_t)value_of(r, MACD_SLOW),
        .macd_signal = (size_t)value_of(r, MACD_SIGNAL),
        .bollinger = (size_t)value_of(r, BOLLINGER),
        .atr = (size_t)value_of(r, ATR),
        .volatility = (size_t)value_of(r, VOLATILITY),
        .bollinger_width = (double)value_of(r, BOLLINGER_WIDTH) / MONEY_SCALE,
    };
}

/* --- bars ------------------------------------------------------------------------------------ */

static bool take_price(struct db_field field, int64_t *ret_e8)
{
    enum numeric_class class;

    return !db_field_is_null(field) && db_field_numeric_e8(field, &class, ret_e8) == STATUS_OK &&
           class == NUMERIC_FINITE && *ret_e8 > 0;
}

static bool take_bar(const struct db_result *result, size_t row, struct bar *bar)
{
    struct db_field date = db_result_field(result, row, 0);

    bar->has_range = take_price(db_result_field(result, row, 3), &bar->high_e8) &&
                     take_price(db_result_field(result, row, 4), &bar->low_e8);
    return !db_field_is_null(date) && db_field_date(date, &bar->date) == STATUS_OK &&
           take_price(db_result_field(result, row, 1), &bar->close_e8);
}

/* --- rows ------------------------------------------------------------------------------------ */

const char dataset_indicators_columns[] =
    "SELECT NULL::date AS date, x AS close, x AS sma, x AS ema, x AS rsi, x AS macd, x AS macd_signal, x AS macd_histogram, "
    "x AS bollinger_middle, x AS bollinger_upper, x AS bollinger_lower, x AS atr, x AS volatility FROM (SELECT 0::numeric AS x) AS r LIMIT 0";

static void write_row(struct json_writer *w, const struct bar *bar, const struct indicator_row *row)
{
    json_object_begin(w);
    write_date(w, "date", true, bar->date);
    json_key(w, "close");
    json_decimal(w, bar->close_e8, PRICE_DECIMALS, PRICE_DECIMALS);
    write_float(w, "sma", row->sma, PRICE_DECIMALS);
    write_float(w, "ema", row->ema, PRICE_DECIMALS);
    write_float(w, "rsi", row->rsi, PERCENT_DECIMALS);
    write_float(w, "macd", row->macd, PRICE_DECIMALS);
    write_float(w, "macd_signal", row->macd_signal, PRICE_DECIMALS);
    write_float(w, "macd_histogram", row->macd_histogram, PRICE_DECIMALS);
    write_float(w, "bollinger_middle", row->bollinger_middle, PRICE_DECIMALS);
    write_float(w, "bollinger_upper", row->bollinger_upper, PRICE_DECIMALS);
    write_float(w, "bollinger_lower", row->bollinger_lower, PRICE_DECIMALS);
    write_float(w, "atr", row->atr, PRICE_DECIMALS);
    write_float(w, "volatility", row->volatility, PERCENT_DECIMALS);
    json_object_end(w);
}

static void write_rows(const struct bar *bars, const struct indicator_row *rows, size_t from, size_t n, struct buf *out)
{
    struct json_writer w;

    json_init(&w, out);
    json_array_begin(&w);
    for (size_t i = from; i < n; i++)
        write_row(&w, &bars[i], &rows[i]);
    json_array_end(&w);
}

static enum status take_bars(const struct dataset_request *r, const struct db_result *result, struct bar *bars,
                             struct err *err)
{
    for (size_t i = 0; i < db_result_rows(result); i++)
        if (!take_bar(result, i, &bars[i]))
            return err_fail(err, STATUS_INVALID, "dataset %s: row %zu is no daily bar", r->dataset->name, i + 1);
    return STATUS_OK;
}

enum status dataset_indicators_write(const struct dataset_request *r, const struct db_result *result, struct buf *out,
                                     int64_t *ret_count, struct err *err)
{
    struct indicator_periods periods = periods_of(r);
    size_t n = db_result_rows(result), days = (size_t)value_of(r, DAYS);
    struct bar *bars = calloc(n + 1, sizeof *bars);
    struct indicator_row *rows = calloc(n + 1, sizeof *rows);
    enum status status;

    if (bars == NULL || rows == NULL) {
        free(bars);
        free(rows);
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    }
    status = take_bars(r, result, bars, err);
    if (status == STATUS_OK) {
        indicators_compute(bars, n, &periods, rows);
        write_rows(bars, rows, n > days ? n - days : 0, n, out);
        *ret_count = (int64_t)(n > days ? days : n);
    }
    free(bars);
    free(rows);
    return status;
}
