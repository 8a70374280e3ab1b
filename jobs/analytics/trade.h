/* Trades: the raw row a database view delivers, and the compact valued trade metrics work on. */
#ifndef PNLCACHE_JOBS_ANALYTICS_TRADE_H
#define PNLCACHE_JOBS_ANALYTICS_TRADE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/calendar.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/money.h"

/* Why a row was left out (metrics.md 1.4), in the order in which reasons apply. */
enum skip_reason {
    SKIP_MISSING_FIELD,
    SKIP_UNKNOWN_VALUE,
    SKIP_BAD_VALUE,
    SKIP_INCONSISTENT_EXIT,
    SKIP_EXIT_BEFORE_ENTRY,
    SKIP_TOO_LARGE,
    SKIP_REASONS
};
const char *skip_reason_text(enum skip_reason reason); /* "missing_field", ... */

/* A number as a view may deliver it. */
enum number_state { NUMBER_NULL, NUMBER_FINITE, NUMBER_BAD /* NaN, infinite, 10^10 or more */ };
struct number {
    enum number_state state;
    int64_t e8;
};

struct text_ref { /* borrowed bytes, not NUL-terminated; bytes NULL: SQL NULL */
    const char *bytes;
    size_t len;
};

struct text_ref text_trim(struct text_ref text); /* without white space around it */
/* Takes the next entry of a list separated by ',' or ';': trimmed, never empty. bytes NULL: no more. */
struct text_ref list_take(struct text_ref *list);

struct trade_row {
    bool option;
    bool has_id, has_entry, has_exit;
    int64_t id;
    struct text_ref symbol;
    struct text_ref side;                                           /* stock: BUY/SELL; option: long/short */
    struct text_ref option_type, trade_direction, strategy, status; /* options */
    struct number quantity;                                         /* shares, or contracts (as a plain number) */
    struct number multiplier;                                       /* options; stocks: 1 */
    struct number entry_price, exit_price, stop_loss, initial_risk, take_profit, profit_target, intended_entry_price;
    struct number commissions, fees, strike_price, implied_volatility;
    struct instant entry, exit; /* exit INSTANT_NEVER: 'infinity' */
    bool has_expiration;
    struct date expiration;
    struct text_ref mistakes, brokerage;
};

enum trade_direction { DIRECTION_BULLISH, DIRECTION_BEARISH, DIRECTION_NEUTRAL };
enum option_status { OPTION_OPEN, OPTION_CLOSED, OPTION_EXPIRED, OPTION_ASSIGNED, OPTION_EXERCISED };

/* One valid row with its values of metrics.md 5; money in 10^-8 units. Kept small: a user with a
 * million trades must fit. An open trade has exit INSTANT_NEVER, gross 0 and no exit day. */
struct trade {
    int64_t id;
    struct instant entry, exit;
    int64_t gross_e8, commissions_e8, fees_e8, size_e8;
    int64_t risk_e8;     /* 0: undefined */
    int64_t slippage_e8; /* meaningful when has_slippage */
    int64_t iv_e8;       /* options, percent points; 0: unknown */
    double planned_rr;   /* 0: undefined (a defined one is positive) */
    struct date exit_day;
    uint32_t symbol;         /* id in the journal's symbols */
    int32_t dte;             /* options: days to expiration at entry, >= 0 */
    unsigned contracts : 20; /* options: 1..1,000,000 */
    unsigned option : 1, is_short : 1, put : 1, flawed : 1, has_slippage : 1;
    unsigned direction : 2; /* enum trade_direction */
    unsigned status : 3;    /* options: enum option_status */
};

/* The P&L of a closed trade, after costs. Fits: each part is below 2 x 10^18 in size. */
static inline int64_t trade_net_e8(const struct trade *t)
{
    return t->gross_e8 - t->commissions_e8 - t->fees_e8;
}

/* A planned amount of money (risk, slippage) of this size or more is read as absent, like a planning
 * value that is too large (metrics.md 1.4): a mistyped stop must not spoil the account. */
#define TRADE_AMOUNT_LIMIT_E8 (INT64_C(10000000000) * INT64_C(100000000))

enum trade_state { TRADE_CLOSED, TRADE_IS_OPEN, TRADE_NOT_YET, TRADE_SKIPPED };

/* An open trade with what its value at a price depends on (metrics.md 14). */
struct position {
    struct trade trade;
    int64_t quantity_e8; /* shares, or contracts */
    int64_t multiplier;  /* stocks: 1 */
    int64_t entry_price_e8;
    int64_t strike_price_e8; /* options, like expiration */
    struct date expiration;
};
/* Of a row that trade_from_row() judged to be open. */
struct position position_from_row(const struct trade_row *row, const struct trade *trade);
/* round8(price x q), q in units of the underlying: fits 128 bits for any price below 10^10. */
wide_int position_amount_e8(const struct position *position, int64_t price_e8);

/* "Call" or "Put", in any case; false: neither. */
bool option_type_parse(struct text_ref text, bool *ret_put);

/* Judges a row at `as_of` and values it. *ret_trade is of use for closed and open trades, except for
 * `exit_day`, `dte` and `symbol`, which need the account and the journal; *ret_reason for skipped ones. */
enum trade_state trade_from_row(const struct trade_row *row, struct instant as_of, struct trade *ret_trade,
                                enum skip_reason *ret_reason);

/* The canonical order (metrics.md 6): exit, stock before option, id. <0, 0, >0. */
int trade_compare_exit(const struct trade *a, const struct trade *b);
/* The order of open positions (metrics.md 14): entry, stock before option, id. */
int trade_compare_entry(const struct trade *a, const struct trade *b);

#endif
