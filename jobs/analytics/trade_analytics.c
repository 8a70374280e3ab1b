#include "jobs/analytics/trade_analytics.h"

#include <math.h>

#include "jobs/analytics/metric_writer.h"

const struct trade *trade_analytics_find(const struct journal *journal, bool option, int64_t id)
{
    for (size_t i = 0; i < journal->n_closed; i++)
        if (journal->closed[i].id == id && journal->closed[i].option == option)
            return &journal->closed[i];
    for (size_t i = 0; i < journal->n_open; i++)
        if (journal->open[i].trade.id == id && journal->open[i].trade.option == option)
            return &journal->open[i].trade;
    return NULL;
}

/* What holds at as_of: an exit that lies ahead leaves the trade open, whatever the row says. */
static const char *status_text(const struct trade *t, bool closed)
{
    static const char *const options[] = {"open", "closed", "expired", "assigned", "exercised"};

    if (!closed)
        return "open";
    return t->option ? options[t->status] : "closed";
}

static void write_identity(const struct trade *t, const struct journal *journal, bool closed, struct json_writer *w)
{
    struct text_ref symbol = symbol_table_name(&journal->symbols, t->symbol);

    json_key(w, "trade_id");
    json_int(w, t->id);
    json_key(w, "trade_type");
    json_string(w, t->option ? "option" : "stock");
    json_key(w, "symbol");
    json_string_bytes(w, symbol.bytes, symbol.len);
    json_key(w, "status");
    json_string(w, status_text(t, closed));
    json_key(w, "side");
    json_string(w, t->is_short ? "short" : "long");
}

void trade_analytics_write(const struct trade *t, const struct journal *journal, struct json_writer *w)
{
    bool closed = t->exit.us != INSTANT_NEVER.us;
    wide_int costs = (wide_int)t->commissions_e8 + t->fees_e8, gross = t->gross_e8, net = gross - costs;
    wide_int risk = closed ? t->risk_e8 : 0;

    json_object_begin(w);
    write_identity(t, journal, closed, w);
    write_money_mean(w, "net_pnl", net, closed);
    write_money_mean(w, "pnl_before_costs", gross, closed);
    write_money(w, "total_costs", costs);
    write_percentage(w, "return_percentage", net, closed ? t->size_e8 : 0);
    write_money(w, "position_size", t->size_e8);
    write_money_mean(w, "initial_risk", t->risk_e8, t->risk_e8 != 0);
    write_float(w, "planned_risk_to_reward", t->planned_rr > 0 ? t->planned_rr : NAN, 6);
    write_ratio(w, "realized_risk_to_reward", gross, risk);
    write_ratio(w, "r_multiple", net, risk);
    write_percentage(w, "commission_impact", costs, gross < 0 ? -gross : gross);
    write_days_mean(w, "hold_time_days", closed ? t->exit.us - t->entry.us : 0, closed);
    json_object_end(w);
}
