#include "jobs/account_reader.h"

#include <stdlib.h>
#include <string.h>

#include "lib/store/db_field.h"

#define E8 INT64_C(100000000)
#define ZONE_NAME_MAX 63

enum column { USER_ID, TIMEZONE, TRADING_DAY_START, WEEK_START, STARTING_EQUITY, RISK_FREE_RATE, HOLIDAYS, CURRENCY };

/* The casts make the decoders independent of how a view spells a type. */
static const char settings_sql[] =
    "SELECT user_id::text, timezone::text, trading_day_start::numeric, week_start::text, starting_equity::numeric, "
    "risk_free_rate::numeric, market_holidays::date[], currency::text "
    "FROM pnlcache.account_settings WHERE user_id = ANY ($1::text[]) ORDER BY user_id::text COLLATE \"C\"";

enum status account_reader_open(struct account_reader *reader, struct db *db, const char *user_id_array,
                                struct err *err)
{
    const char *params[] = {user_id_array};

    *reader = (struct account_reader){0};
    return db_query(db, "account_settings", settings_sql, 1, params, &reader->rows, err);
}

void account_reader_release(struct account_reader *reader)
{
    db_result_free(&reader->rows);
    free(reader->holidays);
    *reader = (struct account_reader){0};
}

/* --- one setting each; NULL was sorted out before ------------------------------------------------ */

static bool text_is(struct db_field f, const char *text)
{
    return f.len == strlen(text) && memcmp(f.bytes, text, f.len) == 0;
}

static enum status read_timezone(struct db_field f, struct account *account)
{
    char name[ZONE_NAME_MAX + 1];
    enum status status;

    if (f.len > ZONE_NAME_MAX)
        return STATUS_INVALID;
    memcpy(name, f.bytes, f.len);
    name[f.len] = '\0';
    status = timezone_open(name, &account->zone, NULL);
    return status == STATUS_NOT_FOUND ? STATUS_INVALID : status;
}

static enum status read_number(struct db_field f, int64_t *ret_e8)
{
    enum numeric_class class;
    int64_t e8;

    if (db_field_numeric_e8(f, &class, &e8) != STATUS_OK || class != NUMERIC_FINITE)
        return STATUS_INVALID;
    *ret_e8 = e8;
    return STATUS_OK;
}

static enum status read_trading_day_start(struct db_field f, struct account *account)
{
    int64_t e8;

    if (read_number(f, &e8) != STATUS_OK || e8 % E8 != 0 || e8 < 0 || e8 > 23 * E8)
        return STATUS_INVALID;
    account->trading_day_start = (int)(e8 / E8);
    return STATUS_OK;
}

static enum status read_week_start(struct db_field f, struct account *account)
{
    account->week_starts_monday = text_is(f, "monday");
    return account->week_starts_monday || text_is(f, "sunday") ? STATUS_OK : STATUS_INVALID;
}

static enum status read_starting_equity(struct db_field f, struct account *account)
{
    account->has_starting_equity = true;
    return read_number(f, &account->starting_equity_e8);
}

static enum status read_risk_free_rate(struct db_field f, struct account *account)
{
    if (read_number(f, &account->risk_free_rate_e8) != STATUS_OK || account->risk_free_rate_e8 <= -E8)
        return STATUS_INVALID;
    return STATUS_OK;
}

static enum status read_currency(struct db_field f, struct account *account)
{
    if (f.len != 3)
        return STATUS_INVALID;
    for (size_t i = 0; i < 3; i++)
        if (f.bytes[i] < 'A' || f.bytes[i] > 'Z')
            return STATUS_INVALID;
    memcpy(account->currency, f.bytes, 3);
    account->currency[3] = '\0';
    return STATUS_OK;
}

static int compare_dates(const void *a, const void *b)
{
    const struct date *left = a, *right = b;

    return (left->days > right->days) - (left->days < right->days);
}

/* Sorts and drops repetitions. */
static size_t sort_dates(struct date *dates, size_t n)
{
    size_t kept = 0;

    qsort(dates, n, sizeof *dates, compare_dates);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || dates[i].days != dates[kept - 1].days)
            dates[kept++] = dates[i];
    return kept;
}

static enum status read_holidays(struct account_reader *reader, struct db_field f, struct account *account)
{
    size_t room = f.len / 8 + 1, n;

    if (room > reader->cap_holidays) {
        struct date *grown = realloc(reader->holidays, room * sizeof *grown);
        if (grown == NULL)
            return STATUS_NO_MEMORY;
        reader->holidays = grown;
        reader->cap_holidays = room;
    }
    if (db_field_dates(f, reader->holidays, &n) != STATUS_OK)
        return STATUS_INVALID;
    n = sort_dates(reader->holidays, n);
    if (n > 0 && (reader->holidays[0].days == INT32_MIN || reader->holidays[n - 1].days == INT32_MAX))
        return STATUS_INVALID;
    account->holidays = reader->holidays;
    account->n_holidays = n;
    return STATUS_OK;
}

/* --- one row ------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *expected;
    enum status (*read)(struct db_field f, struct account *account);
    enum column column;
    bool is_text; /* can be shown */
} settings[] = {
    {"timezone", "a name of the time zone database", read_timezone, TIMEZONE, true},
    {"trading_day_start", "a whole hour 0 to 23", read_trading_day_start, TRADING_DAY_START, false},
    {"week_start", "sunday or monday", read_week_start, WEEK_START, true},
    {"starting_equity", "a number below 10^10", read_starting_equity, STARTING_EQUITY, false},
    {"risk_free_rate", "a fraction above -1", read_risk_free_rate, RISK_FREE_RATE, false},
    {"currency", "three letters A to Z", read_currency, CURRENCY, true},
};

/* The value as far as it can be shown: at most 40 bytes, nothing unprintable. */
static enum status fail_setting(struct err *err, enum status status, const char *user_id, const char *name,
                                const char *expected, struct db_field shown)
{
    char value[41];
    size_t n = shown.len < sizeof value ? shown.len : sizeof value - 1;

    if (status != STATUS_INVALID)
        return err_fail(err, status, "account settings of user %s: %s cannot be read", user_id, name);
    if (shown.bytes == NULL)
        return err_fail(err, status, "account settings of user %s: %s is not %s", user_id, name, expected);
    for (size_t i = 0; i < n; i++)
        value[i] = shown.bytes[i] >= ' ' && shown.bytes[i] < 0x7F ? (char)shown.bytes[i] : '?';
    value[n] = '\0';
    return err_fail(err, status, "account settings of user %s: %s '%s' is not %s", user_id, name, value, expected);
}

static enum status read_row(struct account_reader *reader, size_t row, const char *user_id, struct account *account,
                            struct err *err)
{
    struct db_field f;
    enum status status;

    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        f = db_result_field(reader->rows, row, settings[i].column);
        if (db_field_is_null(f))
            continue;
        status = settings[i].read(f, account);
        if (status != STATUS_OK)
            return fail_setting(err, status, user_id, settings[i].name, settings[i].expected,
                                settings[i].is_text ? f : (struct db_field){NULL, 0});
    }
    f = db_result_field(reader->rows, row, HOLIDAYS);
    status = db_field_is_null(f) ? STATUS_OK : read_holidays(reader, f, account);
    if (status != STATUS_OK)
        return fail_setting(err, status, user_id, "market_holidays", "a list of dates", (struct db_field){NULL, 0});
    return STATUS_OK;
}

static bool is_row_of(const struct account_reader *reader, size_t row, const char *user_id)
{
    return row < db_result_rows(reader->rows) && text_is(db_result_field(reader->rows, row, USER_ID), user_id);
}

enum status account_reader_get(struct account_reader *reader, const char *user_id, struct account *ret_account,
                               struct err *err)
{
    enum status status = account_init_default(ret_account, err);
    size_t row = reader->next;

    if (status != STATUS_OK || !is_row_of(reader, row, user_id))
        return status;
    while (is_row_of(reader, reader->next, user_id))
        reader->next++;
    if (reader->next - row > 1)
        return err_fail(err, STATUS_INVALID, "account settings of user %s: there are %zu rows", user_id,
                        reader->next - row);
    return read_row(reader, row, user_id, ret_account, err);
}
