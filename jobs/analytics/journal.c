#include "jobs/analytics/journal.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/analytics/time_range.h"

const char *asset_text(enum asset asset)
{
    static const char *const texts[] = {"all", "stocks", "options"};

    return texts[asset];
}

void journal_init(struct journal *j)
{
    *j = (struct journal){.next_change = INSTANT_NEVER};
    symbol_table_init(&j->symbols);
    symbol_table_init(&j->texts);
    j->texts.exact = true;
}

void journal_release(struct journal *j)
{
    free(j->closed);
    free(j->open);
    free(j->details);
    free(j->skipped_rows);
    symbol_table_release(&j->symbols);
    symbol_table_release(&j->texts);
    journal_init(j);
}

void journal_begin(struct journal *j, const struct account *account, struct instant as_of)
{
    j->account = *account;
    j->as_of = as_of;
    j->today = trading_day(account->zone, account->trading_day_start, as_of);
    j->n_closed = 0;
    j->n_closed_stocks = 0;
    j->n_open = 0;
    j->n_open_stocks = 0;
    j->next_change = INSTANT_NEVER;
    memset(j->skipped, 0, sizeof j->skipped);
    j->n_skipped_rows = 0;
    symbol_table_clear(&j->symbols);
    symbol_table_clear(&j->texts);
    day_clock_init(&j->entry_clock, &j->account);
    day_clock_init(&j->exit_clock, &j->account);
    j->unsorted = false;
    j->days_go_back = false;
}

static void note_change(struct journal *j, bool known, struct instant t)
{
    if (known && t.us > j->as_of.us && t.us < j->next_change.us)
        j->next_change = t;
}

/* Room for one more item: grows by half, so that a large user costs little more than its trades. */
static enum status reserve(void *items, size_t n, size_t *cap, size_t item_size, void **ret_items, struct err *err)
{
    size_t new_cap = *cap == 0 ? 256 : *cap + *cap / 2;
    void *grown;

    *ret_items = items;
    if (n < *cap)
        return STATUS_OK;
    if (n >= JOURNAL_MAX_TRADES)
        return err_fail(err, STATUS_LIMIT, "a user has more than %zu trades", JOURNAL_MAX_TRADES);
    grown = realloc(items, new_cap * item_size);
    if (grown == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for %zu trades", new_cap);
    *ret_items = grown;
    *cap = new_cap;
    return STATUS_OK;
}

static enum status skip(struct journal *j, const struct trade_row *row, enum skip_reason reason, struct err *err)
{
    void *items;
    enum status status;

    j->skipped[reason]++;
    if (j->n_skipped_rows == JOURNAL_SKIPPED_IDS)
        return STATUS_OK;
    status = reserve(j->skipped_rows, j->n_skipped_rows, &j->cap_skipped_rows, sizeof *j->skipped_rows, &items, err);
    j->skipped_rows = items;
    if (status == STATUS_OK)
        j->skipped_rows[j->n_skipped_rows++] =
            (struct skipped_row){.id = row->has_id ? row->id : 0, .option = row->option, .reason = reason};
    return status;
}

static enum status append_closed(struct journal *j, const struct trade *t, struct err *err)
{
    void *items;
    enum status status = reserve(j->closed, j->n_closed, &j->cap_closed, sizeof *j->closed, &items, err);

    j->closed = items;
    if (status != STATUS_OK)
        return status;
    j->closed[j->n_closed++] = *t;
    j->n_closed_stocks += !t->option;
    return STATUS_OK;
}

static enum status append_open(struct journal *j, const struct trade_row *row, const struct trade *t, struct err *err)
{
    void *items;
    enum status status = reserve(j->open, j->n_open, &j->cap_open, sizeof *j->open, &items, err);

    j->open = items;
    if (status != STATUS_OK)
        return status;
    j->open[j->n_open++] = position_from_row(row, t);
    j->n_open_stocks += !t->option;
    return STATUS_OK;
}

static enum status put_text(struct journal *j, struct text_ref text, uint32_t *ret_id)
{
    *ret_id = TEXT_NONE;
    return text.bytes == NULL || text.len == 0 ? STATUS_OK : symbol_table_put(&j->texts, text, ret_id);
}

/* The detail of the closed trade that is added next. */
static enum status set_detail(struct journal *j, const struct trade_row *row, uint32_t symbol)
{
    struct trade_detail d = {.strategy = TEXT_NONE, .symbol = symbol};
    enum status status = STATUS_OK;

    if (j->n_closed == j->cap_details) {
        size_t cap = j->cap_details == 0 ? 256 : j->cap_details + j->cap_details / 2;
        struct trade_detail *grown = realloc(j->details, cap * sizeof *grown);

        if (grown == NULL)
            return STATUS_NO_MEMORY;
        j->details = grown;
        j->cap_details = cap;
    }
    if (row->option)
        status = put_text(j, row->strategy, &d.strategy);
    if (status == STATUS_OK)
        status = put_text(j, row->brokerage, &d.brokerage);
    if (status == STATUS_OK)
        status = put_text(j, row->mistakes, &d.mistakes);
    j->details[j->n_closed] = d;
    return status;
}

static int32_t days_to_expiration(struct journal *j, const struct trade_row *row)
{
    int64_t days = (int64_t)row->expiration.days - day_clock_day(&j->entry_clock, row->entry).days;

    if (days <= 0)
        return 0;
    return days > INT32_MAX ? INT32_MAX : (int32_t)days;
}

enum status journal_add(struct journal *j, const struct trade_row *row, struct err *err)
{
    enum skip_reason reason;
    struct trade t;
    enum trade_state state = trade_from_row(row, j->as_of, &t, &reason);

    note_change(j, row->has_entry, row->entry);
    note_change(j, row->has_exit, row->exit);
    if (state == TRADE_NOT_YET)
        return STATUS_OK;
    if (state == TRADE_SKIPPED)
        return skip(j, row, reason, err);
    if (symbol_table_put(&j->symbols, row->symbol, &t.symbol) != STATUS_OK)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for a symbol");
    t.dte = t.option ? days_to_expiration(j, row) : 0;
    if (state == TRADE_IS_OPEN)
        return append_open(j, row, &t, err);
    t.exit_day = day_clock_day(&j->exit_clock, t.exit);
    if (j->n_closed != 0) {
        j->unsorted |= trade_compare_exit(&j->closed[j->n_closed - 1], &t) > 0;
        j->days_go_back |= t.exit_day.days < j->closed[j->n_closed - 1].exit_day.days;
    }
    if (j->keep_details && set_detail(j, row, t.symbol) != STATUS_OK)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for the details of a trade");
    return append_closed(j, &t, err);
}

static int compare_exit(const void *a, const void *b)
{
    return trade_compare_exit(a, b);
}

static int compare_entry(const void *a, const void *b)
{
    const struct position *x = a, *y = b;

    return trade_compare_entry(&x->trade, &y->trade);
}

/* While the trades are sorted each one's number lies in `symbol`, which its detail knows too; then the
 * details follow, cycle by cycle of the permutation, without another array. */
static void number_trades(struct journal *j)
{
    for (size_t i = 0; i < j->n_closed; i++)
        j->closed[i].symbol = (uint32_t)i;
}

static void sort_details(struct journal *j)
{
    for (size_t i = 0; i < j->n_closed; i++) {
        struct trade_detail first = j->details[i];
        size_t to = i, from;

        while ((from = j->closed[to].symbol) != i) {
            j->details[to] = j->details[from];
            j->closed[to].symbol = (uint32_t)to;
            to = from;
        }
        j->details[to] = first;
        j->closed[to].symbol = (uint32_t)to;
    }
    for (size_t i = 0; i < j->n_closed; i++)
        j->closed[i].symbol = j->details[i].symbol;
}

static void sort_closed(struct journal *j)
{
    if (j->keep_details)
        number_trades(j);
    qsort(j->closed, j->n_closed, sizeof *j->closed, compare_exit);
    if (j->keep_details)
        sort_details(j);
    j->unsorted = false;
    j->days_go_back = false;
    for (size_t i = 1; i < j->n_closed; i++)
        j->days_go_back |= j->closed[i].exit_day.days < j->closed[i - 1].exit_day.days;
}

void journal_finish(struct journal *j)
{
    if (j->unsorted)
        sort_closed(j);
    if (j->n_open > 1)
        qsort(j->open, j->n_open, sizeof *j->open, compare_entry);
}

struct instant journal_valid_until(const struct journal *j)
{
    struct instant next_day = next_trading_day_begin(&j->account, j->as_of);

    return next_day.us < j->next_change.us ? next_day : j->next_change;
}
