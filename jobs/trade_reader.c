/* The query is shaped for the planner. Each branch of the UNION ALL is ordered by itself, as an index on (user_id,
 * exit_date, id) delivers it, and the outer ORDER BY then only merges the two (Merge Append): nothing is sorted,
 * whatever the size of the batch. The asset class is not part of that order, because a constant in a branch would
 * make the planner sort again; the journal puts trades with equal exits right. COLLATE "C" makes the order
 * that of bytes, as strcmp() has it, and costs nothing where the column has that collation already. The
 * casts make the decoders independent of how a view spells a type, and are free where it is the right one. */
#include "jobs/trade_reader.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/account_reader.h"
#include "lib/base/text.h"
#include "lib/store/db_copy.h"
#include "lib/store/db_field.h"

/* The columns of the stream, in its order. */
/* clang-format off */
enum column {
    USER_ID, ID, OPTION, SYMBOL, SIDE,
    OPTION_TYPE, TRADE_DIRECTION, STRATEGY, TRADE_STATUS,
    QUANTITY, MULTIPLIER, ENTRY_PRICE, EXIT_PRICE, STOP_LOSS,
    INITIAL_RISK, TAKE_PROFIT, PROFIT_TARGET, INTENDED_ENTRY_PRICE,
    COMMISSIONS, FEES, STRIKE_PRICE, IMPLIED_VOLATILITY,
    ENTRY_DATE, EXIT_DATE, EXPIRATION, MISTAKES, BROKERAGE,
    COLUMNS
};

static const char stock_columns[] =
    "user_id::text COLLATE \"C\" AS user_id, id::bigint AS id, false, symbol::text, trade_type::text, "
    "NULL::text, NULL::text, NULL::text, NULL::text, "
    "number_shares::numeric, NULL::numeric, entry_price::numeric, exit_price::numeric, stop_loss::numeric, "
    "initial_risk::numeric, take_profit::numeric, profit_target::numeric, intended_entry_price::numeric, "
    "commissions::numeric, fees::numeric, NULL::numeric, NULL::numeric, "
    "entry_date::timestamptz, exit_date::timestamptz AS exit_date, NULL::date, mistakes::text, brokerage_name::text";
static const char option_columns[] =
    "user_id::text COLLATE \"C\" AS user_id, id::bigint AS id, true, symbol::text, side::text, "
    "option_type::text, trade_direction::text, strategy_type::text, status::text, "
    "number_of_contracts::numeric, multiplier::numeric, entry_price::numeric, exit_price::numeric, stop_loss::numeric, "
    "initial_risk::numeric, take_profit::numeric, profit_target::numeric, intended_entry_price::numeric, "
    "commissions::numeric, fees::numeric, strike_price::numeric, implied_volatility::numeric, "
    "entry_date::timestamptz, exit_date::timestamptz AS exit_date, expiration_date::date, mistakes::text, brokerage_name::text";
/* clang-format on */

struct trade_reader {
    struct db_copy *copy;
    struct account_reader accounts;
    char **user_ids; /* ascending, each once */
    size_t n_users, next_user;
    struct instant as_of;
    struct journal journal;
    struct db_row row; /* read ahead; borrowed from the stream */
    bool has_row, at_end;
    enum status failure; /* what ended the reader early */
};

/* --- opening ------------------------------------------------------------------------------- */

static int compare_ids(const void *a, const void *b)
{
    const char *const *left = a, *const *right = b;

    return strcmp(*left, *right);
}

static enum status copy_ids(struct trade_reader *reader, size_t n, const char *const *user_ids)
{
    reader->user_ids = calloc(n > 0 ? n : 1, sizeof *reader->user_ids);
    if (reader->user_ids == NULL)
        return STATUS_NO_MEMORY;
    for (; reader->n_users < n; reader->n_users++) {
        reader->user_ids[reader->n_users] = strdup(user_ids[reader->n_users]);
        if (reader->user_ids[reader->n_users] == NULL)
            return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

static void sort_ids(struct trade_reader *reader)
{
    size_t kept = 0;

    qsort(reader->user_ids, reader->n_users, sizeof *reader->user_ids, compare_ids);
    for (size_t i = 0; i < reader->n_users; i++) {
        if (kept > 0 && strcmp(reader->user_ids[kept - 1], reader->user_ids[i]) == 0)
            free(reader->user_ids[i]);
        else
            reader->user_ids[kept++] = reader->user_ids[i];
    }
    reader->n_users = kept;
}

static void append_branch(struct buf *sql, const char *columns, const char *view, const char *user_id_array)
{
    buf_append_format(sql, "(SELECT %s FROM pnlcache.%s WHERE user_id = ANY (", columns, view);
    db_append_literal(sql, user_id_array);
    buf_append_string(sql, "::text[]) ORDER BY user_id, exit_date, id)");
}

void trade_reader_append_query(struct buf *sql, const char *user_id_array)
{
    buf_append_string(sql, "SELECT * FROM (");
    append_branch(sql, stock_columns, "stock_trades", user_id_array);
    buf_append_string(sql, " UNION ALL ");
    append_branch(sql, option_columns, "option_trades", user_id_array);
    buf_append_string(sql, ") AS trades ORDER BY user_id, exit_date, id");
}

static enum status open_stream(struct trade_reader *reader, struct db *db, const char *user_id_array, struct err *err)
{
    struct buf sql = BUF_INIT;
    enum status status;

    trade_reader_append_query(&sql, user_id_array);
    status = buf_status(&sql);
    status =
        status == STATUS_OK ? db_copy_open(db, sql.data, &reader->copy, err) : err_fail(err, status, "out of memory");
    buf_release(&sql);
    return status;
}

enum status trade_reader_open(struct db *db, size_t n_users, const char *const *user_ids, struct instant as_of,
                              struct trade_reader **ret_reader, struct err *err)
{
    struct trade_reader *reader = calloc(1, sizeof *reader);
    struct buf array = BUF_INIT;
    enum status status;

    if (reader == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    journal_init(&reader->journal);
    reader->as_of = as_of;
    status = copy_ids(reader, n_users, user_ids);
    if (status == STATUS_OK) {
        sort_ids(reader);
        db_append_text_array(&array, reader->n_users, (const char *const *)reader->user_ids);
        status = buf_status(&array);
    }
    if (status != STATUS_OK)
        status = err_fail(err, status, "out of memory");
    else
        status = account_reader_open(&reader->accounts, db, array.data, err);
    if (status == STATUS_OK)
        status = open_stream(reader, db, array.data, err);
    buf_release(&array);
    if (status != STATUS_OK) {
        trade_reader_close(&reader);
        return status;
    }
    *ret_reader = reader;
    return STATUS_OK;
}

void trade_reader_keep_details(struct trade_reader *reader, bool keep)
{
    reader->journal.keep_details = keep;
}

void trade_reader_set_as_of(struct trade_reader *reader, struct instant as_of)
{
    reader->as_of = as_of;
}

enum status trade_reader_finish(struct trade_reader *reader, struct err *err)
{
    const struct journal *journal;
    const char *id = "";
    enum status status = trade_reader_next(reader, &id, &journal, err);

    if (status == STATUS_OK)
        return err_fail(err, STATUS_INTERNAL, "the reader delivered user %s, who was not asked for", id);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

void trade_reader_close(struct trade_reader **reader)
{
    struct trade_reader *r = *reader;

    if (r == NULL)
        return;
    db_copy_close(&r->copy);
    account_reader_release(&r->accounts);
    journal_release(&r->journal);
    for (size_t i = 0; i < r->n_users; i++)
        free(r->user_ids[i]);
    free(r->user_ids);
    free(r);
    *reader = NULL;
}

/* --- a row of the stream as a trade_row ------------------------------------------------------ */

/* Each: false when the field is not what its type says, that is, when the stream is damaged. */

static bool take_number(struct db_field f, struct number *ret_number)
{
    enum numeric_class class;

    if (db_field_is_null(f)) {
        *ret_number = (struct number){NUMBER_NULL, 0};
        return true;
    }
    if (db_field_numeric_e8(f, &class, &ret_number->e8) != STATUS_OK)
        return false;
    ret_number->state = class == NUMERIC_FINITE ? NUMBER_FINITE : NUMBER_BAD;
    return true;
}

static bool take_instant(struct db_field f, bool *ret_has, struct instant *ret_instant)
{
    *ret_has = !db_field_is_null(f);
    return !*ret_has || db_field_instant(f, ret_instant) == STATUS_OK;
}

static struct text_ref take_text(struct db_field f)
{
    return (struct text_ref){(const char *)f.bytes, f.len};
}

static bool take_numbers(const struct db_field *f, struct trade_row *row)
{
    return take_number(f[QUANTITY], &row->quantity) && take_number(f[MULTIPLIER], &row->multiplier) &&
           take_number(f[ENTRY_PRICE], &row->entry_price) && take_number(f[EXIT_PRICE], &row->exit_price) &&
           take_number(f[STOP_LOSS], &row->stop_loss) && take_number(f[INITIAL_RISK], &row->initial_risk) &&
           take_number(f[TAKE_PROFIT], &row->take_profit) && take_number(f[PROFIT_TARGET], &row->profit_target) &&
           take_number(f[INTENDED_ENTRY_PRICE], &row->intended_entry_price) &&
           take_number(f[COMMISSIONS], &row->commissions) && take_number(f[FEES], &row->fees) &&
           take_number(f[STRIKE_PRICE], &row->strike_price) &&
           take_number(f[IMPLIED_VOLATILITY], &row->implied_volatility);
}

static void take_texts(const struct db_field *f, struct trade_row *row)
{
    row->symbol = take_text(f[SYMBOL]);
    row->side = take_text(f[SIDE]);
    row->option_type = take_text(f[OPTION_TYPE]);
    row->trade_direction = take_text(f[TRADE_DIRECTION]);
    row->strategy = take_text(f[STRATEGY]);
    row->status = take_text(f[TRADE_STATUS]);
    row->mistakes = take_text(f[MISTAKES]);
    row->brokerage = take_text(f[BROKERAGE]);
}

static bool take_row(const struct db_row *from, struct trade_row *row)
{
    const struct db_field *f = from->fields;

    /* Not cleared as a whole, which would take as long as reading it: the rest is set below. */
    row->has_id = !db_field_is_null(f[ID]);
    row->has_expiration = !db_field_is_null(f[EXPIRATION]);
    row->id = 0;
    row->entry = row->exit = INSTANT_NEVER;
    row->expiration = (struct date){0};
    if (db_field_is_null(f[OPTION]) || db_field_bool(f[OPTION], &row->option) != STATUS_OK ||
        (row->has_id && db_field_int64(f[ID], &row->id) != STATUS_OK) ||
        (row->has_expiration && db_field_date(f[EXPIRATION], &row->expiration) != STATUS_OK) ||
        !take_instant(f[ENTRY_DATE], &row->has_entry, &row->entry) ||
        !take_instant(f[EXIT_DATE], &row->has_exit, &row->exit) || !take_numbers(f, row))
        return false;
    take_texts(f, row);
    if (!row->option)
        row->multiplier = (struct number){NUMBER_FINITE, INT64_C(100000000)};
    return true;
}

/* --- user by user --------------------------------------------------------------------------- */

static enum status read_ahead(struct trade_reader *reader, struct err *err)
{
    enum status status;

    if (reader->has_row || reader->at_end)
        return STATUS_OK;
    status = db_copy_next(reader->copy, &reader->row, err);
    if (status == STATUS_NOT_FOUND) {
        reader->at_end = true;
        return STATUS_OK;
    }
    /* INVALID is a query that fails on its data here: no fault of one user. */
    if (status != STATUS_OK)
        return status == STATUS_INVALID ? STATUS_INTERNAL : status;
    if (reader->row.n_fields != COLUMNS || db_field_is_null(reader->row.fields[USER_ID]))
        return err_fail(err, STATUS_INTERNAL, "the stream of trades has the wrong columns");
    reader->has_row = true;
    return STATUS_OK;
}

/* Hands this user's rows to the journal, or, with `skip`, to nobody. */
static enum status read_trades(struct trade_reader *reader, const char *user_id, bool skip, struct err *err)
{
    struct trade_row trade;
    enum status status;

    while ((status = read_ahead(reader, err)) == STATUS_OK && reader->has_row) {
        int order = db_field_compare_text(reader->row.fields[USER_ID], user_id);
        if (order > 0)
            break;
        if (order < 0)
            return err_fail(err, STATUS_INTERNAL,
                            "the stream of trades has a row before user %s that does not belong there", user_id);
        if (!skip) {
            if (!take_row(&reader->row, &trade))
                return err_fail(err, STATUS_INTERNAL, "the stream of trades has a damaged row (user %s)", user_id);
            status = journal_add(&reader->journal, &trade, err);
            if (status != STATUS_OK)
                return status;
        }
        reader->has_row = false;
    }
    return status;
}

/* After the last user nothing may be left, and the stream must have ended in order. */
static enum status check_end(struct trade_reader *reader, struct err *err)
{
    enum status status = read_ahead(reader, err);

    if (status != STATUS_OK)
        return status;
    if (!reader->at_end)
        return err_fail(err, STATUS_INTERNAL, "the stream of trades has rows of a user nobody asked for");
    db_copy_close(&reader->copy); /* the connection is free for what else the snapshot holds */
    return STATUS_NOT_FOUND;
}

static enum status read_user(struct trade_reader *reader, const char *user_id, struct err *err)
{
    struct account account;
    struct err why;
    enum status usable = account_reader_get(&reader->accounts, user_id, &account, &why), status;

    if (usable != STATUS_OK && usable != STATUS_INVALID)
        return err_fail(err, usable, "%s", why.text);
    if (usable == STATUS_OK)
        journal_begin(&reader->journal, &account, reader->as_of);
    status = read_trades(reader, user_id, usable != STATUS_OK, err);
    if (status != STATUS_OK)
        return status;
    if (usable != STATUS_OK)
        return err_fail(err, usable, "%s", why.text);
    journal_finish(&reader->journal);
    return STATUS_OK;
}

enum status trade_reader_next(struct trade_reader *reader, const char **ret_user_id, const struct journal **ret_journal,
                              struct err *err)
{
    enum status status;

    if (reader->failure != STATUS_OK)
        return err_fail(err, reader->failure, "reading trades has failed before");
    if (reader->next_user == reader->n_users) {
        status = check_end(reader, err);
    } else {
        *ret_user_id = reader->user_ids[reader->next_user++];
        status = read_user(reader, *ret_user_id, err);
        if (status == STATUS_OK)
            *ret_journal = &reader->journal;
    }
    if (status != STATUS_OK && status != STATUS_INVALID && status != STATUS_NOT_FOUND)
        reader->failure = status;
    return status;
}

/* --- all users ------------------------------------------------------------------------------- */

/* A walk that jumps from id to id through the indexes: DISTINCT would read every trade, for each page of ids. */
#define NEXT_ID(view, after)                                                                                           \
    "(SELECT user_id::text COLLATE \"C\" FROM pnlcache." view " WHERE user_id::text COLLATE \"C\" > " after            \
    " ORDER BY user_id::text COLLATE \"C\" LIMIT 1)"
#define NEXT_ID_OF_ALL(after)                                                                                          \
    "least(" NEXT_ID("stock_trades", after) ", " NEXT_ID("option_trades", after) ", " NEXT_ID("account_settings",      \
                                                                                              after) ")"

static const char list_sql[] = "WITH RECURSIVE users (id) AS (SELECT " NEXT_ID_OF_ALL(
    "$1::text COLLATE \"C\"") " UNION ALL SELECT " NEXT_ID_OF_ALL("users.id") " FROM users WHERE users.id IS NOT NULL) "
                                                                              "SELECT id FROM users WHERE id IS NOT "
                                                                              "NULL LIMIT $2::bigint";

static enum status take_ids(const struct db_result *result, char ***ret_ids, size_t *ret_n)
{
    size_t n = db_result_rows(result);
    char **ids = calloc(n > 0 ? n : 1, sizeof *ids);

    for (size_t i = 0; ids != NULL && i < n; i++) {
        struct db_field f = db_result_field(result, i, 0);
        ids[i] = strndup((const char *)f.bytes, f.len);
        if (ids[i] == NULL) {
            text_array_free(ids, i);
            ids = NULL;
        }
    }
    if (ids == NULL)
        return STATUS_NO_MEMORY;
    *ret_ids = ids;
    *ret_n = n;
    return STATUS_OK;
}

enum status trade_reader_list_users(struct db *db, const char *after, size_t max, char ***ret_ids, size_t *ret_n,
                                    struct err *err)
{
    struct db_result *result = NULL;
    struct buf limit = BUF_INIT;
    const char *params[2];
    enum status status;

    buf_append_format(&limit, "%zu", max);
    params[0] = after != NULL ? after : "";
    params[1] = limit.data;
    status = buf_status(&limit);
    if (status == STATUS_OK)
        status = db_query(db, "list_users", list_sql, 2, params, &result, err);
    if (status == STATUS_OK && take_ids(result, ret_ids, ret_n) != STATUS_OK)
        status = err_fail(err, STATUS_NO_MEMORY, "out of memory");
    db_result_free(&result);
    buf_release(&limit);
    return status;
}
