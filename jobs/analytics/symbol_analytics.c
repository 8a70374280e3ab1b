#include "jobs/analytics/symbol_analytics.h"

#include "jobs/analytics/metric_writer.h"

static struct tally tally_symbol(const struct journal *journal, uint32_t symbol, const struct time_range *range,
                                 size_t *ret_n_stocks)
{
    struct tally tally = {0};

    *ret_n_stocks = 0;
    for (size_t i = 0; i < journal->n_closed; i++) {
        const struct trade *t = &journal->closed[i];
        struct trade_values v;

        if (t->symbol != symbol || !time_range_has(range, t->exit_day))
            continue;
        v = trade_values_of(t);
        tally_add(&tally, &v);
        *ret_n_stocks += !t->option;
    }
    return tally;
}

/* As the journal spells it. */
static void write_name(struct text_ref symbol, struct json_writer *w)
{
    struct buf upper = BUF_INIT;

    for (size_t i = 0; i < symbol.len; i++) {
        char c = symbol.bytes[i];

        buf_append_char(&upper, c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c);
    }
    if (upper.failed)
        w->out->failed = true;
    json_key(w, "symbol");
    json_string_bytes(w, upper.data, upper.len);
    buf_release(&upper);
}

void symbol_analytics_write(const struct journal *journal, struct text_ref symbol, const struct time_range *range,
                            struct json_writer *w)
{
    struct tally tally = {0};
    struct totals t;
    size_t n_stocks = 0;
    uint32_t id;

    if (symbol_table_find(&journal->symbols, symbol, &id))
        tally = tally_symbol(journal, id, range, &n_stocks);
    t = tally_totals(&tally);
    json_object_begin(w);
    write_name(symbol, w);
    write_count(w, "total_trades", t.n);
    write_count(w, "stock_trades", n_stocks);
    write_count(w, "option_trades", t.n - n_stocks);
    write_count(w, "winning_trades", t.wins);
    write_count(w, "losing_trades", t.losses);
    write_money(w, "net_pnl", t.net_e8);
    write_money(w, "gross_profit", t.gross_profit_e8);
    write_money(w, "gross_loss", t.gross_loss_e8);
    write_money_mean(w, "average_gain", t.gross_profit_e8, t.wins);
    write_money_mean(w, "average_loss", -t.gross_loss_e8, t.losses);
    write_ratio(w, "profit_factor", t.gross_profit_e8, -t.gross_loss_e8);
    write_percentage(w, "win_rate", (wide_int)t.wins, (wide_int)t.n);
    write_money_mean(w, "expectancy", t.net_e8, t.n);
    write_money_mean(w, "biggest_winner", t.wins == 0 ? 0 : trade_net_e8(t.best), t.wins != 0);
    write_money_mean(w, "biggest_loser", t.losses == 0 ? 0 : trade_net_e8(t.worst), t.losses != 0);
    json_object_end(w);
}
