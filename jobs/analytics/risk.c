#include "jobs/analytics/risk.h"

#include <math.h>

#include "jobs/analytics/metric_writer.h"
#include "jobs/analytics/statistics.h"

#define DAYS_PER_YEAR 252
#define MIN_DAYS_TO_ANNUALIZE 21

void risk_merge(struct risk_sums *into, const struct risk_sums *later)
{
    into->risk_e8 += later->risk_e8;
    into->n_risk += later->n_risk;
}

/* --- the distribution of daily results ------------------------------------------------------------- */

/* sqrt(sum of min(x, 0)^2 / n). */
static double downside(const double *x, size_t n)
{
    double squares = 0;

    for (size_t i = 0; i < n; i++) {
        double loss = x[i] < 0 ? x[i] : 0;

        squares += loss * loss;
    }
    return n < 2 ? NAN : sqrt(squares / (double)n);
}

/* metrics.md 6: exactly for money, within 1e-12 of the largest size for returns. */
static bool lacks_variance(const double *x, size_t n, double tolerance)
{
    double least = x[0], most = x[0];

    for (size_t i = 1; i < n; i++) {
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
    }
    return most - least <= tolerance * fmax(fabs(least), fabs(most));
}

static void set_shape(struct risk *risk, const struct central_moments *m, double n)
{
    double variance = m->m2 / n;

    if (n >= 3)
        risk->skewness = m->m3 / n / (variance * sqrt(variance)) * sqrt(n * (n - 1)) / (n - 2);
    if (n >= 4)
        risk->kurtosis = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (m->m4 / n / (variance * variance) - 3) + 6);
}

double daily_risk_free_rate(const struct account *account)
{
    return expm1(log1p((double)account->risk_free_rate_e8 / (double)MONEY_SCALE) / DAYS_PER_YEAR);
}

static double annualized_sharpe(const struct central_moments *m, size_t n, double daily_rate)
{
    return (m->mean - daily_rate) / sample_deviation(m->m2, n) * sqrt(DAYS_PER_YEAR);
}

double sharpe_ratio(const double *x, size_t n, bool returns, double daily_rate)
{
    struct central_moments m;

    if (n < 2 || lacks_variance(x, n, returns ? 1e-12 : 0))
        return NAN;
    m = central_moments_of(x, n);
    return annualized_sharpe(&m, n, daily_rate);
}

/* Sharpe, Sortino and the shape of x: returns on the equity basis, money otherwise. */
static void set_distribution(const struct risk_input *in, struct risk *risk)
{
    size_t n = risk->observations;
    const double *net = in->daily->net + in->first_day;
    const double *x = risk->on_equity ? in->daily->returns + in->first_day : net;
    struct central_moments m = central_moments_of(x, n), money = m;
    double rate = risk->on_equity ? daily_risk_free_rate(in->account) : 0;
    double dd = downside(x, n);

    if (risk->on_equity) {
        money = central_moments_of(net, n);
        if (n >= 2)
            risk->volatility_return = sample_deviation(m.m2, n);
        risk->downside_return = dd;
    }
    risk->volatility_e8 = sample_deviation(money.m2, n);
    risk->downside_e8 = downside(net, n);
    if (n < 2)
        return;
    if (dd > 0)
        risk->sortino = m.mean / dd * sqrt(DAYS_PER_YEAR);
    if (lacks_variance(x, n, risk->on_equity ? 1e-12 : 0))
        return;
    risk->sharpe = annualized_sharpe(&m, n, rate);
    set_shape(risk, &m, (double)n);
}

/* --- order statistics of daily results ------------------------------------------------------------- */

/* Type 7 quantile at part/whole, as whole x the value: exact money. */
static struct ratio money_quantile(const struct risk_input *in, size_t n, size_t part, size_t whole)
{
    size_t h = (n - 1) * part;
    uint32_t at, next;
    wide_int low, high;

    ranking_select(&in->daily->by_net, (uint32_t)in->first_day, h / whole, &at, &next);
    low = in->daily->days[at].net_e8;
    high = in->daily->days[next].net_e8;
    return (struct ratio){.numerator = low * (wide_int)whole + (high - low) * (wide_int)(h % whole),
                          .denominator = (wide_int)whole};
}

static double return_quantile(const struct risk_input *in, size_t n, size_t part, size_t whole)
{
    size_t h = (n - 1) * part;
    uint32_t at, next;
    double low, high;

    ranking_select(&in->daily->by_return, (uint32_t)in->first_day, h / whole, &at, &next);
    low = in->daily->returns[at];
    high = in->daily->returns[next];
    return low + (high - low) * ((double)(h % whole) / (double)whole);
}

/* Mean of the k smallest days, k = floor((n - 1) / whole) + 1. */
static struct ratio expected_shortfall(const struct risk_input *in, size_t n, size_t whole)
{
    size_t k = (n - 1) / whole + 1;
    struct ratio mean = {.numerator = 0, .denominator = (wide_int)k};
    const struct ranking *by_net = &in->daily->by_net;

    for (size_t i = 0; k > 0; i++) {
        if (by_net->positions[i] < in->first_day)
            continue;
        mean.numerator += in->daily->days[by_net->positions[i]].net_e8;
        k--;
    }
    return mean;
}

static void set_tails(const struct risk_input *in, struct risk *risk)
{
    size_t n = risk->observations;
    double low, high;

    if (n < 2)
        return;
    for (int i = 0; i < 2; i++) {
        size_t whole = i == 0 ? 20 : 100;

        risk->value_at_risk[i] = money_quantile(in, n, 1, whole);
        risk->shortfall[i] = expected_shortfall(in, n, whole);
    }
    if (risk->on_equity) {
        low = return_quantile(in, n, 1, 20);
        high = return_quantile(in, n, 19, 20);
    } else {
        low = (double)risk->value_at_risk[0].numerator;
        high = (double)money_quantile(in, n, 19, 20).numerator;
    }
    if (low < 0 || low > 0)
        risk->tail_ratio = fabs(high) / fabs(low);
}

/* --- equity ---------------------------------------------------------------------------------------- */

static double ulcer_index(const struct risk_input *in, const struct risk *risk)
{
    const struct daily *d = in->daily;
    wide_int peak = in->opening_e8;
    double squares = 0;

    for (size_t i = in->first_day; i < d->n; i++) {
        wide_int equity = d->equity_e8[i] + d->days[i].net_e8;

        if (equity >= peak) {
            peak = equity;
        } else {
            double loss = 100 * (wide_to_double(peak - equity) / wide_to_double(peak));

            squares += loss * loss;
        }
    }
    return sqrt(squares / (double)risk->observations);
}

static size_t years_observed(const struct risk_input *in)
{
    const struct daily *d = in->daily;
    size_t years = 0;
    struct date year_end = {INT32_MIN};

    for (size_t i = in->first_day; i < d->n; i++) {
        if (d->days[i].date.days <= year_end.days)
            continue;
        years++;
        year_end = date_from_civil(date_to_civil(d->days[i].date).year, 12, 31);
    }
    return years;
}

static void set_growth(const struct risk_input *in, struct risk *risk)
{
    double mean_loss;

    risk->ulcer = ulcer_index(in, risk);
    if (risk->observations < MIN_DAYS_TO_ANNUALIZE || in->opening_e8 + in->totals->net_e8 <= 0)
        return;
    risk->growth = expm1(log1p((double)in->totals->net_e8 / (double)in->opening_e8) *
                         ((double)DAYS_PER_YEAR / (double)risk->observations));
    mean_loss = 100 * in->year_loss_sum / (double)years_observed(in);
    risk->sterling = 100 * risk->growth / (mean_loss + 10);
}

static bool has_return_base(const struct risk_input *in)
{
    return in->daily->has_equity && in->opening_e8 > 0 && in->first_day >= in->daily->n_without_equity;
}

void risk_compute(const struct risk_input *in, struct risk *ret_risk)
{
    struct risk risk = {.observations = in->daily->n - in->first_day, .end = in->end, .growth = NAN, .sharpe = NAN};

    risk.on_equity = has_return_base(in);
    risk.opening_e8 = in->opening_e8;
    risk.sortino = risk.sterling = risk.volatility_e8 = risk.downside_e8 = NAN;
    risk.volatility_return = risk.downside_return = risk.ulcer = NAN;
    risk.skewness = risk.kurtosis = risk.tail_ratio = NAN;
    if (in->drawdown != NULL) {
        risk.has_trades = true;
        risk.drawdown = *in->drawdown;
        for (size_t i = in->first_day; i < in->daily->n; i++)
            if (in->daily->days[i].net_e8 < 0)
                risk.losing_days_e8 += in->daily->days[i].net_e8;
        set_distribution(in, &risk);
        set_tails(in, &risk);
        if (risk.on_equity)
            set_growth(in, &risk);
    }
    *ret_risk = risk;
}

/* --- writing --------------------------------------------------------------------------------------- */

static void write_calmar(const struct risk *risk, const struct totals *totals, struct json_writer *w)
{
    const struct drawdown *d = &risk->drawdown;
    bool defined = risk->observations >= MIN_DAYS_TO_ANNUALIZE && d->deepest_e8 > 0;

    if (!risk->on_equity)
        write_ratio(w, "calmar_ratio", totals->net_e8 * DAYS_PER_YEAR,
                    defined ? (wide_int)risk->observations * d->deepest_e8 : 0);
    else
        write_float(
            w, "calmar_ratio",
            defined ? risk->growth / ((double)d->steepest_e8 / (double)(d->base_e8 + d->steepest_peak_e8)) : NAN, 6);
}

static void write_drawdown(const struct risk *risk, struct json_writer *w)
{
    const struct drawdown *d = &risk->drawdown;
    bool any = d->deepest_e8 > 0;
    bool has_percentage = risk->has_trades && risk->on_equity;

    write_money(w, "maximum_drawdown", d->deepest_e8);
    write_percentage(w, "maximum_drawdown_percentage", d->steepest_e8,
                     !has_percentage ? 0 : (any ? d->base_e8 + d->steepest_peak_e8 : 1));
    write_count(w, "maximum_drawdown_duration_days", (size_t)d->longest_days);
    write_date(w, "maximum_drawdown_peak_date", any, d->deepest_peak_day);
    write_date(w, "maximum_drawdown_trough_date", any, d->deepest_trough_day);
    write_date(w, "maximum_drawdown_recovery_date", any && d->recovered, d->recovery_day);
    write_money(w, "current_drawdown", d->peak_e8 - d->value_e8);
    write_count(w, "current_drawdown_duration_days",
                d->under_water ? (size_t)date_diff_days(risk->end, d->peak_day) : 0);
}

static void write_quantile(struct json_writer *w, const char *key, const struct ratio *value)
{
    json_key(w, key);
    json_ratio(w, value->numerator, value->denominator * MONEY_SCALE, 4);
}

static void write_tails(const struct risk *risk, struct json_writer *w)
{
    write_quantile(w, "var_95", &risk->value_at_risk[0]);
    write_quantile(w, "var_99", &risk->value_at_risk[1]);
    write_quantile(w, "expected_shortfall_95", &risk->shortfall[0]);
    write_quantile(w, "expected_shortfall_99", &risk->shortfall[1]);
}

static void write_deviations(const struct risk *risk, struct json_writer *w)
{
    double annual = 100 * sqrt(DAYS_PER_YEAR);

    write_float(w, "volatility", risk->volatility_e8 / (double)MONEY_SCALE, 4);
    write_float(w, "downside_deviation", risk->downside_e8 / (double)MONEY_SCALE, 4);
    write_float(w, "volatility_annualized_percentage", risk->volatility_return * annual, 4);
    write_float(w, "downside_deviation_annualized_percentage", risk->downside_return * annual, 4);
    write_float(w, "ulcer_index", risk->ulcer, 6);
}

void risk_write(const struct risk *risk, const struct risk_sums *sums, const struct totals *totals, double t_statistic,
                double k_ratio, struct json_writer *w)
{
    json_object_begin(w);
    json_key(w, "return_basis");
    json_string(w, risk->on_equity ? "equity" : "pnl");
    write_count(w, "observations", risk->observations);
    write_float(w, "sharpe_ratio", risk->sharpe, 6);
    write_float(w, "sortino_ratio", risk->sortino, 6);
    write_calmar(risk, totals, w);
    write_float(w, "sterling_ratio", risk->sterling, 6);
    write_drawdown(risk, w);
    write_tails(risk, w);
    write_money_mean(w, "average_risk_per_trade", sums->risk_e8, sums->n_risk);
    write_count(w, "risk_trade_count", sums->n_risk);
    write_payoff(w, "risk_reward_ratio", totals);
    write_deviations(risk, w);
    write_ratio(w, "recovery_factor", totals->net_e8, risk->drawdown.deepest_e8);
    write_float(w, "skewness", risk->skewness, 6);
    write_float(w, "kurtosis", risk->kurtosis, 6);
    write_float(w, "tail_ratio", risk->tail_ratio, 6);
    write_ratio(w, "gain_to_pain_ratio", totals->net_e8, -risk->losing_days_e8);
    write_float(w, "t_statistic", t_statistic, 6);
    write_float(w, "k_ratio", k_ratio, 6);
    json_object_end(w);
}
