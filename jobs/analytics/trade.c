/* Judging and valuing one row. Prices and quantities below 10^10 in size keep every product here inside
 * 128 bits; the limits of metrics.md 1.2 keep the results inside 64. */
#include "jobs/analytics/trade.h"

#include <string.h>

#include "lib/base/money.h"

#define E8_LIMIT TRADE_AMOUNT_LIMIT_E8
#define MAX_CONTRACTS 1000000
#define MAX_MULTIPLIER 100000
#define FIRST_ENTRY_US (INT64_C(-25567) * US_PER_DAY) /* 1900-01-01T00:00:00Z */

const char *skip_reason_text(enum skip_reason reason)
{
    static const char *const texts[SKIP_REASONS] = {
        "missing_field", "unknown_value", "bad_value", "inconsistent_exit", "exit_before_entry", "too_large",
    };

    return texts[reason];
}

/* --- lists ----------------------------------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct text_ref text_trim(struct text_ref text)
{
    while (text.len > 0 && is_space(text.bytes[text.len - 1]))
        text.len--;
    while (text.len > 0 && is_space(text.bytes[0])) {
        text.bytes++;
        text.len--;
    }
    return text;
}

struct text_ref list_take(struct text_ref *list)
{
    while (list->bytes != NULL && list->len > 0) {
        struct text_ref entry = {.bytes = list->bytes};

        while (entry.len < list->len && entry.bytes[entry.len] != ',' && entry.bytes[entry.len] != ';')
            entry.len++;
        list->bytes += entry.len;
        list->len -= entry.len;
        if (list->len > 0) { /* the separator */
            list->bytes++;
            list->len--;
        }
        entry = text_trim(entry);
        if (entry.len > 0)
            return entry;
    }
    return (struct text_ref){NULL, 0};
}

/* --- judging (metrics.md 1.4) ---------------------------------------------------------------------- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Not strncasecmp(), which follows the locale. */
static bool text_is(struct text_ref text, const char *word)
{
    if (text.len != strlen(word))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (lower(text.bytes[i]) != lower(word[i]))
            return false;
    return true;
}

static bool text_is_missing(struct text_ref text)
{
    return text.bytes == NULL || text.len == 0;
}

static bool lacks_field(const struct trade_row *row)
{
    if (!row->has_id || text_is_missing(row->symbol) || row->quantity.state == NUMBER_NULL ||
        row->entry_price.state == NUMBER_NULL || !row->has_entry)
        return true;
    if (!row->option)
        return text_is_missing(row->side);
    return text_is_missing(row->strategy) || text_is_missing(row->option_type) || text_is_missing(row->status) ||
           row->strike_price.state == NUMBER_NULL || !row->has_expiration;
}

/* Index of the text among the words, or -1. */
static int find_word(struct text_ref text, const char *const *words, int n_words)
{
    for (int i = 0; i < n_words; i++)
        if (text_is(text, words[i]))
            return i;
    return -1;
}

static const char *const status_words[] = {"open", "closed", "expired", "assigned", "exercised"};
static const char *const direction_words[] = {"Bullish", "Bearish", "Neutral"};

bool option_type_parse(struct text_ref text, bool *ret_put)
{
    static const char *const types[] = {"Call", "Put"};
    int type = text.bytes == NULL ? -1 : find_word(text, types, 2);

    *ret_put = type == 1;
    return type >= 0;
}

/* Reads the words of a row into the trade; false: one of them is unknown. */
static bool read_words(const struct trade_row *row, struct trade *t)
{
    static const char *const stock_sides[] = {"BUY", "SELL"};
    static const char *const option_sides[] = {"long", "short"};
    int side, status, direction;
    bool put;

    if (!row->option) {
        side = find_word(row->side, stock_sides, 2);
        t->is_short = side == 1;
        t->direction = side == 1 ? DIRECTION_BEARISH : DIRECTION_BULLISH;
        return side >= 0;
    }
    side = row->side.bytes == NULL ? 0 : find_word(row->side, option_sides, 2);
    status = find_word(row->status, status_words, 5);
    if (!option_type_parse(row->option_type, &put) || side < 0 || status < 0)
        return false;
    direction = (side == 1) == put ? DIRECTION_BULLISH : DIRECTION_BEARISH;
    if (row->trade_direction.bytes != NULL)
        direction = find_word(row->trade_direction, direction_words, 3);
    if (direction < 0)
        return false;
    t->is_short = side == 1;
    t->put = put;
    t->status = (unsigned)status & 7U;
    t->direction = (unsigned)direction & 3U;
    return true;
}

static bool number_is_bad(struct number n, int64_t min_e8)
{
    return n.state == NUMBER_BAD || (n.state == NUMBER_FINITE && n.e8 < min_e8);
}

/* A whole number 1..max. */
static bool count_is_bad(struct number n, int64_t max)
{
    return n.state == NUMBER_BAD ||
           (n.state == NUMBER_FINITE && (n.e8 <= 0 || n.e8 % MONEY_SCALE != 0 || n.e8 / MONEY_SCALE > max));
}

static bool has_bad_value(const struct trade_row *row)
{
    if (row->id < 1 || row->entry.us < FIRST_ENTRY_US || number_is_bad(row->commissions, 0) ||
        row->fees.state == NUMBER_BAD || number_is_bad(row->exit_price, 0))
        return true;
    if (!row->option)
        return number_is_bad(row->quantity, 1) || number_is_bad(row->entry_price, 1);
    return number_is_bad(row->entry_price, 0) || number_is_bad(row->strike_price, 1) ||
           count_is_bad(row->quantity, MAX_CONTRACTS) || count_is_bad(row->multiplier, MAX_MULTIPLIER);
}

/* The exit CHECKs of metrics.md 1.1 and 1.2. */
static bool exit_is_inconsistent(const struct trade_row *row, enum option_status status)
{
    bool has_price = row->exit_price.state != NUMBER_NULL;

    if (!row->option)
        return row->has_exit != has_price;
    return (status == OPTION_OPEN) == row->has_exit || (status == OPTION_CLOSED && !has_price) ||
           (!row->has_exit && has_price);
}

/* --- amounts --------------------------------------------------------------------------------------- */

/* How many units of the underlying a row stands for. */
struct quantity {
    bool whole;
    int64_t shares_e8; /* stocks */
    int64_t units;     /* options: contracts x multiplier */
};

static int64_t row_multiplier(const struct trade_row *row)
{
    return row->multiplier.state == NUMBER_NULL ? 100 : row->multiplier.e8 / MONEY_SCALE;
}

static struct quantity row_quantity(const struct trade_row *row)
{
    if (!row->option)
        return (struct quantity){.shares_e8 = row->quantity.e8};
    return (struct quantity){.whole = true, .units = row->quantity.e8 / MONEY_SCALE * row_multiplier(row)};
}

/* round8(price x q). */
static wide_int amount_e8(int64_t price_e8, struct quantity q)
{
    return q.whole ? (wide_int)price_e8 * q.units : money_multiply(price_e8, q.shares_e8);
}

static bool is_too_large(int64_t price_e8, struct quantity q)
{
    if (q.whole)
        return (wide_int)price_e8 * q.units >= E8_LIMIT;
    return (wide_int)price_e8 * q.shares_e8 >= (wide_int)E8_LIMIT * MONEY_SCALE;
}

static int64_t exit_price_e8(const struct trade_row *row)
{
    return row->exit_price.state == NUMBER_NULL ? 0 : row->exit_price.e8;
}

/* A planning value: absent unless positive (metrics.md 1.4). */
static bool planned(struct number n)
{
    return n.state == NUMBER_FINITE && n.e8 > 0;
}

static int64_t planned_amount_e8(wide_int amount)
{
    return amount < E8_LIMIT ? (int64_t)amount : 0;
}

static int64_t initial_risk_e8(const struct trade_row *row, const struct trade *t, struct quantity q)
{
    if (planned(row->initial_risk))
        return row->initial_risk.e8;
    if (planned(row->stop_loss)) {
        int64_t distance = row->entry_price.e8 - row->stop_loss.e8;

        if (t->is_short)
            distance = -distance;
        return distance > 0 ? planned_amount_e8(amount_e8(distance, q)) : 0;
    }
    return t->option && !t->is_short ? t->size_e8 : 0;
}

static double planned_reward_to_risk(const struct trade_row *row, const struct trade *t, struct quantity q)
{
    struct number target = row->profit_target;
    int64_t distance;
    double units = q.whole ? (double)q.units : (double)q.shares_e8 / (double)MONEY_SCALE;

    if (!t->option && !planned(target))
        target = row->take_profit;
    if (!planned(target) || t->risk_e8 == 0)
        return 0;
    distance = t->is_short ? row->entry_price.e8 - target.e8 : target.e8 - row->entry_price.e8;
    return distance > 0 ? (double)distance * units / (double)t->risk_e8 : 0;
}

static void set_slippage(const struct trade_row *row, struct quantity q, struct trade *t)
{
    int64_t distance = row->entry_price.e8 - row->intended_entry_price.e8;
    wide_int slippage;

    if (!planned(row->intended_entry_price))
        return;
    slippage = amount_e8(t->is_short ? -distance : distance, q);
    if (slippage >= E8_LIMIT || slippage <= -E8_LIMIT)
        return;
    t->has_slippage = 1;
    t->slippage_e8 = (int64_t)slippage;
}

static int64_t or_zero(struct number n)
{
    return n.state == NUMBER_FINITE ? n.e8 : 0;
}

static void value_trade(const struct trade_row *row, struct quantity q, bool closed, struct trade *t)
{
    struct text_ref mistakes = row->mistakes;

    t->id = row->id;
    t->entry = row->entry;
    t->exit = closed ? row->exit : INSTANT_NEVER;
    t->commissions_e8 = or_zero(row->commissions);
    t->fees_e8 = or_zero(row->fees);
    t->size_e8 = (int64_t)amount_e8(row->entry_price.e8, q);
    if (closed) {
        int64_t distance = exit_price_e8(row) - row->entry_price.e8;

        t->gross_e8 = (int64_t)amount_e8(t->is_short ? -distance : distance, q);
    }
    t->risk_e8 = initial_risk_e8(row, t, q);
    t->planned_rr = planned_reward_to_risk(row, t, q);
    set_slippage(row, q, t);
    t->flawed = list_take(&mistakes).bytes != NULL;
    if (t->option) {
        t->contracts = (unsigned)(row->quantity.e8 / MONEY_SCALE) & 0xfffffU;
        t->iv_e8 = planned(row->implied_volatility) ? row->implied_volatility.e8 : 0;
    }
}

enum trade_state trade_from_row(const struct trade_row *row, struct instant as_of, struct trade *ret_trade,
                                enum skip_reason *ret_reason)
{
    struct trade *t = ret_trade;
    struct quantity q;
    bool closed;

    *t = (struct trade){.option = row->option};
    if (row->has_entry && row->entry.us > as_of.us)
        return TRADE_NOT_YET;
    if (lacks_field(row)) {
        *ret_reason = SKIP_MISSING_FIELD;
    } else if (!read_words(row, t)) {
        *ret_reason = SKIP_UNKNOWN_VALUE;
    } else if (has_bad_value(row)) {
        *ret_reason = SKIP_BAD_VALUE;
    } else if (exit_is_inconsistent(row, (enum option_status)t->status)) {
        *ret_reason = SKIP_INCONSISTENT_EXIT;
    } else if (row->has_exit && row->exit.us < row->entry.us) {
        *ret_reason = SKIP_EXIT_BEFORE_ENTRY;
    } else {
        q = row_quantity(row);
        if (!is_too_large(row->entry_price.e8, q) && !is_too_large(exit_price_e8(row), q)) {
            closed = row->has_exit && row->exit.us <= as_of.us;
            value_trade(row, q, closed, t);
            return closed ? TRADE_CLOSED : TRADE_IS_OPEN;
        }
        *ret_reason = SKIP_TOO_LARGE;
    }
    return TRADE_SKIPPED;
}

struct position position_from_row(const struct trade_row *row, const struct trade *trade)
{
    struct position p = {.trade = *trade, .quantity_e8 = row->quantity.e8, .multiplier = 1};

    p.entry_price_e8 = row->entry_price.e8;
    if (row->option) {
        p.multiplier = row_multiplier(row);
        p.strike_price_e8 = row->strike_price.e8;
        p.expiration = row->expiration;
    }
    return p;
}

wide_int position_amount_e8(const struct position *p, int64_t price_e8)
{
    struct quantity q = {.whole = p->trade.option, .shares_e8 = p->quantity_e8};

    if (q.whole)
        q.units = p->quantity_e8 / MONEY_SCALE * p->multiplier;
    return amount_e8(price_e8, q);
}

/* --- order ----------------------------------------------------------------------------------------- */

static int compare_int64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_at(const struct trade *a, int64_t a_us, const struct trade *b, int64_t b_us)
{
    int order = compare_int64(a_us, b_us);

    if (order == 0)
        order = (int)a->option - (int)b->option;
    return order != 0 ? order : compare_int64(a->id, b->id);
}

int trade_compare_exit(const struct trade *a, const struct trade *b)
{
    return compare_at(a, a->exit.us, b, b->exit.us);
}

int trade_compare_entry(const struct trade *a, const struct trade *b)
{
    return compare_at(a, a->entry.us, b, b->entry.us);
}
