/* Random journals for property tests: rows as a view delivers them beside what each is worth, with ties in time, break-evens,
 * trades of no duration, exits at midnights and at changes of the clock. One journal at a time. */
#ifndef PNLCACHE_TESTS_SUPPORT_RANDOM_JOURNAL_H
#define PNLCACHE_TESTS_SUPPORT_RANDOM_JOURNAL_H

#include "jobs/analytics/journal.h"

#define MAX_TRADES 5000

struct simple_trade {
    int64_t id, entry_us, exit_us, day;
    int64_t net, gross, size, risk; /* 10^-8; risk 0: none */
    int64_t reward, slippage;       /* at the target, 0: none or on the wrong side; of the entry, 0: none */
    bool option, flawed;
    int previous[3]; /* by enum asset: outcome of the previous close: -1, 0, 1; 2: none */
};

/* The present journal. */
extern struct simple_trade trades[MAX_TRADES]; /* in canonical order */
extern struct trade_row rows[MAX_TRADES];      /* in the order of their making */
extern size_t n_trades;
extern struct account account;
extern struct instant as_of;
extern struct date holiday; /* the account's only one */

bool is_in(const struct simple_trade *t, enum asset asset);

/* The account and the clock of the journals made from now on; equity in whole money units, 0: unknown. */
void set_account(const char *zone, int day_start, const char *now, int64_t equity);
/* n closed trades that exit within span_days before the clock. scale: 10^-8 units of the prices' step. */
void make_journal(size_t n, int64_t span_days, int64_t scale);
/* Reads `rows` into the journal. */
void load(struct journal *j);

#endif
