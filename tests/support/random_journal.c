#include "tests/support/random_journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/journal_csv.h"
#include "tests/support/random_numbers.h"

struct simple_trade trades[MAX_TRADES];
struct trade_row rows[MAX_TRADES];
size_t n_trades;
struct account account;
struct instant as_of;
struct date holiday;
static char word_buy[] = "BUY", word_sell[] = "sell", word_long[] = "long", word_short[] = "Short";
static char word_call[] = "CALL", word_closed[] = "closed", word_strategy[] = "Any", word_mistake[] = "; late ,";

static struct text_ref text(char *word)
{
    return (struct text_ref){.bytes = word, .len = strlen(word)};
}

static struct number e8(int64_t value)
{
    return (struct number){.state = NUMBER_FINITE, .e8 = value};
}

static struct instant clocks_back; /* 0: no account of interest */

static int64_t random_exit_us(int64_t span_days)
{
    int64_t t = as_of.us - below(span_days * US_PER_DAY + 1);

    if (clocks_back.us != 0 && below(3) == 0)
        return clocks_back.us - 60 * US_PER_SECOND + below(120 * US_PER_SECOND);
    switch (below(4)) {
    case 0: return t - t % US_PER_DAY;             /* midnight UTC, ties */
    case 1: return t - t % (US_PER_DAY / 24);      /* full hours */
    case 2: return t - t % (US_PER_DAY / 24) + 90; /* near them */
    default: return t;
    }
}

static int64_t random_hold_us(void)
{
    switch (below(5)) {
    case 0: return 0;
    case 1: return below(4) * US_PER_DAY;
    case 2: return below(US_PER_DAY);
    case 3: return below(120) * US_PER_DAY + below(3);
    default: return 7 * US_PER_DAY - 1 + below(2);
    }
}

/* A target on either side, in one of the two places, and an entry that was meant elsewhere. */
static void plan_trade(struct trade_row *row, struct simple_trade *t, int64_t scale, int64_t units, bool is_short)
{
    int64_t target = below(5) - 2, meant = below(3) - 1;

    if (target != 0) {
        struct number price = e8(row->entry_price.e8 + target * scale);

        if (t->option || below(2) == 0)
            row->profit_target = price;
        else
            row->take_profit = price;
        target = is_short ? -target : target;
        t->reward = target > 0 ? target * units * scale : 0;
    }
    if (meant != 0) {
        row->intended_entry_price = e8(row->entry_price.e8 + meant * scale);
        t->slippage = (is_short ? meant : -meant) * units * scale;
    }
}

/* A whole price and a whole quantity keep the products here free of rounding. */
static void make_trade(size_t i, int64_t span_days, int64_t scale)
{
    struct trade_row *row = &rows[i];
    struct simple_trade *t = &trades[i];
    int64_t entry = 50 + below(60), exit = entry + below(7) - 3, quantity = 1 + below(5), stop = below(3) - 1;
    bool is_short = below(3) == 0;

    *t = (struct simple_trade){.id = (int64_t)i + 1, .option = below(3) == 0, .flawed = below(5) == 0};
    t->exit_us = random_exit_us(span_days);
    t->entry_us = t->exit_us - random_hold_us();
    *row = (struct trade_row){.option = t->option, .has_id = true, .has_entry = true, .has_exit = true, .id = t->id};
    row->entry.us = t->entry_us;
    row->exit.us = t->exit_us;
    row->symbol = text(word_strategy);
    row->quantity = e8(quantity * MONEY_SCALE);
    row->entry_price = e8(entry * scale);
    row->exit_price = e8(exit * scale);
    row->commissions = e8(below(2) * scale);
    row->fees = e8((below(3) - 1) * scale);
    if (stop != 0)
        row->stop_loss = e8((entry - stop) * scale);
    if (t->flawed)
        row->mistakes = text(word_mistake);
    row->side = text(t->option ? (is_short ? word_short : word_long) : (is_short ? word_sell : word_buy));
    if (t->option) {
        quantity *= 10;
        row->multiplier = e8(10 * MONEY_SCALE);
        row->strategy = text(word_strategy);
        row->option_type = text(word_call);
        row->status = text(word_closed);
        row->strike_price = e8(MONEY_SCALE);
        row->has_expiration = true;
    }
    t->gross = (is_short ? entry - exit : exit - entry) * quantity * scale;
    t->net = t->gross - row->commissions.e8 - row->fees.e8;
    t->size = entry * quantity * scale;
    if (stop != 0)
        t->risk = (is_short ? -stop : stop) > 0 ? quantity * scale : 0;
    else if (t->option && !is_short)
        t->risk = t->size;
    plan_trade(row, t, scale, quantity, is_short);
}

static int compare_canonical(const void *a, const void *b)
{
    const struct simple_trade *x = a, *y = b;

    if (x->exit_us != y->exit_us)
        return x->exit_us < y->exit_us ? -1 : 1;
    if (x->option != y->option)
        return x->option ? 1 : -1;
    return x->id < y->id ? -1 : 1;
}

bool is_in(const struct simple_trade *t, enum asset asset)
{
    return asset == ASSET_ALL || t->option == (asset == ASSET_OPTIONS);
}

void make_journal(size_t n, int64_t span_days, int64_t scale)
{
    n_trades = n;
    for (size_t i = 0; i < n; i++)
        make_trade(i, span_days, scale);
    qsort(trades, n, sizeof trades[0], compare_canonical);
    for (size_t i = 0; i < n; i++) {
        struct instant exit = {trades[i].exit_us};

        trades[i].day = trading_day(account.zone, account.trading_day_start, exit).days;
        for (enum asset asset = ASSET_ALL; asset <= ASSET_OPTIONS; asset++) {
            trades[i].previous[asset] = 2;
            for (size_t j = 0; j < n; j++)
                if (j != i && is_in(&trades[j], asset) && trades[j].exit_us <= trades[i].entry_us)
                    trades[i].previous[asset] = (trades[j].net > 0) - (trades[j].net < 0);
        }
    }
}

void load(struct journal *j)
{
    journal_begin(j, &account, as_of);
    for (size_t i = 0; i < n_trades; i++)
        assert_int_equal(journal_add(j, &rows[i], NULL), STATUS_OK);
    journal_finish(j);
    assert_int_equal(j->n_closed, n_trades);
}

void set_account(const char *zone, int day_start, const char *now, int64_t equity)
{
    assert_int_equal(account_init_default(&account, NULL), STATUS_OK);
    assert_int_equal(timezone_open(zone, &account.zone, NULL), STATUS_OK);
    account.trading_day_start = day_start;
    account.has_starting_equity = equity != 0;
    account.starting_equity_e8 = equity * MONEY_SCALE;
    as_of = instant_of(now);
    holiday = date_add_days(trading_day(account.zone, day_start, as_of), -30);
    account.holidays = &holiday;
    account.n_holidays = 1;
    clocks_back.us = strcmp(zone, "America/St_Johns") == 0 ? instant_of("2006-10-29T02:31:00Z").us : 0;
}
