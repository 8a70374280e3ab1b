#include "jobs/analytics/performance.h"

#include <math.h>

#include "jobs/analytics/metric_writer.h"

static wide_int size_of(int64_t v)
{
    return v < 0 ? -(wide_int)v : v;
}

/* Not from the rounded quotient: of large amounts, -0.99999999999999999 R would be -1 R. Twice a risk fits. */
static int r_class(int64_t net_e8, int64_t risk_e8)
{
    return net_e8 <= -risk_e8 ? 0 : 1 + (net_e8 >= 0) + (net_e8 >= risk_e8) + (net_e8 >= 2 * risk_e8);
}

void performance_add(struct performance_sums *sums, const struct trade_values *v)
{
    const struct trade *t = v->trade;

    sums->turnover_e8 += size_of(t->gross_e8);
    if (v->previous != OUTCOMES) {
        sums->size_after_e8[v->previous] += t->size_e8;
        sums->n_after[v->previous]++;
    }
    if (t->has_slippage) {
        sums->slippage_e8 += t->slippage_e8;
        sums->n_slippage++;
    }
    if (t->flawed) {
        sums->flawed_net_e8 += v->net_e8;
        sums->n_flawed++;
    }
    if (t->planned_rr > 0) {
        float_sum_add(&sums->planned_rr, t->planned_rr);
        sums->n_planned_rr++;
    }
    if (t->risk_e8 != 0) {
        sums->n_positive_r += v->outcome == OUTCOME_WIN;
        sums->n_negative_r += v->outcome == OUTCOME_LOSS;
        sums->r_distribution[r_class(v->net_e8, t->risk_e8)]++;
    }
}

void performance_merge(struct performance_sums *into, const struct performance_sums *later)
{
    into->turnover_e8 += later->turnover_e8;
    into->slippage_e8 += later->slippage_e8;
    into->flawed_net_e8 += later->flawed_net_e8;
    for (int o = 0; o < OUTCOMES; o++) {
        into->size_after_e8[o] += later->size_after_e8[o];
        into->n_after[o] += later->n_after[o];
    }
    into->n_slippage += later->n_slippage;
    into->n_flawed += later->n_flawed;
    into->n_planned_rr += later->n_planned_rr;
    into->n_positive_r += later->n_positive_r;
    into->n_negative_r += later->n_negative_r;
    for (int c = 0; c < R_CLASSES; c++)
        into->r_distribution[c] += later->r_distribution[c];
    float_sum_merge(&into->planned_rr, &later->planned_rr);
}

/* --- days, months, quarters ------------------------------------------------------------------------ */

/* One calendar month or quarter on the way. */
struct period {
    wide_int net_e8;
    size_t wins, losses;
    bool open;
};

struct period_walk {
    struct day_statistics *stats;
    struct period month, quarter;
    struct date month_begin, next_month; /* of the present month */
    size_t n_rates;
    double rate_mean, rate_squares; /* of monthly win rates (Welford) */
};

static void end_quarter(struct period_walk *walk)
{
    if (walk->quarter.open) {
        walk->stats->quarters++;
        walk->stats->winning_quarters += walk->quarter.net_e8 > 0;
    }
    walk->quarter = (struct period){.open = true};
}

static void end_month(struct period_walk *walk)
{
    const struct period *month = &walk->month;
    size_t decided = month->wins + month->losses;

    if (month->open) {
        walk->stats->months++;
        walk->stats->winning_months += month->net_e8 > 0;
    }
    if (decided != 0) {
        double rate = 100 * (double)month->wins / (double)decided;
        double distance = rate - walk->rate_mean;

        walk->n_rates++;
        walk->rate_mean += distance / (double)walk->n_rates;
        walk->rate_squares += distance * (rate - walk->rate_mean);
    }
    walk->month = (struct period){.open = true};
}

static void enter_month(struct period_walk *walk, struct date day)
{
    struct date begin = date_first_of_month(day);
    struct civil now = date_to_civil(begin), before = date_to_civil(walk->month_begin);

    end_month(walk);
    if (!walk->quarter.open || now.year != before.year || (now.month - 1) / 3 != (before.month - 1) / 3)
        end_quarter(walk);
    walk->month_begin = begin;
    walk->next_month = date_add_months(begin, 1);
}

static void add_day(struct day_statistics *stats, const struct day *day)
{
    if (stats->n == 0 || day->net_e8 > stats->best_e8)
        stats->best_e8 = day->net_e8;
    if (stats->n == 0 || day->net_e8 < stats->worst_e8)
        stats->worst_e8 = day->net_e8;
    stats->n++;
    stats->winning += day->net_e8 > 0;
    stats->losing += day->net_e8 < 0;
    if (day->n > stats->most_trades)
        stats->most_trades = day->n;
}

void day_statistics_compute(const struct daily *daily, size_t first_day, struct date end,
                            struct day_statistics *ret_days)
{
    struct day_statistics stats = {.end = end, .month_rate_deviation = NAN};
    struct period_walk walk = {.stats = &stats, .next_month = {INT32_MIN}};

    if (first_day < daily->n)
        stats.first_observed = daily->days[first_day].date;
    for (size_t i = first_day; i < daily->n; i++) {
        const struct day *day = &daily->days[i];

        if (day->n == 0)
            continue;
        if (day->date.days >= walk.next_month.days)
            enter_month(&walk, day->date);
        add_day(&stats, day);
        walk.month.net_e8 += day->net_e8;
        walk.month.wins += day->wins;
        walk.month.losses += day->losses;
        walk.quarter.net_e8 += day->net_e8;
    }
    end_month(&walk);
    end_quarter(&walk);
    if (walk.n_rates >= 2)
        stats.month_rate_deviation = sample_deviation(walk.rate_squares, walk.n_rates);
    *ret_days = stats;
}

/* --- writing --------------------------------------------------------------------------------------- */

static void write_exact(struct json_writer *w, const char *key, const struct ratio *value, wide_int unit, int decimals)
{
    json_key(w, key);
    json_ratio(w, value->numerator, value->denominator * unit, decimals);
}

static void write_results(const struct performance *p, const struct totals *t, struct json_writer *w)
{
    write_money_mean(w, "trade_expectancy", t->net_e8, t->n);
    write_ratio(w, "edge", t->net_e8 * (wide_int)t->losses, (wide_int)t->n * -t->gross_loss_e8);
    write_exact(w, "median_trade", &p->median_net, MONEY_SCALE, 4);
    write_float(w, "trade_standard_deviation", sample_deviation(p->net.squares, p->net.n) / (double)MONEY_SCALE, 4);
    write_days_mean(w, "average_hold_time_days", t->hold_us, t->n);
    write_days_mean(w, "average_hold_time_winners_days", t->hold_wins_us, t->wins);
    write_days_mean(w, "average_hold_time_losers_days", t->hold_losses_us, t->losses);
    write_exact(w, "median_hold_time_days", &p->median_hold, US_PER_DAY, 6);
}

static void write_sizes(const struct performance *p, const struct core *core, const struct totals *t,
                        struct json_writer *w)
{
    const struct performance_sums *s = &p->sums;
    double deviation = sample_deviation(p->size.squares, p->size.n);

    write_money_mean(w, "average_position_size", core->size_e8, t->n);
    write_float(w, "position_size_standard_deviation", deviation / (double)MONEY_SCALE, 4);
    write_float(w, "position_size_variability",
                core->size_e8 == 0 ? NAN : deviation / ((double)core->size_e8 / (double)t->n), 6);
    write_money_mean(w, "average_position_size_after_win", s->size_after_e8[OUTCOME_WIN], s->n_after[OUTCOME_WIN]);
    write_money_mean(w, "average_position_size_after_loss", s->size_after_e8[OUTCOME_LOSS], s->n_after[OUTCOME_LOSS]);
}

static void write_r_distribution(const struct performance_sums *s, struct json_writer *w)
{
    static const char *const labels[R_CLASSES] = {"<=-1R", "-1..0R", "0..1R", "1..2R", ">=2R"};

    json_key(w, "r_distribution");
    json_array_begin(w);
    for (int c = 0; c < R_CLASSES; c++) {
        json_object_begin(w);
        json_key(w, "label");
        json_string(w, labels[c]);
        write_count(w, "count", s->r_distribution[c]);
        json_object_end(w);
    }
    json_array_end(w);
}

/* sqrt(weight) x mean(R) / sd(R). */
static double quality(const struct float_moments *r, size_t weight)
{
    if (r->n < 2 || float_moments_lack_variance(r))
        return NAN;
    return sqrt((double)weight) * float_moments_mean(r) / sample_deviation(r->squares, r->n);
}

static void write_quality(const struct performance *p, const struct totals *t, struct json_writer *w)
{
    wide_int margin = t->gross_profit_e8 + t->gross_loss_e8; /* GP - |GL| */
    size_t k = p->r.n;

    /* w - (1 - w) / payoff = W (GP - |GL|) / ((W + L) GP) */
    write_ratio(w, "kelly_criterion", (wide_int)t->wins * margin,
                t->losses == 0 ? 0 : (wide_int)(t->wins + t->losses) * t->gross_profit_e8);
    write_float(w, "system_quality_number", quality(&p->r, k), 6);
    write_float(w, "system_quality_number_capped", quality(&p->r, k < 100 ? k : 100), 6);
    write_payoff(w, "payoff_ratio", t);
}

static void write_r(const struct performance *p, const struct totals *t, struct json_writer *w)
{
    const struct performance_sums *s = &p->sums;

    write_float(w, "average_r_multiple", float_moments_mean(&p->r), 6);
    write_exact(w, "median_r_multiple", &p->median_r, 1, 6);
    write_float(w, "r_multiple_standard_deviation", sample_deviation(p->r.squares, p->r.n), 6);
    write_count(w, "positive_r_multiple_count", s->n_positive_r);
    write_count(w, "negative_r_multiple_count", s->n_negative_r);
    write_count(w, "r_trade_count", p->r.n);
    write_r_distribution(s, w);
    write_float_mean(w, "average_planned_risk_reward", float_sum_value(&s->planned_rr), s->n_planned_rr, 6);
    write_ratio(w, "consistency_ratio", (wide_int)t->wins * (t->gross_profit_e8 + t->gross_loss_e8),
                (wide_int)t->n * t->gross_profit_e8);
}

static void write_days(const struct performance *p, const struct totals *t, struct json_writer *w)
{
    const struct day_statistics *d = &p->days;
    wide_int calendar_days = date_diff_days(d->end, d->first_observed) + 1;

    write_percentage(w, "monthly_win_rate", (wide_int)d->winning_months, (wide_int)d->months);
    write_percentage(w, "quarterly_win_rate", (wide_int)d->winning_quarters, (wide_int)d->quarters);
    write_float(w, "monthly_win_rate_standard_deviation", d->month_rate_deviation, 4);
    write_percentage(w, "daily_win_rate", (wide_int)d->winning, (wide_int)d->n);
    write_count(w, "trading_days", d->n);
    write_count(w, "winning_days", d->winning);
    write_count(w, "losing_days", d->losing);
    write_count(w, "break_even_days", d->n - d->winning - d->losing);
    write_money_mean(w, "average_daily_pnl", t->net_e8, d->n);
    write_money_mean(w, "best_day", d->best_e8, d->n != 0);
    write_money_mean(w, "worst_day", d->worst_e8, d->n != 0);
    write_percentage(w, "best_day_profit_share", d->best_e8, t->net_e8 > 0 ? t->net_e8 : 0);
    write_ratio(w, "average_trades_per_day", (wide_int)t->n, (wide_int)d->n);
    write_count(w, "max_trades_per_day", d->most_trades);
    write_ratio(w, "trades_per_week", 7 * (wide_int)t->n, t->n == 0 ? 0 : calendar_days);
}

static void write_costs(const struct performance *p, const struct core *core, const struct totals *t,
                        struct json_writer *w)
{
    const struct performance_sums *s = &p->sums;
    size_t n_clean = t->n - s->n_flawed;
    wide_int clean_net = t->net_e8 - s->flawed_net_e8;

    write_money_mean(w, "average_slippage", s->slippage_e8, s->n_slippage);
    write_percentage(w, "commission_impact_percentage", core->commissions_e8 + core->fees_e8, s->turnover_e8);
    write_count(w, "clean_trade_count", n_clean);
    write_count(w, "flawed_trade_count", s->n_flawed);
    write_money_mean(w, "clean_expectancy", clean_net, n_clean);
    write_money_mean(w, "flawed_expectancy", s->flawed_net_e8, s->n_flawed);
    /* clean expectancy x flawed count - flawed net */
    write_money_mean(w, "mistake_cost", clean_net * (wide_int)s->n_flawed - s->flawed_net_e8 * (wide_int)n_clean,
                     s->n_flawed == 0 ? 0 : n_clean);
}

void performance_write(const struct performance *p, const struct core *core, const struct totals *totals,
                       struct json_writer *w)
{
    json_object_begin(w);
    write_results(p, totals, w);
    write_sizes(p, core, totals, w);
    write_quality(p, totals, w);
    write_r(p, totals, w);
    write_days(p, totals, w);
    write_costs(p, core, totals, w);
    json_object_end(w);
}
