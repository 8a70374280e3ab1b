#include "jobs/analytics/report.h"

#include <stdlib.h>

#include "jobs/analytics/duration.h"
#include "jobs/analytics/metric_writer.h"
#include "jobs/analytics/rollup.h"
#include "jobs/analytics/time_series.h"

#define SPEC_VERSION "1"

_Static_assert(REPORT_MAX_RANGES == ROLLUP_MAX_RANGES, "a report is one rollup");

struct report {
    struct rollup *rollup;
    struct time_series *series;
    const struct journal *journal;
    enum asset asset;
    struct range_metrics metrics[ASSET_OPTIONS + 1][REPORT_MAX_RANGES];
};

static const struct range_metrics *metrics_of(const struct report *report, size_t range)
{
    return &report->metrics[report->asset][range];
}

enum status report_new(struct report **ret_report, struct err *err)
{
    struct report *report = calloc(1, sizeof *report);

    if (report == NULL || rollup_new(&report->rollup) != STATUS_OK || time_series_new(&report->series) != STATUS_OK) {
        report_free(&report);
        return err_fail(err, STATUS_NO_MEMORY, "no memory for a report");
    }
    *ret_report = report;
    return STATUS_OK;
}

void report_free(struct report **report)
{
    if (*report == NULL)
        return;
    rollup_free(&(*report)->rollup);
    time_series_free(&(*report)->series);
    free(*report);
    *report = NULL;
}

enum status report_compute(struct report *report, const struct journal *journal, enum asset asset,
                           const struct time_range *ranges, size_t n_ranges, struct err *err)
{
    /* Ranges are tails of the trades only while days ascend. */
    size_t at_once = journal->days_go_back ? 1 : n_ranges;
    enum status status = STATUS_OK;

    report->journal = journal;
    report->asset = asset;
    for (size_t i = 0; i < n_ranges && status == STATUS_OK; i += at_once)
        status = rollup_run(report->rollup, journal, asset, ranges + i, at_once, report->metrics[asset] + i);
    if (status != STATUS_OK)
        return err_fail(err, status, "no memory to analyse %zu trades", journal->n_closed);
    return STATUS_OK;
}

void report_choose(struct report *report, enum asset asset)
{
    report->asset = asset;
}

bool report_is_of_all(const struct journal *journal, enum asset asset)
{
    size_t n_stocks = journal->n_closed_stocks + journal->n_open_stocks;
    size_t n_options = journal->n_closed + journal->n_open - n_stocks;

    if (asset == ASSET_ALL)
        return true;
    return !account_has_equity(&journal->account) && (asset == ASSET_STOCKS ? n_options : n_stocks) == 0;
}

enum status report_compute_time_series(struct report *report, size_t range, struct err *err)
{
    enum status status = time_series_compute(report->series, report->journal, report->asset, metrics_of(report, range));

    if (status != STATUS_OK)
        return err_fail(err, status, "no memory for the time series of %zu trades", report->journal->n_closed);
    return STATUS_OK;
}

/* --- sections -------------------------------------------------------------------------------------- */

void report_write_core(const struct report *report, size_t range, struct json_writer *w)
{
    const struct range_metrics *m = metrics_of(report, range);

    core_write(&m->core, &m->totals, report->journal, w);
}

void report_write_risk(const struct report *report, size_t range, struct json_writer *w)
{
    const struct range_metrics *m = metrics_of(report, range);

    risk_write(&m->risk, &m->risk_sums, &m->totals, m->t_statistic, m->k_ratio, w);
}

void report_write_performance_metrics(const struct report *report, size_t range, struct json_writer *w)
{
    const struct range_metrics *m = metrics_of(report, range);

    performance_write(&m->performance, &m->core, &m->totals, w);
}

void report_write_duration_performance(const struct report *report, size_t range, struct json_writer *w)
{
    const struct range_metrics *m = metrics_of(report, range);

    duration_write(&m->tally, &m->core, &m->totals, report->journal, w);
}

void report_write_performance(const struct report *report, size_t range, struct json_writer *w)
{
    json_object_begin(w);
    json_key(w, "performance_metrics");
    report_write_performance_metrics(report, range, w);
    json_key(w, "duration_performance");
    report_write_duration_performance(report, range, w);
    json_object_end(w);
}

void report_write_options_metrics(const struct report *report, size_t range, struct json_writer *w)
{
    options_metrics_write(&metrics_of(report, range)->options, w);
}

void report_write_time_series(const struct report *report, struct json_writer *w)
{
    time_series_write(report->series, w);
}

void report_write_time_series_scalars(const struct report *report, size_t range, struct json_writer *w)
{
    time_series_write_scalars(metrics_of(report, range), w);
}

/* --- summary (metrics.md 16.4) --------------------------------------------------------------------- */

/* A number in quotes, with its trailing zeros; null when the denominator is 0. */
static void write_text(struct json_writer *w, const char *key, wide_int numerator, wide_int denominator, int decimals)
{
    struct buf text = BUF_INIT;

    json_key(w, key);
    if (denominator == 0 && !w->null_as_zero) {
        json_null(w);
        return;
    }
    ratio_append(&text, denominator == 0 ? 0 : numerator, denominator == 0 ? 1 : denominator, decimals, true);
    if (text.failed)
        w->out->failed = true;
    json_string_bytes(w, text.data, text.len);
    buf_release(&text);
}

static const struct {
    const char *field, *path;
    int decimals;
} texts[REPORT_TEXTS] = {
    {"total_pnl", "pnl", 4},
    {"profit_factor", "profit-factor", 6},
    {"win_rate", "win-rate", 4},
    {"loss_rate", "loss-rate", 4},
    {"avg_gain", "avg-gain", 4},
    {"avg_loss", "avg-loss", 4},
    {"biggest_winner", "biggest-winner", 4},
    {"biggest_loser", "biggest-loser", 4},
    {"avg_hold_time_winners", "avg-hold-time-winners", 6},
    {"avg_hold_time_losers", "avg-hold-time-losers", 6},
    {"risk_reward_ratio", "risk-reward-ratio", 6},
    {"trade_expectancy", "trade-expectancy", 4},
    {"avg_position_size", "avg-position-size", 4},
    {"net_pnl", "net-pnl", 4},
};

const char *report_text_path(size_t text)
{
    return text < REPORT_TEXTS ? texts[text].path : NULL;
}

/* The values of `texts`, in its order; denominator 0: undefined. */
static void text_values(const struct range_metrics *m, struct ratio values[REPORT_TEXTS])
{
    const struct totals *t = &m->totals;
    wide_int n = (wide_int)t->n, wins = (wide_int)t->wins, losses = (wide_int)t->losses;
    wide_int payoff, payoff_of;

    payoff_ratio(t, &payoff, &payoff_of);
    values[0] = (struct ratio){t->net_e8, MONEY_SCALE};
    values[1] = (struct ratio){t->gross_profit_e8, -t->gross_loss_e8};
    values[2] = (struct ratio){100 * wins, n};
    values[3] = (struct ratio){100 * losses, n};
    values[4] = (struct ratio){t->gross_profit_e8, wins * MONEY_SCALE};
    values[5] = (struct ratio){t->gross_loss_e8, losses * MONEY_SCALE};
    values[6] = (struct ratio){wins == 0 ? 0 : trade_net_e8(t->best), wins == 0 ? 0 : MONEY_SCALE};
    values[7] = (struct ratio){losses == 0 ? 0 : trade_net_e8(t->worst), losses == 0 ? 0 : MONEY_SCALE};
    values[8] = (struct ratio){t->hold_wins_us, wins * US_PER_DAY};
    values[9] = (struct ratio){t->hold_losses_us, losses * US_PER_DAY};
    values[10] = (struct ratio){payoff, payoff_of};
    values[11] = (struct ratio){t->net_e8, n * MONEY_SCALE};
    values[12] = (struct ratio){m->core.size_e8, n * MONEY_SCALE};
    values[13] = values[0];
}

static void write_texts(const struct range_metrics *m, size_t first, size_t n, struct json_writer *w)
{
    struct ratio values[REPORT_TEXTS];

    text_values(m, values);
    for (size_t i = first; i < first + n; i++)
        write_text(w, texts[i].field, values[i].numerator, values[i].denominator, texts[i].decimals);
}

void report_write_text(const struct report *report, size_t range, size_t text, struct json_writer *w)
{
    json_object_begin(w);
    write_texts(metrics_of(report, range), text, 1, w);
    json_object_end(w);
}

void report_write_summary(const struct report *report, size_t range, struct json_writer *w)
{
    const struct range_metrics *m = metrics_of(report, range);

    json_object_begin(w);
    write_texts(m, 0, REPORT_TEXTS, w);
    json_key(w, "core_metrics");
    report_write_core(report, range, w);
    json_key(w, "risk_metrics");
    report_write_risk(report, range, w);
    json_key(w, "performance_metrics");
    report_write_performance_metrics(report, range, w);
    if (report->asset == ASSET_OPTIONS) {
        json_key(w, "options_metrics");
        report_write_options_metrics(report, range, w);
    }
    json_object_end(w);
}

/* --- meta (metrics.md 16.1) ------------------------------------------------------------------------ */

static void write_range(const struct report *report, const struct time_range *range, struct json_writer *w)
{
    const struct account *a = &report->journal->account;

    json_key(w, "time_range");
    json_object_begin(w);
    json_key(w, "name");
    json_string(w, range_name_text(range->name));
    write_date(w, "start_date", range->has_start, range->start);
    write_date(w, "end_date", true, range->end);
    if (range->has_start) {
        write_instant(w, "start", trading_day_begin(a->zone, a->trading_day_start, range->start));
    } else {
        json_key(w, "start");
        json_null(w);
    }
    write_instant(w, "end", trading_day_begin(a->zone, a->trading_day_start, date_add_days(range->end, 1)));
    json_key(w, "timezone");
    json_string(w, timezone_name(a->zone));
    json_key(w, "trading_day_start");
    json_int(w, a->trading_day_start);
    json_object_end(w);
}

static size_t open_count(const struct report *report)
{
    const struct journal *j = report->journal;

    switch (report->asset) {
    case ASSET_STOCKS: return j->n_open_stocks;
    case ASSET_OPTIONS: return j->n_open - j->n_open_stocks;
    case ASSET_ALL: break;
    }
    return j->n_open;
}

static void write_trade_counts(const struct report *report, const struct range_metrics *m, struct json_writer *w)
{
    write_count(w, "trade_count", m->totals.n);
    json_key(w, "trade_counts");
    json_object_begin(w);
    write_count(w, "closed", m->totals.n);
    write_count(w, "stocks", m->n_stocks);
    write_count(w, "options", m->totals.n - m->n_stocks);
    write_count(w, "open", open_count(report));
    json_object_end(w);
    json_key(w, "skipped_trades");
    json_object_begin(w);
    for (int reason = 0; reason < SKIP_REASONS; reason++)
        if (report->journal->skipped[reason] != 0)
            write_count(w, skip_reason_text((enum skip_reason)reason), report->journal->skipped[reason]);
    json_object_end(w);
}

static void write_money_or_null(struct json_writer *w, const char *key, bool known, wide_int value_e8)
{
    if (known) {
        write_money(w, key, value_e8);
    } else {
        json_key(w, key);
        json_null(w);
    }
}

static void write_base(const struct report *report, const struct range_metrics *m, struct json_writer *w)
{
    const struct account *a = &report->journal->account;

    json_key(w, "return_basis");
    json_string(w, m->risk.on_equity ? "equity" : "pnl");
    write_money_or_null(w, "starting_equity", a->has_starting_equity, a->starting_equity_e8);
    write_money_or_null(w, "range_opening_equity", m->risk.on_equity, m->risk.opening_e8);
    json_key(w, "risk_free_rate");
    json_decimal(w, a->risk_free_rate_e8, 8, 6);
}

void report_write_meta(const struct report *report, size_t range, const char *user_id, struct instant computed_at,
                       struct json_writer *w, size_t *ret_volatile_start, size_t *ret_volatile_end)
{
    const struct journal *j = report->journal;
    const struct range_metrics *m = metrics_of(report, range);

    json_object_begin(w);
    json_key(w, "version");
    json_string(w, SPEC_VERSION);
    json_key(w, "user_id");
    json_string(w, user_id);
    *ret_volatile_start = w->out->len + 1; /* behind the comma */
    write_instant(w, "computed_at", computed_at);
    write_instant(w, "as_of", j->as_of);
    *ret_volatile_end = w->out->len;
    write_instant(w, "valid_until", journal_valid_until(j));
    json_key(w, "currency");
    json_string(w, j->account.currency);
    write_range(report, &m->range, w);
    write_trade_counts(report, m, w);
    write_base(report, m, w);
    json_object_end(w);
}
