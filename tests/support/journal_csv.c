#include "tests/support/journal_csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/money.h"

#define MAX_COLUMNS 32

struct instant instant_of(const char *text)
{
    struct instant t;

    assert_int_equal(instant_parse(text, &t), STATUS_OK);
    return t;
}

struct date date_of(const char *text)
{
    struct date d;

    assert_int_equal(date_parse(text, &d), STATUS_OK);
    return d;
}

/* Splits at commas in place; empty cells stay. */
static size_t split(char *line, char *cells[MAX_COLUMNS])
{
    size_t n = 0;

    for (char *cell = line; cell != NULL;) {
        char *comma = strchr(cell, ',');

        assert_true(n < MAX_COLUMNS);
        cells[n++] = cell;
        if (comma != NULL)
            *comma++ = '\0';
        cell = comma;
    }
    return n;
}

static struct number number_of(const char *text)
{
    struct number n = {.state = NUMBER_FINITE};

    if (money_parse(text, &n.e8) != STATUS_OK)
        n.state = NUMBER_BAD;
    return n;
}

static void set_number(struct trade_row *row, const char *name, const char *text)
{
    const struct {
        const char *name;
        struct number *to;
    } numbers[] = {
        {"number_shares", &row->quantity},      {"number_of_contracts", &row->quantity},
        {"multiplier", &row->multiplier},       {"entry_price", &row->entry_price},
        {"exit_price", &row->exit_price},       {"stop_loss", &row->stop_loss},
        {"initial_risk", &row->initial_risk},   {"take_profit", &row->take_profit},
        {"profit_target", &row->profit_target}, {"intended_entry_price", &row->intended_entry_price},
        {"commissions", &row->commissions},     {"fees", &row->fees},
        {"strike_price", &row->strike_price},   {"implied_volatility", &row->implied_volatility},
    };

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(name, numbers[i].name) == 0)
            *numbers[i].to = number_of(text);
}

static void set_text(struct trade_row *row, const char *name, const char *text)
{
    const struct {
        const char *name;
        struct text_ref *to;
    } texts[] = {
        {"symbol", &row->symbol},
        {"trade_type", &row->side},
        {"side", &row->side},
        {"option_type", &row->option_type},
        {"strategy_type", &row->strategy},
        {"trade_direction", &row->trade_direction},
        {"status", &row->status},
        {"mistakes", &row->mistakes},
        {"brokerage_name", &row->brokerage},
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(name, texts[i].name) == 0)
            *texts[i].to = (struct text_ref){.bytes = text, .len = strlen(text)};
}

static void set_cell(struct trade_row *row, const char *name, const char *text)
{
    if (strcmp(name, "id") == 0) {
        row->has_id = true;
        row->id = strtoll(text, NULL, 10);
    } else if (strcmp(name, "entry_date") == 0) {
        row->has_entry = true;
        row->entry = instant_of(text);
    } else if (strcmp(name, "exit_date") == 0) {
        row->has_exit = true;
        row->exit = strcmp(text, "infinity") == 0 ? INSTANT_NEVER : instant_of(text);
    } else if (strcmp(name, "expiration_date") == 0) {
        row->has_expiration = true;
        row->expiration = date_of(text);
    } else {
        set_number(row, name, text);
        set_text(row, name, text);
    }
}

static void add_line(struct journal *j, bool options, char *const *names, size_t n_names, char *line)
{
    struct trade_row row = {.option = options};
    char *cells[MAX_COLUMNS];
    size_t n = split(line, cells);

    assert_int_equal(n, n_names);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], "is_deleted") == 0 && strcmp(cells[i], "1") == 0)
            return;
        if (cells[i][0] != '\0')
            set_cell(&row, names[i], cells[i]);
    }
    assert_int_equal(journal_add(j, &row, NULL), STATUS_OK);
}

void journal_add_csv(struct journal *j, bool options, const char *csv)
{
    char *copy = strdup(csv), *names[MAX_COLUMNS], *rest, *line;
    size_t n_names;

    assert_non_null(copy);
    line = strtok_r(copy, "\n", &rest);
    assert_non_null(line);
    n_names = split(line, names);
    while ((line = strtok_r(NULL, "\n", &rest)) != NULL)
        add_line(j, options, names, n_names, line);
    free(copy);
}

void journal_from_csv(struct journal *j, bool options, const char *csv, const char *as_of, const char *equity)
{
    struct account account;

    assert_int_equal(account_init_default(&account, NULL), STATUS_OK);
    if (equity != NULL) {
        account.has_starting_equity = true;
        assert_int_equal(money_parse(equity, &account.starting_equity_e8), STATUS_OK);
    }
    journal_init(j);
    journal_begin(j, &account, instant_of(as_of));
    journal_add_csv(j, options, csv);
    journal_finish(j);
}
