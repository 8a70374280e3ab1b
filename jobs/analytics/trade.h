/* Trades: the raw row a database view delivers, and the compact valued trade metrics work on. */
#ifndef PNLCACHE_JOBS_ANALYTICS_TRADE_H
#define PNLCACHE_JOBS_ANALYTICS_TRADE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/calendar.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

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

struct trade_row {
    bool option;
    bool has_id, has_entry, has_exit;
    int64_t id;
    struct text_ref symbol;
    struct text_ref side;            /* stock: BUY/SELL; option: long/short */
    struct text_ref option_type, trade_direction, strategy, status; /* options */
    struct number quantity;          /* shares, or contracts (as a plain number) */
    struct number multiplier;        /* options; stocks: 1 */
    struct number entry_price, exit_price, stop_loss, initial_risk, take_profit, profit_target, intended_entry_price;
    struct number commissions, fees, strike_price, implied_volatility;
    struct instant entry, exit;      /* exit INSTANT_NEVER: 'infinity' */
    bool has_expiration;
    struct date expiration;
    struct text_ref mistakes, brokerage;
};

/* One valued trade (metrics.md 5), 10^-8 units. Kept small: a user with a million trades must fit. */
struct trade;

#endif
