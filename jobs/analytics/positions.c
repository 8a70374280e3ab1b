#include "jobs/analytics/positions.h"

#include "jobs/analytics/metric_writer.h"

/* One position at its latest price. */
struct valued {
    const struct position *position;
    bool priced;
    int64_t price_e8;
    wide_int market_value_e8, unrealized_e8; /* when priced */
};

struct sums {
    size_t n, n_stocks, n_short, n_priced, n_risk;
    wide_int cost_e8, gross_exposure_e8, net_exposure_e8, unrealized_e8, risk_e8;
};

static struct valued value_at_latest(const struct position *p, const struct price_table *prices)
{
    const struct trade *t = &p->trade;
    struct valued v = {.position = p};
    int sign = t->is_short ? -1 : 1;

    v.priced = price_table_find(prices, p, &v.price_e8);
    if (!v.priced)
        return v;
    v.market_value_e8 = sign * position_amount_e8(p, v.price_e8);
    v.unrealized_e8 = position_amount_e8(p, sign * (v.price_e8 - p->entry_price_e8)) - t->commissions_e8 - t->fees_e8;
    return v;
}

static void add(struct sums *s, const struct valued *v)
{
    const struct trade *t = &v->position->trade;

    s->n++;
    s->n_stocks += !t->option;
    s->n_short += t->is_short;
    s->cost_e8 += t->size_e8;
    s->risk_e8 += t->risk_e8;
    s->n_risk += t->risk_e8 != 0;
    if (!v->priced)
        return;
    s->n_priced++;
    s->net_exposure_e8 += v->market_value_e8;
    s->gross_exposure_e8 += v->market_value_e8 < 0 ? -v->market_value_e8 : v->market_value_e8;
    s->unrealized_e8 += v->unrealized_e8;
}

static void write_money_if(struct json_writer *w, const char *key, bool known, wide_int value_e8)
{
    write_money_mean(w, key, value_e8, known);
}

static void write_sums(const struct sums *s, struct json_writer *w)
{
    write_count(w, "open_count", s->n);
    write_count(w, "open_stock_count", s->n_stocks);
    write_count(w, "open_option_count", s->n - s->n_stocks);
    write_count(w, "open_long_count", s->n - s->n_short);
    write_count(w, "open_short_count", s->n_short);
    write_money(w, "cost_basis", s->cost_e8);
    write_count(w, "priced_count", s->n_priced);
    write_count(w, "unpriced_count", s->n - s->n_priced);
    write_money_if(w, "gross_exposure", s->n_priced != 0, s->gross_exposure_e8);
    write_money_if(w, "net_exposure", s->n_priced != 0, s->net_exposure_e8);
    write_money_if(w, "unrealized_pnl", s->n_priced != 0, s->unrealized_e8);
    write_money_if(w, "open_risk", s->n_risk != 0, s->risk_e8);
}

static void write_price(struct json_writer *w, const char *key, bool known, int64_t value_e8)
{
    json_key(w, key);
    if (known)
        json_decimal(w, value_e8, 8, 8);
    else
        json_null_number(w);
}

static void write_position(const struct valued *v, const struct journal *journal, struct json_writer *w)
{
    const struct position *p = v->position;
    const struct trade *t = &p->trade;

    json_object_begin(w);
    write_trade_name(w, t, symbol_table_name(&journal->symbols, t->symbol));
    json_key(w, "side");
    json_string(w, t->is_short ? "short" : "long");
    write_price(w, "quantity", true, p->quantity_e8);
    write_price(w, "entry_price", true, p->entry_price_e8);
    write_instant(w, "entry_date", t->entry);
    write_money(w, "cost_basis", t->size_e8);
    write_price(w, "latest_price", v->priced, v->price_e8);
    write_money_if(w, "market_value", v->priced, v->market_value_e8);
    write_money_if(w, "unrealized_pnl", v->priced, v->unrealized_e8);
    write_percentage(w, "unrealized_pnl_percentage", v->unrealized_e8, v->priced ? t->size_e8 : 0);
    write_ratio(w, "unrealized_r_multiple", v->unrealized_e8, v->priced ? t->risk_e8 : 0);
    write_money_if(w, "initial_risk", t->risk_e8 != 0, t->risk_e8);
    write_days_mean(w, "days_held", journal->as_of.us - t->entry.us, 1);
    json_object_end(w);
}

bool positions_any(const struct journal *journal, enum asset asset)
{
    size_t n_options = journal->n_open - journal->n_open_stocks;

    return (asset != ASSET_OPTIONS && journal->n_open_stocks > 0) || (asset != ASSET_STOCKS && n_options > 0);
}

void positions_write(const struct journal *journal, enum asset asset, const struct price_table *prices,
                     struct json_writer *w)
{
    struct sums sums = {0};

    for (size_t i = 0; i < journal->n_open; i++) {
        struct valued v = value_at_latest(&journal->open[i], prices);

        if (asset_has(asset, &journal->open[i].trade))
            add(&sums, &v);
    }
    json_object_begin(w);
    write_sums(&sums, w);
    json_key(w, "positions");
    json_array_begin(w);
    for (size_t i = 0; i < journal->n_open; i++) {
        struct valued v = value_at_latest(&journal->open[i], prices);

        if (asset_has(asset, &journal->open[i].trade))
            write_position(&v, journal, w);
    }
    json_array_end(w);
    json_object_end(w);
}
