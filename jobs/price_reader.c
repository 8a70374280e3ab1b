#include "jobs/price_reader.h"

#include <stdlib.h>
#include <string.h>

#include "lib/store/db_field.h"

enum column { SYMBOL, EXPIRATION, OPTION_TYPE, STRIKE_PRICE, PRICE, OBSERVED, COLUMNS };

/* The casts make the decoders independent of how a view spells a type. */
static const char prices_sql[] =
    "SELECT symbol::text, expiration_date::date, option_type::text, strike_price::numeric, "
    "price::numeric, observed_at::timestamptz "
    "FROM pnlcache.latest_prices WHERE symbol = ANY ($1::text[])";

/* --- what to ask for ----------------------------------------------------------------------------- */

static void free_texts(char **texts, size_t n)
{
    for (size_t i = 0; texts != NULL && i < n; i++)
        free(texts[i]);
    free(texts);
}

/* The names of the symbols marked in `wanted`, as the text of an array. */
static enum status append_names(const struct symbol_table *symbols, const bool *wanted, struct buf *array)
{
    char **names = calloc(symbols->n_symbols, sizeof *names);
    enum status status = names == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    size_t n = 0;

    for (uint32_t id = 0; id < symbols->n_symbols && status == STATUS_OK; id++) {
        struct text_ref name = symbol_table_name(symbols, id);

        if (!wanted[id])
            continue;
        names[n] = strndup(name.bytes, name.len);
        if (names[n++] == NULL)
            status = STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK) {
        db_append_text_array(array, n, (const char *const *)names);
        status = buf_status(array);
    }
    free_texts(names, n);
    return status;
}

static enum status append_open_symbols(const struct journal *journal, struct buf *array)
{
    bool *wanted = calloc(journal->symbols.n_symbols, sizeof *wanted);
    enum status status;

    if (wanted == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < journal->n_open; i++)
        wanted[journal->open[i].trade.symbol] = true;
    status = append_names(&journal->symbols, wanted, array);
    free(wanted);
    return status;
}

/* --- what comes back ----------------------------------------------------------------------------- */

static enum status take_number(struct db_field f, struct number *ret_number)
{
    enum numeric_class class;

    *ret_number = (struct number){NUMBER_NULL, 0};
    if (db_field_is_null(f))
        return STATUS_OK;
    if (db_field_numeric_e8(f, &class, &ret_number->e8) != STATUS_OK)
        return STATUS_INVALID;
    ret_number->state = class == NUMERIC_FINITE ? NUMBER_FINITE : NUMBER_BAD;
    return STATUS_OK;
}

static enum status take_row(const struct db_field f[COLUMNS], struct price_table *prices,
                            const struct symbol_table *symbols)
{
    struct price_row row = {.symbol = {(const char *)f[SYMBOL].bytes, f[SYMBOL].len}};
    int n_given =
        !db_field_is_null(f[EXPIRATION]) + !db_field_is_null(f[OPTION_TYPE]) + !db_field_is_null(f[STRIKE_PRICE]);

    if (n_given != 0 && n_given != 3)
        return STATUS_OK; /* neither a share nor an option */
    row.option = n_given == 3;
    row.option_type = (struct text_ref){(const char *)f[OPTION_TYPE].bytes, f[OPTION_TYPE].len};
    if (take_number(f[PRICE], &row.price) != STATUS_OK ||
        take_number(f[STRIKE_PRICE], &row.strike_price) != STATUS_OK ||
        (row.option && db_field_date(f[EXPIRATION], &row.expiration) != STATUS_OK) ||
        (!db_field_is_null(f[OBSERVED]) && db_field_instant(f[OBSERVED], &row.observed) != STATUS_OK))
        return STATUS_INVALID;
    return price_table_add(prices, symbols, &row);
}

static enum status take_rows(const struct db_result *result, const struct symbol_table *symbols,
                             struct price_table *prices, struct err *err)
{
    enum status status = STATUS_OK;

    for (size_t row = 0; row < db_result_rows(result) && status == STATUS_OK; row++) {
        struct db_field fields[COLUMNS];

        for (size_t column = 0; column < COLUMNS; column++)
            fields[column] = db_result_field(result, row, column);
        status = take_row(fields, prices, symbols);
    }
    if (status == STATUS_INVALID)
        return err_fail(err, STATUS_INTERNAL, "the view of latest prices has a row that cannot be read");
    if (status != STATUS_OK)
        return err_fail(err, status, "no memory for latest prices");
    price_table_finish(prices);
    return STATUS_OK;
}

enum status price_read(struct db *db, const struct journal *journal, struct price_table *ret_prices, struct err *err)
{
    struct db_result *result = NULL;
    struct buf array = BUF_INIT;
    const char *params[1];
    enum status status;

    if (journal->n_open == 0)
        return STATUS_OK;
    if (append_open_symbols(journal, &array) != STATUS_OK) {
        buf_release(&array);
        return err_fail(err, STATUS_NO_MEMORY, "no memory to ask for latest prices");
    }
    params[0] = array.data;
    status = db_query(db, "latest_prices", prices_sql, 1, params, &result, err);
    buf_release(&array);
    if (status == STATUS_OK)
        status = take_rows(result, &journal->symbols, ret_prices, err);
    else if (status == STATUS_INVALID) /* the view's fault, not the request's */
        status = STATUS_INTERNAL;
    db_result_free(&result);
    return status;
}
