/* The dimensions: which keys a trade has in each, and what they are called. */
#include "jobs/analytics/group_internal.h"

#include <stdlib.h>
#include <string.h>

#define NO_KEY UINT32_MAX

/* --- the keys of a trade --------------------------------------------------------------------------- */

static const char *const asset_types[] = {"stock", "option", NULL};
static const char *const sides[] = {"long", "short", NULL};
static const char *const option_types[] = {"Call", "Put", NULL};
static const char *const directions[] = {"Bullish", "Bearish", "Neutral", NULL};
static const char *const dtes[] = {"0dte", "1_7", "8_30", "31_60", "61_90", "91_plus", NULL};
static const char *const holding_times[] = {"under_5m", "5m_30m",  "30m_2h",   "2h_1d", "1d_7d",
                                            "7d_28d",   "28d_90d", "90d_plus", NULL};
static const char *const position_sizes[] = {"under_1k", "1k_5k",    "5k_10k",    "10k_25k",
                                             "25k_50k",  "50k_100k", "100k_plus", NULL};
static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday",  "Wednesday",
                                       "Thursday", "Friday", "Saturday", NULL};
static const char *const hours[] = {"00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12",
                                    "13", "14", "15", "16", "17", "18", "19", "20", "21", "22", "23", NULL};

/* How many of the bounds are at or below the value. */
static uint32_t bucket_of(int64_t value, const int64_t *bounds, uint32_t n)
{
    uint32_t bucket = 0;

    while (bucket < n && value >= bounds[bucket])
        bucket++;
    return bucket;
}
#define BUCKET_OF(value, bounds) bucket_of(value, bounds, sizeof(bounds) / sizeof((bounds)[0]))

static uint32_t key_asset_type(struct grouping *g, size_t trade)
{
    return g->journal->closed[trade].option;
}

static uint32_t key_brokerage(struct grouping *g, size_t trade)
{
    return g->journal->details[trade].brokerage;
}

static uint32_t key_day_of_week(struct grouping *g, size_t trade)
{
    return (uint32_t)date_weekday(g->journal->closed[trade].exit_day);
}

static uint32_t key_dte(struct grouping *g, size_t trade)
{
    static const int64_t bounds[] = {1, 8, 31, 61, 91};
    const struct trade *t = &g->journal->closed[trade];

    return t->option ? BUCKET_OF(t->dte, bounds) : NO_KEY;
}

static uint32_t key_holding_time(struct grouping *g, size_t trade)
{
    static const int64_t minute = 60 * US_PER_SECOND;
    const int64_t bounds[] = {5 * minute,     30 * minute,     120 * minute,   US_PER_DAY,
                              7 * US_PER_DAY, 28 * US_PER_DAY, 90 * US_PER_DAY};
    const struct trade *t = &g->journal->closed[trade];

    return BUCKET_OF(t->exit.us - t->entry.us, bounds);
}

static uint32_t key_hour(struct grouping *g, size_t trade)
{
    return (uint32_t)day_clock_hour(&g->clock, g->journal->closed[trade].entry);
}

static uint32_t key_option_type(struct grouping *g, size_t trade)
{
    const struct trade *t = &g->journal->closed[trade];

    return t->option ? t->put : NO_KEY;
}

static uint32_t key_position_size(struct grouping *g, size_t trade)
{
    static const int64_t k = INT64_C(1000) * MONEY_SCALE;
    const int64_t bounds[] = {k, 5 * k, 10 * k, 25 * k, 50 * k, 100 * k};

    return BUCKET_OF(g->journal->closed[trade].size_e8, bounds);
}

static uint32_t key_side(struct grouping *g, size_t trade)
{
    return g->journal->closed[trade].is_short;
}

static uint32_t key_strategy(struct grouping *g, size_t trade)
{
    return g->journal->details[trade].strategy;
}

static uint32_t key_symbol(struct grouping *g, size_t trade)
{
    return g->journal->closed[trade].symbol;
}

static uint32_t key_trade_direction(struct grouping *g, size_t trade)
{
    return g->journal->closed[trade].direction;
}

static enum status add_member(struct grouping *g, uint32_t key, size_t trade)
{
    if (g->n_members == g->cap_members) {
        size_t cap = g->cap_members == 0 ? 1024 : 2 * g->cap_members;
        struct member *grown = realloc(g->members, cap * sizeof *grown);

        if (grown == NULL)
            return STATUS_NO_MEMORY;
        g->members = grown;
        g->cap_members = cap;
    }
    g->members[g->n_members++] = (struct member){key, (uint32_t)trade};
    return STATUS_OK;
}

static enum status add_name(struct grouping *g, struct text_ref name, size_t trade)
{
    uint32_t key;

    if (symbol_table_put(&g->names, name, &key) != STATUS_OK)
        return STATUS_NO_MEMORY;
    return add_member(g, key, trade);
}

static enum status add_mistakes(struct grouping *g, size_t trade)
{
    uint32_t text = g->journal->details[trade].mistakes;
    struct text_ref list = {NULL, 0}, entry;
    enum status status = STATUS_OK;

    if (text != TEXT_NONE)
        list = symbol_table_name(&g->journal->texts, text);
    while (status == STATUS_OK && (entry = list_take(&list)).bytes != NULL)
        status = add_name(g, entry, trade);
    return status;
}

static enum status add_month(struct grouping *g, size_t trade)
{
    char text[DATE_TEXT_SIZE];

    date_format(g->journal->closed[trade].exit_day, text);
    return add_name(g, (struct text_ref){text, sizeof "YYYY-MM" - 1}, trade);
}

static enum status add_playbooks(struct grouping *g, size_t trade)
{
    const struct annotations *a = g->annotations;
    const struct trade_link *links;
    enum status status = STATUS_OK;
    size_t n = a == NULL ? 0 : trade_links_of(&a->playbook_links, &g->journal->closed[trade], &links);

    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        uint32_t name = a->playbooks[links[i].target].name;

        if (symbol_table_name(&a->names, name).len > 0)
            status = add_member(g, name, trade);
    }
    return status;
}

static enum status add_tags(struct grouping *g, size_t trade)
{
    const struct annotations *a = g->annotations;
    const struct trade_link *links;
    enum status status = STATUS_OK;
    size_t n = a == NULL ? 0 : trade_links_of(&a->tag_links, &g->journal->closed[trade], &links);

    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        status = add_member(g, links[i].target, trade);
    return status;
}

/* --- the dimensions -------------------------------------------------------------------------------- */

enum name_source { NAMES_FIXED, NAMES_SYMBOLS, NAMES_TEXTS, NAMES_ANNOTATIONS, NAMES_OWN };

/* A trade has at most one key (`key`) or any number (`add`). time_period is not a partition and has neither. */
static const struct {
    const char *name, *type;
    enum name_source source;
    const char *const *fixed;
    uint32_t (*key)(struct grouping *g, size_t trade);
    enum status (*add)(struct grouping *g, size_t trade);
} dimensions[DIMENSIONS] = {
    [DIMENSION_ASSET_TYPE] = {"asset_type", "AssetType", NAMES_FIXED, asset_types, key_asset_type, NULL},
    [DIMENSION_BROKERAGE] = {"brokerage", "Brokerage", NAMES_TEXTS, NULL, key_brokerage, NULL},
    [DIMENSION_DAY_OF_WEEK] = {"day_of_week", "DayOfWeek", NAMES_FIXED, weekdays, key_day_of_week, NULL},
    [DIMENSION_DTE] = {"dte", "Dte", NAMES_FIXED, dtes, key_dte, NULL},
    [DIMENSION_HOLDING_TIME] = {"holding_time", "HoldingTime", NAMES_FIXED, holding_times, key_holding_time, NULL},
    [DIMENSION_HOUR] = {"hour", "Hour", NAMES_FIXED, hours, key_hour, NULL},
    [DIMENSION_MISTAKE] = {"mistake", "Mistake", NAMES_OWN, NULL, NULL, add_mistakes},
    [DIMENSION_MONTH] = {"month", "Month", NAMES_OWN, NULL, NULL, add_month},
    [DIMENSION_OPTION_TYPE] = {"option_type", "OptionType", NAMES_FIXED, option_types, key_option_type, NULL},
    [DIMENSION_PLAYBOOK] = {"playbook", "Playbook", NAMES_ANNOTATIONS, NULL, NULL, add_playbooks},
    [DIMENSION_POSITION_SIZE] = {"position_size", "PositionSize", NAMES_FIXED, position_sizes, key_position_size, NULL},
    [DIMENSION_SIDE] = {"side", "Side", NAMES_FIXED, sides, key_side, NULL},
    [DIMENSION_STRATEGY] = {"strategy", "Strategy", NAMES_TEXTS, NULL, key_strategy, NULL},
    [DIMENSION_SYMBOL] = {"symbol", "Symbol", NAMES_SYMBOLS, NULL, key_symbol, NULL},
    [DIMENSION_TAG] = {"tag", "Tag", NAMES_ANNOTATIONS, NULL, NULL, add_tags},
    [DIMENSION_TIME_PERIOD] = {"time_period", "TimePeriod", NAMES_FIXED, NULL, NULL, NULL},
    [DIMENSION_TRADE_DIRECTION] = {"trade_direction", "TradeDirection", NAMES_FIXED, directions, key_trade_direction,
                                   NULL},
};

const char *dimension_name(enum dimension dimension)
{
    return dimensions[dimension].name;
}

const char *group_type(enum dimension dimension)
{
    return dimensions[dimension].type;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_spelling_of(const char *text, size_t len, const char *name)
{
    size_t i = 0;

    for (;;) {
        while (i < len && text[i] == '_')
            i++;
        while (*name == '_')
            name++;
        if (i == len || *name == '\0')
            return i == len && *name == '\0';
        if (lower(text[i++]) != *name++)
            return false;
    }
}

enum status dimension_parse(const char *text, size_t len, enum dimension *ret_dimension)
{
    if (is_spelling_of(text, len, "days_to_expiration")) {
        *ret_dimension = DIMENSION_DTE;
        return STATUS_OK;
    }
    for (int i = 0; i < DIMENSIONS; i++)
        if (is_spelling_of(text, len, dimensions[i].name)) {
            *ret_dimension = (enum dimension)i;
            return STATUS_OK;
        }
    return STATUS_INVALID;
}

static const struct symbol_table *name_table(const struct grouping *g)
{
    switch (dimensions[g->dimension].source) {
    case NAMES_SYMBOLS: return &g->journal->symbols;
    case NAMES_TEXTS: return &g->journal->texts;
    case NAMES_ANNOTATIONS: return g->annotations == NULL ? &g->names : &g->annotations->names;
    case NAMES_OWN:
    case NAMES_FIXED: break;
    }
    return &g->names;
}

size_t group_count_keys(const struct grouping *g)
{
    const char *const *fixed = dimensions[g->dimension].fixed;
    size_t n = 0;

    if (fixed == NULL)
        return name_table(g)->n_symbols;
    while (fixed[n] != NULL)
        n++;
    return n;
}

struct text_ref group_key_name(const struct grouping *g, uint32_t key)
{
    const char *const *fixed = dimensions[g->dimension].fixed;

    if (fixed != NULL)
        return (struct text_ref){fixed[key], strlen(fixed[key])};
    return symbol_table_name(name_table(g), key);
}

enum status group_collect(struct grouping *g)
{
    const struct journal *j = g->journal;
    enum status status = STATUS_OK;

    g->n_members = 0;
    symbol_table_clear(&g->names);
    for (size_t i = 0; i < j->n_closed && status == STATUS_OK; i++) {
        uint32_t key;

        if (!asset_has(g->asset, &j->closed[i]))
            continue;
        if (dimensions[g->dimension].add != NULL) {
            status = dimensions[g->dimension].add(g, i);
        } else if ((key = dimensions[g->dimension].key(g, i)) != NO_KEY) {
            status = add_member(g, key, i);
        }
    }
    return status;
}
