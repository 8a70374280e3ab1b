/* The latest prices of what a journal holds open (metrics.md 1.3, 14). */
#ifndef PNLCACHE_JOBS_ANALYTICS_PRICE_TABLE_H
#define PNLCACHE_JOBS_ANALYTICS_PRICE_TABLE_H

#include "jobs/analytics/journal.h"

/* A price as a view may deliver it. */
struct price_row {
    struct text_ref symbol;
    bool option; /* the next three are given; otherwise the price of a share */
    struct date expiration;
    struct text_ref option_type;
    struct number strike_price;
    struct number price; /* per share, or per unit of the underlying */
    struct instant observed;
};

struct price {
    uint32_t symbol; /* id in the journal's symbols */
    bool option, put;
    struct date expiration;
    int64_t strike_price_e8, price_e8;
    struct instant observed;
};

struct price_table {
    struct price *prices;
    size_t n_prices, cap_prices;
};

void price_table_init(struct price_table *table);
void price_table_release(struct price_table *table);
/* Takes a price; one of a symbol the journal does not know, or one that is no price (null, negative, not finite), is
 * left out. STATUS_NO_MEMORY. */
enum status price_table_add(struct price_table *table, const struct symbol_table *symbols,
                            const struct price_row *row) MUST_CHECK;
/* After the last price, before the first question. */
void price_table_finish(struct price_table *table);
/* False: the position has no price. Of several prices the one observed last counts. */
bool price_table_find(const struct price_table *table, const struct position *position, int64_t *ret_price_e8);

#endif
