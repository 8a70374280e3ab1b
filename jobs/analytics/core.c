#include "jobs/analytics/core.h"

#include "jobs/analytics/metric_writer.h"

/* Without a branch on the outcome, which no processor can predict; so is core_add(). */
static void streaks_add(struct streaks *s, enum outcome outcome)
{
    s->n++;
    for (int kind = 0; kind < 2; kind++) {
        size_t goes_on = outcome == (kind == 1 ? OUTCOME_WIN : OUTCOME_LOSS);
        size_t run = (s->suffix[kind] + 1) * goes_on;

        s->suffix[kind] = run;
        s->prefix[kind] = run == s->n ? run : s->prefix[kind];
        s->longest[kind] = run > s->longest[kind] ? run : s->longest[kind];
    }
}

static void streaks_merge(struct streaks *into, const struct streaks *later)
{
    for (int kind = 0; kind < 2; kind++) {
        size_t joined = into->suffix[kind] + later->prefix[kind];

        if (later->longest[kind] > joined)
            joined = later->longest[kind];
        if (joined > into->longest[kind])
            into->longest[kind] = joined;
        if (into->prefix[kind] == into->n)
            into->prefix[kind] += later->prefix[kind];
        into->suffix[kind] = later->suffix[kind] == later->n ? into->suffix[kind] + later->n : later->suffix[kind];
    }
    into->n += later->n;
}

void core_add(struct core *core, const struct trade_values *v)
{
    const struct trade *t = v->trade;

    core->gross_e8 += t->gross_e8;
    core->commissions_e8 += t->commissions_e8;
    core->fees_e8 += t->fees_e8;
    core->size_e8 += t->size_e8;
    streaks_add(&core->streaks, v->outcome);
    if (t->size_e8 == 0)
        return;
    core->n_returns[v->outcome]++;
    float_sum_add(&core->returns[v->outcome], (double)v->net_e8 / (double)t->size_e8);
}

void core_merge(struct core *into, const struct core *later)
{
    into->gross_e8 += later->gross_e8;
    into->commissions_e8 += later->commissions_e8;
    into->fees_e8 += later->fees_e8;
    into->size_e8 += later->size_e8;
    for (int o = 0; o < OUTCOMES; o++) {
        into->n_returns[o] += later->n_returns[o];
        float_sum_merge(&into->returns[o], &later->returns[o]);
    }
    streaks_merge(&into->streaks, &later->streaks);
}

static void write_trade(const char *key, const struct trade *t, const struct journal *journal, struct json_writer *w)
{
    json_key(w, key);
    if (t == NULL) {
        json_null(w);
        return;
    }
    json_object_begin(w);
    write_trade_name(w, t, symbol_table_name(&journal->symbols, t->symbol));
    write_money(w, "net_pnl", trade_net_e8(t));
    write_instant(w, "exit_date", t->exit);
    json_object_end(w);
}

static void write_counts(const struct totals *s, struct json_writer *w)
{
    write_count(w, "total_trades", s->n);
    write_count(w, "winning_trades", s->wins);
    write_count(w, "losing_trades", s->losses);
    write_count(w, "break_even_trades", s->break_evens);
    write_percentage(w, "win_rate", (wide_int)s->wins, (wide_int)s->n);
    write_percentage(w, "loss_rate", (wide_int)s->losses, (wide_int)s->n);
    write_percentage(w, "win_rate_ex_breakeven", (wide_int)s->wins, (wide_int)s->wins + (wide_int)s->losses);
}

static void write_return_mean(struct json_writer *w, const char *key, const struct core *core, enum outcome outcome)
{
    write_float_mean(w, key, 100 * float_sum_value(&core->returns[outcome]), core->n_returns[outcome], 4);
}

static void write_profits(const struct core *core, const struct totals *s, struct json_writer *w)
{
    write_money(w, "total_pnl", s->net_e8);
    write_money(w, "net_profit_loss", s->net_e8);
    write_money(w, "pnl_before_costs", core->gross_e8);
    write_money(w, "gross_profit", s->gross_profit_e8);
    write_money(w, "gross_loss", s->gross_loss_e8);
    write_money_mean(w, "average_win", s->gross_profit_e8, s->wins);
    write_money_mean(w, "average_loss", s->gross_loss_e8, s->losses);
    write_return_mean(w, "average_win_percentage", core, OUTCOME_WIN);
    write_return_mean(w, "average_loss_percentage", core, OUTCOME_LOSS);
    write_money_mean(w, "average_position_size", core->size_e8, s->n);
}

static void write_extremes(const struct totals *s, const struct journal *journal, struct json_writer *w)
{
    const struct trade *winner = s->wins != 0 ? s->best : NULL;
    const struct trade *loser = s->losses != 0 ? s->worst : NULL;

    write_money_mean(w, "biggest_winner", winner == NULL ? 0 : trade_net_e8(winner), winner != NULL);
    write_money_mean(w, "biggest_loser", loser == NULL ? 0 : trade_net_e8(loser), loser != NULL);
    write_trade("biggest_winner_trade", winner, journal, w);
    write_trade("biggest_loser_trade", loser, journal, w);
}

void core_write(const struct core *core, const struct totals *s, const struct journal *journal, struct json_writer *w)
{
    const struct streaks *streaks = &core->streaks;

    json_object_begin(w);
    write_counts(s, w);
    write_profits(core, s, w);
    write_extremes(s, journal, w);
    write_ratio(w, "profit_factor", s->gross_profit_e8, -s->gross_loss_e8);
    write_payoff(w, "win_loss_ratio", s);
    write_count(w, "max_consecutive_wins", streaks->longest[1]);
    write_count(w, "max_consecutive_losses", streaks->longest[0]);
    json_key(w, "current_streak");
    json_int(w, (int64_t)streaks->suffix[1] - (int64_t)streaks->suffix[0]);
    write_money(w, "total_commissions", core->commissions_e8);
    write_money(w, "total_fees", core->fees_e8);
    write_money(w, "total_costs", core->commissions_e8 + core->fees_e8);
    write_money_mean(w, "average_commission_per_trade", core->commissions_e8, s->n);
    json_object_end(w);
}
