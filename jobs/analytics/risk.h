/* Risk metrics (metrics.md 8). */
#ifndef PNLCACHE_JOBS_ANALYTICS_RISK_H
#define PNLCACHE_JOBS_ANALYTICS_RISK_H

#include "jobs/analytics/daily.h"
#include "jobs/analytics/drawdown.h"
#include "lib/json/json_writer.h"

/* Over trades, segment by segment. */
struct risk_sums {
    wide_int risk_e8;
    size_t n_risk;
};

static inline void risk_add(struct risk_sums *sums, const struct trade_values *v)
{
    sums->risk_e8 += v->trade->risk_e8;
    sums->n_risk += v->trade->risk_e8 != 0;
}
void risk_merge(struct risk_sums *into, const struct risk_sums *later);

/* An exact rational; denominator 0: undefined. */
struct ratio {
    wide_int numerator, denominator;
};

/* What the days and the equity curve of one range give. NAN: undefined. */
struct risk {
    bool has_trades;
    bool on_equity;      /* return_basis */
    wide_int opening_e8; /* E0; meaningful when on_equity */
    size_t observations;
    struct date end;
    struct drawdown drawdown;
    double growth; /* annualised return, fraction */
    double sharpe, sortino, sterling, volatility_e8, downside_e8, volatility_return, downside_return;
    double ulcer, skewness, kurtosis, tail_ratio;
    struct ratio value_at_risk[2], shortfall[2]; /* 95, 99; 10^-8 units */
    wide_int losing_days_e8;
};

struct risk_input {
    const struct account *account;
    const struct daily *daily;
    size_t first_day;                /* index of the range's first observation day */
    wide_int opening_e8;             /* starting equity + P&L before the range; ignored without starting equity */
    const struct drawdown *drawdown; /* finished; NULL: no trade in the range */
    double year_loss_sum;            /* of each calendar year's largest loss of its peak, fractions */
    const struct totals *totals;
    struct date end;
};

void risk_compute(const struct risk_input *in, struct risk *ret_risk);

/* rf of metrics.md 6. */
double daily_risk_free_rate(const struct account *account);
/* The Sharpe ratio of x[0..n): returns, or money. NAN below two values and without variance. */
double sharpe_ratio(const double *x, size_t n, bool returns, double daily_rate);

/* The object `risk_metrics`. t_statistic and k_ratio: computed with the trades' moments; NAN: undefined. */
void risk_write(const struct risk *risk, const struct risk_sums *sums, const struct totals *totals, double t_statistic,
                double k_ratio, struct json_writer *w);

#endif
