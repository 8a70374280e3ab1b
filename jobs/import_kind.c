#include "jobs/import_kind.h"

#include <string.h>

#include "lib/base/money.h"

#define E8_MAX 999999999999999999

static char sessions[] = "before_open|during|after_close", option_types[] = "Call|Put";

#define SYMBOL                                                                                                         \
    {                                                                                                                  \
        .type = DATASET_SYMBOL, .max = INT64_MAX                                                                       \
    }
#define DATE                                                                                                           \
    {                                                                                                                  \
        .type = DATASET_DATE                                                                                           \
    }
#define TEXT                                                                                                           \
    {                                                                                                                  \
        .type = DATASET_TEXT, .max = 200                                                                               \
    }
#define POSITIVE                                                                                                       \
    {                                                                                                                  \
        .type = DATASET_DECIMAL, .min = 1, .max = E8_MAX                                                               \
    }
#define PRICE                                                                                                          \
    {                                                                                                                  \
        .type = DATASET_DECIMAL, .min = 0, .max = E8_MAX                                                               \
    }
#define SIGNED                                                                                                         \
    {                                                                                                                  \
        .type = DATASET_DECIMAL, .min = -E8_MAX, .max = E8_MAX                                                         \
    }
#define COUNT                                                                                                          \
    {                                                                                                                  \
        .type = DATASET_INTEGER, .min = 0, .max = INT64_MAX                                                            \
    }
#define WHOLE                                                                                                          \
    {                                                                                                                  \
        .type = DATASET_INTEGER, .min = INT64_MIN, .max = INT64_MAX                                                    \
    }
#define CHOICE(list)                                                                                                   \
    {                                                                                                                  \
        .type = DATASET_CHOICE, .choices = (list)                                                                      \
    }

static const char *judge_bar(const char *const values[IMPORT_MAX_COLUMNS])
{
    int64_t high = 0, low = 0;

    if (money_parse(values[3], &high) == STATUS_OK && money_parse(values[4], &low) == STATUS_OK && low > high)
        return "low is above high";
    return NULL;
}

static const char *judge_price(const char *const values[IMPORT_MAX_COLUMNS])
{
    int given = (*values[1] != '\0') + (*values[2] != '\0') + (*values[3] != '\0');

    return given == 0 || given == 3
               ? NULL
               : "an option has expiration_date, option_type and strike_price, a share none of them";
}

static const char *judge_symbol(const char *const values[IMPORT_MAX_COLUMNS])
{
    const char *currency = values[4];

    if (*currency == '\0' || (strlen(currency) == 3 && strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3))
        return NULL;
    return "currency must be three capital letters, as USD";
}

static const struct import_kind kinds[] = {
    {.name = "bars",
     .table = "public.daily_bars",
     .tags = {1, {{"prices", true}}},
     .columns = {{"symbol", IMPORT_NEEDED, SYMBOL},
                 {"date", IMPORT_NEEDED, DATE},
                 {"open", IMPORT_OPTIONAL, POSITIVE},
                 {"high", IMPORT_OPTIONAL, POSITIVE},
                 {"low", IMPORT_OPTIONAL, POSITIVE},
                 {"close", IMPORT_NEEDED, POSITIVE},
                 {"volume", IMPORT_OPTIONAL, COUNT}},
     .targets = {{.keys = "symbol, date"}},
     .judge = judge_bar},
    {.name = "quotes",
     .table = "public.latest_price",
     .tags = {1, {{"prices", true}}},
     .columns = {{"symbol", IMPORT_NEEDED, SYMBOL},
                 {"price", IMPORT_NEEDED, PRICE},
                 {.name = "observed_at", .need = IMPORT_TIME}},
     .targets = {{.keys = "symbol", .predicate = "expiration_date IS NULL"}},
     .newer = "observed_at"},
    {.name = "prices",
     .table = "public.latest_price",
     .tags = {1, {{"prices", true}}},
     .columns = {{"symbol", IMPORT_NEEDED, SYMBOL},
                 {"expiration_date", IMPORT_OPTIONAL, DATE},
                 {"option_type", IMPORT_OPTIONAL, CHOICE(option_types)},
                 {"strike_price", IMPORT_OPTIONAL, POSITIVE},
                 {"price", IMPORT_NEEDED, PRICE},
                 {.name = "observed_at", .need = IMPORT_TIME}},
     .targets = {{"symbol", "expiration_date IS NULL", "expiration_date IS NULL"},
                 {"symbol, expiration_date, option_type, strike_price", NULL, "expiration_date IS NOT NULL"}},
     .newer = "observed_at",
     .judge = judge_price},
    {.name = "earnings",
     .table = "public.earnings",
     .tags = {1, {{"earnings", true}}},
     .columns = {{"symbol", IMPORT_NEEDED, SYMBOL},
                 {"date", IMPORT_NEEDED, DATE},
                 {"session", IMPORT_OPTIONAL, CHOICE(sessions)},
                 {"fiscal_period", IMPORT_OPTIONAL, TEXT},
                 {"eps_estimate", IMPORT_OPTIONAL, SIGNED},
                 {"eps_actual", IMPORT_OPTIONAL, SIGNED},
                 {"revenue_estimate", IMPORT_OPTIONAL, WHOLE},
                 {"revenue_actual", IMPORT_OPTIONAL, WHOLE}},
     .targets = {{.keys = "symbol, date"}}},
    {.name = "symbols",
     .table = "public.symbols",
     .tags = {1, {{"symbols", true}}},
     .columns = {{"symbol", IMPORT_NEEDED, SYMBOL},
                 {"name", IMPORT_OPTIONAL, TEXT},
                 {"kind", IMPORT_OPTIONAL, TEXT},
                 {"exchange", IMPORT_OPTIONAL, TEXT},
                 {"currency", IMPORT_OPTIONAL, TEXT},
                 {"sector", IMPORT_OPTIONAL, TEXT},
                 {"industry", IMPORT_OPTIONAL, TEXT}},
     .targets = {{.keys = "symbol"}},
     .judge = judge_symbol},
};

const struct import_kind *import_kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

size_t import_kind_columns(const struct import_kind *kind)
{
    size_t n = 0;

    while (n < IMPORT_MAX_COLUMNS && kind->columns[n].name)
        n++;
    return n;
}
