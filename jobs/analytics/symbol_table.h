/* Small integers for symbol names, so that a trade stays small and equal symbols compare as numbers.
 * Names are kept upper-case (ASCII letters), as the journal's tables store them; a table of other names
 * (`exact`) keeps them as they are. */
#ifndef PNLCACHE_JOBS_ANALYTICS_SYMBOL_TABLE_H
#define PNLCACHE_JOBS_ANALYTICS_SYMBOL_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "jobs/analytics/trade.h"
#include "lib/base/buf.h"

struct symbol_name {
    size_t offset, len; /* in names */
    uint64_t hash;
};

struct symbol_table {
    bool exact; /* case matters; set right after the table's init */
    struct buf names;
    struct symbol_name *symbols; /* by id */
    size_t n_symbols, cap_symbols;
    uint32_t *slots; /* id + 1; 0: free. A power of two, at most half full */
    size_t n_slots;
};

void symbol_table_init(struct symbol_table *table);
/* Keeps `exact`. */
void symbol_table_release(struct symbol_table *table);
void symbol_table_clear(struct symbol_table *table); /* keeps its memory */

/* The id of a name, a new one if need be: 0, 1, 2, ... in order of first use. STATUS_NO_MEMORY. */
enum status symbol_table_put(struct symbol_table *table, struct text_ref name, uint32_t *ret_id) MUST_CHECK;
/* False: no trade has this symbol. */
bool symbol_table_find(const struct symbol_table *table, struct text_ref name, uint32_t *ret_id);
/* The name; borrowed until the next put or clear. */
struct text_ref symbol_table_name(const struct symbol_table *table, uint32_t id);

#endif
