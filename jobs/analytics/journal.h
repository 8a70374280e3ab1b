/* One user's trades at one instant, validated and valued (metrics.md 1.4, 2, 5): what every
 * computation works on. Rows arrive in the database's order (exit_date, stock before option, id);
 * the journal keeps one compact array of closed trades in canonical order and one of open ones. */
#ifndef PNLCACHE_JOBS_ANALYTICS_JOURNAL_H
#define PNLCACHE_JOBS_ANALYTICS_JOURNAL_H

#include "jobs/analytics/account.h"
#include "jobs/analytics/symbol_table.h"
#include "jobs/analytics/trade.h"

enum asset { ASSET_ALL, ASSET_STOCKS, ASSET_OPTIONS };
const char *asset_text(enum asset asset); /* "all", "stocks", "options" */

static inline bool asset_has(enum asset asset, const struct trade *t)
{
    return asset == ASSET_ALL || t->option == (asset == ASSET_OPTIONS);
}

#define JOURNAL_MAX_TRADES ((size_t)1 << 30) /* products of a count and a sum stay inside 128 bits */
#define JOURNAL_SKIPPED_IDS 10000            /* more skipped rows are counted, not named */

/* What only groups need of a closed trade, kept apart so that a trade stays small: ids of texts. */
#define TEXT_NONE UINT32_MAX
struct trade_detail {
    uint32_t strategy, brokerage, mistakes;
    uint32_t symbol; /* that of the trade */
};

/* A row that was left out; id 0: it has none. */
struct skipped_row {
    int64_t id;
    bool option;
    enum skip_reason reason;
};

struct journal {
    struct account account;
    struct instant as_of;
    struct date today;    /* T: the trading day of as_of */
    struct trade *closed; /* canonical order */
    size_t n_closed;
    size_t n_closed_stocks; /* the rest of n_closed are options */
    struct position *open;  /* by (entry_date, stock before option, id) */
    size_t n_open;
    size_t n_open_stocks;             /* the rest of n_open are options */
    struct instant next_change;       /* earliest entry or exit after as_of; INSTANT_NEVER: none */
    size_t skipped[SKIP_REASONS];     /* rows left out, by reason */
    struct skipped_row *skipped_rows; /* the first of them, for the log */
    size_t n_skipped_rows;
    struct symbol_table symbols;  /* names of trade.symbol */
    bool keep_details;            /* set before journal_begin() by who wants `details` */
    struct trade_detail *details; /* of closed[i] each; only with keep_details */
    struct symbol_table texts;    /* of details; exact */
    size_t cap_closed, cap_open, cap_details, cap_skipped_rows;
    struct day_clock entry_clock, exit_clock;
    bool unsorted; /* a row came out of order */
    /* Exit days do not ascend with exit instants: where clocks were put back across local midnight,
     * a day comes twice. */
    bool days_go_back;
};

void journal_init(struct journal *j);
void journal_release(struct journal *j);
/* Empties the journal for the next user, keeps its memory. The account is copied; its holidays stay
 * borrowed. The journal must not move in memory until its journal_finish(). */
void journal_begin(struct journal *j, const struct account *account, struct instant as_of);
/* Judges one row: closed, open, not existing yet at as_of, or skipped and counted. The row's texts are
 * not kept. STATUS_NO_MEMORY; STATUS_LIMIT: more than JOURNAL_MAX_TRADES. */
enum status journal_add(struct journal *j, const struct trade_row *row, struct err *err) MUST_CHECK;
/* After the last row: puts both arrays into their order (cheap when the rows came in order). */
void journal_finish(struct journal *j);

/* min(first instant of the next trading day, next_change): metrics.md 16.1. */
struct instant journal_valid_until(const struct journal *j);

#endif
