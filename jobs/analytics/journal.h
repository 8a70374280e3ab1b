/* One user's trades at one instant, validated and valued (metrics.md 1.4, 2, 5): what every
 * computation works on. Rows arrive in the database's order (exit_date, stock before option, id);
 * the journal keeps one compact array of closed trades in canonical order and one of open ones. */
#ifndef PNLCACHE_JOBS_ANALYTICS_JOURNAL_H
#define PNLCACHE_JOBS_ANALYTICS_JOURNAL_H

#include "jobs/analytics/account.h"
#include "jobs/analytics/trade.h"

enum asset { ASSET_ALL, ASSET_STOCKS, ASSET_OPTIONS };
const char *asset_text(enum asset asset); /* "all", "stocks", "options" */

#define JOURNAL_SKIPPED_IDS 20 /* ids kept for the log line */

struct journal {
    struct account account;
    struct instant as_of;
    struct date today;           /* T: the trading day of as_of */
    struct trade *closed;        /* canonical order */
    size_t n_closed;
    struct trade *open;          /* by (entry_date, stock before option, id) */
    size_t n_open;
    size_t n_open_stocks;        /* the rest of n_open are options */
    struct instant next_change;  /* earliest entry or exit after as_of; INSTANT_NEVER: none */
    size_t skipped[SKIP_REASONS]; /* rows left out, by reason */
    size_t n_skipped_ids;
    struct {
        int64_t id;
        bool option;
        enum skip_reason reason;
    } skipped_ids[JOURNAL_SKIPPED_IDS];
    size_t cap_closed, cap_open;
};

void journal_init(struct journal *j);
void journal_release(struct journal *j);
/* Empties the journal for the next user, keeps its memory; account and as_of are set by the caller. */
void journal_begin(struct journal *j, const struct account *account, struct instant as_of);
/* Judges one row: closed, open, not existing yet at as_of, or skipped and counted. */
enum status journal_add(struct journal *j, const struct trade_row *row, struct err *err) MUST_CHECK;
/* After the last row: puts both arrays into their order (cheap when the rows came in order). */
void journal_finish(struct journal *j);

/* min(first instant of the next trading day, next_change): metrics.md 16.1. */
struct instant journal_valid_until(const struct journal *j);

#endif
