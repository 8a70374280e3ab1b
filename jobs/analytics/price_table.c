#include "jobs/analytics/price_table.h"

#include <stdlib.h>

void price_table_init(struct price_table *table)
{
    *table = (struct price_table){0};
}

void price_table_release(struct price_table *table)
{
    free(table->prices);
    price_table_init(table);
}

static enum status append(struct price_table *table, const struct price *price)
{
    if (table->n_prices == table->cap_prices) {
        size_t cap = table->cap_prices == 0 ? 64 : 2 * table->cap_prices;
        struct price *grown = realloc(table->prices, cap * sizeof *grown);

        if (grown == NULL)
            return STATUS_NO_MEMORY;
        table->prices = grown;
        table->cap_prices = cap;
    }
    table->prices[table->n_prices++] = *price;
    return STATUS_OK;
}

enum status price_table_add(struct price_table *table, const struct symbol_table *symbols, const struct price_row *row)
{
    struct price price = {.option = row->option, .price_e8 = row->price.e8, .observed = row->observed};
    bool put;

    if (row->symbol.bytes == NULL || row->price.state != NUMBER_FINITE || row->price.e8 < 0 ||
        !symbol_table_find(symbols, row->symbol, &price.symbol))
        return STATUS_OK;
    if (row->option) {
        if (!option_type_parse(row->option_type, &put) || row->strike_price.state != NUMBER_FINITE)
            return STATUS_OK;
        price.put = put;
        price.expiration = row->expiration;
        price.strike_price_e8 = row->strike_price.e8;
    }
    return append(table, &price);
}

static int compare(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* By what is priced. */
static int compare_subject(const struct price *a, const struct price *b)
{
    int order = compare(a->symbol, b->symbol);

    if (order == 0)
        order = compare(a->option, b->option);
    if (order == 0)
        order = compare(a->put, b->put);
    if (order == 0)
        order = compare(a->expiration.days, b->expiration.days);
    return order != 0 ? order : compare(a->strike_price_e8, b->strike_price_e8);
}

/* The latest of one subject comes first. */
static int compare_prices(const void *a, const void *b)
{
    const struct price *x = a, *y = b;
    int order = compare_subject(x, y);

    if (order == 0)
        order = compare(y->observed.us, x->observed.us);
    return order != 0 ? order : compare(y->price_e8, x->price_e8);
}

void price_table_finish(struct price_table *table)
{
    size_t kept = 0;

    if (table->n_prices > 1)
        qsort(table->prices, table->n_prices, sizeof *table->prices, compare_prices);
    for (size_t i = 0; i < table->n_prices; i++)
        if (kept == 0 || compare_subject(&table->prices[kept - 1], &table->prices[i]) != 0)
            table->prices[kept++] = table->prices[i];
    table->n_prices = kept;
}

static int compare_wanted(const void *wanted, const void *price)
{
    return compare_subject(wanted, price);
}

bool price_table_find(const struct price_table *table, const struct position *position, int64_t *ret_price_e8)
{
    struct price wanted = {.symbol = position->trade.symbol, .option = position->trade.option};
    const struct price *found;

    if (wanted.option) {
        wanted.put = position->trade.put;
        wanted.expiration = position->expiration;
        wanted.strike_price_e8 = position->strike_price_e8;
    }
    if (table->n_prices == 0)
        return false;
    found = bsearch(&wanted, table->prices, table->n_prices, sizeof *table->prices, compare_wanted);
    if (found == NULL)
        return false;
    *ret_price_e8 = found->price_e8;
    return true;
}
