#include "jobs/analytics/options_metrics.h"

#include "jobs/analytics/metric_writer.h"

void options_metrics_add_option(struct options_metrics *m, const struct trade_values *v)
{
    const struct trade *t = v->trade;

    m->n[t->is_short]++;
    m->premium_e8[t->is_short] += t->size_e8;
    m->net_e8[t->is_short] += v->net_e8;
    m->contracts += t->contracts;
    m->n_puts += t->put;
    m->dte += t->dte;
    m->iv_e8 += t->iv_e8;
    m->n_iv += t->iv_e8 != 0;
    m->by_status[t->status]++;
}

void options_metrics_merge(struct options_metrics *into, const struct options_metrics *later)
{
    for (int side = 0; side < 2; side++) {
        into->n[side] += later->n[side];
        into->premium_e8[side] += later->premium_e8[side];
        into->net_e8[side] += later->net_e8[side];
    }
    into->contracts += later->contracts;
    into->n_puts += later->n_puts;
    into->n_iv += later->n_iv;
    into->dte += later->dte;
    into->iv_e8 += later->iv_e8;
    for (int s = 0; s <= OPTION_EXERCISED; s++)
        into->by_status[s] += later->by_status[s];
}

void options_metrics_write(const struct options_metrics *m, struct json_writer *w)
{
    size_t n = m->n[0] + m->n[1];
    wide_int paid = m->premium_e8[0], collected = m->premium_e8[1];

    json_object_begin(w);
    write_count(w, "total_trades", n);
    write_count(w, "contracts", m->contracts);
    write_count(w, "call_trades", n - m->n_puts);
    write_count(w, "put_trades", m->n_puts);
    write_count(w, "long_trades", m->n[0]);
    write_count(w, "short_trades", m->n[1]);
    write_money(w, "premium_paid", paid);
    write_money(w, "premium_collected", collected);
    write_money(w, "net_premium", collected - paid);
    write_money_mean(w, "average_premium", paid + collected, n);
    write_ratio(w, "average_dte_at_entry", m->dte, (wide_int)n);
    write_money_mean(w, "average_iv_at_entry", m->iv_e8, m->n_iv);
    write_count(w, "closed_count", m->by_status[OPTION_CLOSED]);
    write_count(w, "expired_count", m->by_status[OPTION_EXPIRED]);
    write_count(w, "assigned_count", m->by_status[OPTION_ASSIGNED]);
    write_count(w, "exercised_count", m->by_status[OPTION_EXERCISED]);
    write_percentage(w, "expired_rate", (wide_int)m->by_status[OPTION_EXPIRED], (wide_int)n);
    write_percentage(w, "assigned_rate", (wide_int)m->by_status[OPTION_ASSIGNED], (wide_int)n);
    write_percentage(w, "exercised_rate", (wide_int)m->by_status[OPTION_EXERCISED], (wide_int)n);
    write_percentage(w, "premium_capture_rate", m->net_e8[1], collected);
    write_percentage(w, "return_on_premium", m->net_e8[0], paid);
    json_object_end(w);
}
