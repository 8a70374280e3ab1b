/* A dimension only says which keys a trade has. Its trades are put side by side by a counting sort, which
 * keeps the canonical order; each group then is a small journal, and goes through the same rollup as a whole account.
 * So a group can know no metric that an account does not, nor define one differently. */
#include "jobs/analytics/group.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/analytics/report.h"

#define NO_KEY UINT32_MAX

struct member {
    uint32_t key, trade; /* trade: index in the journal's closed */
};

struct grouping {
    const struct journal *journal;
    const struct annotations *annotations; /* NULL: none */
    enum asset asset;
    struct time_range range;
    struct day_clock clock;
    struct report *report;
    struct trade *trades; /* those of one group */
    size_t cap_trades;

    /* the present dimension */
    enum dimension dimension;
    const char *prefix; /* of its groups' keys in the answer; "": none */
    struct member *members;
    size_t n_members, cap_members;
    struct symbol_table names; /* of keys that have no id elsewhere */
    size_t n_keys;
    size_t *first, *end; /* by key: its trades in `sorted` */
    uint32_t *sorted;    /* indices in the journal, by key and canonical order */
    uint32_t *groups;    /* keys with a trade in the range, by name */
    size_t n_groups;
};

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

/* In the order of the presets. */
static const char *const periods[RANGE_PRESETS] = {"Today",         "Last 7 Days", "Last 30 Days", "Last 90 Days",
                                                   "Last 6 Months", "Last Year",   "Year to Date", "All Time"};

const char *dimension_name(enum dimension dimension)
{
    return dimensions[dimension].name;
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

static size_t count_keys(const struct grouping *g)
{
    const char *const *fixed = dimensions[g->dimension].fixed;
    size_t n = 0;

    if (fixed == NULL)
        return name_table(g)->n_symbols;
    while (fixed[n] != NULL)
        n++;
    return n;
}

static struct text_ref key_name(const struct grouping *g, uint32_t key)
{
    const char *const *fixed = dimensions[g->dimension].fixed;

    if (fixed != NULL)
        return (struct text_ref){fixed[key], strlen(fixed[key])};
    return symbol_table_name(name_table(g), key);
}

/* --- partitioning ---------------------------------------------------------------------------------- */

static enum status collect(struct grouping *g)
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

static void release_partition(struct grouping *g)
{
    free(g->first);
    free(g->end);
    free(g->sorted);
    free(g->groups);
    g->first = g->end = NULL;
    g->sorted = g->groups = NULL;
}

/* The counting sort; a key that a trade has twice counts once. */
static enum status arrange(struct grouping *g)
{
    size_t at = 0;

    release_partition(g);
    g->n_keys = count_keys(g);
    g->first = calloc(g->n_keys + 1, sizeof *g->first);
    g->end = calloc(g->n_keys + 1, sizeof *g->end);
    g->groups = malloc((g->n_keys + 1) * sizeof *g->groups);
    g->sorted = malloc((g->n_members + 1) * sizeof *g->sorted);
    if (g->first == NULL || g->end == NULL || g->groups == NULL || g->sorted == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < g->n_members; i++)
        g->end[g->members[i].key]++;
    for (size_t key = 0; key < g->n_keys; key++) {
        size_t n = g->end[key];

        g->first[key] = g->end[key] = at;
        at += n;
    }
    for (size_t i = 0; i < g->n_members; i++) {
        struct member m = g->members[i];
        size_t *end = &g->end[m.key];

        if (*end == g->first[m.key] || g->sorted[*end - 1] != m.trade)
            g->sorted[(*end)++] = m.trade;
    }
    return STATUS_OK;
}

static bool has_trade_in_range(const struct grouping *g, size_t key)
{
    for (size_t i = g->end[key]; i-- > g->first[key];)
        if (time_range_has(&g->range, g->journal->closed[g->sorted[i]].exit_day))
            return true;
    return false;
}

static int compare_names(const void *a, const void *b, void *context)
{
    const struct grouping *g = context;
    struct text_ref x = key_name(g, *(const uint32_t *)a), y = key_name(g, *(const uint32_t *)b);
    int order = memcmp(x.bytes, y.bytes, x.len < y.len ? x.len : y.len);

    return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

static void choose_groups(struct grouping *g)
{
    g->n_groups = 0;
    for (size_t key = 0; key < g->n_keys; key++)
        if (has_trade_in_range(g, key))
            g->groups[g->n_groups++] = (uint32_t)key;
    qsort_r(g->groups, g->n_groups, sizeof *g->groups, compare_names, g);
}

/* --- one group ------------------------------------------------------------------------------------- */

/* A journal of these trades (sorted: NULL: all of the asset), which borrows everything else. No group has a return
 * base (metrics.md 6). */
static enum status select_trades(struct grouping *g, const uint32_t *sorted, size_t n, struct journal *ret_selection)
{
    const struct journal *j = g->journal;
    struct journal selection = *j;

    if (n > g->cap_trades) {
        free(g->trades);
        g->cap_trades = 0;
        g->trades = malloc(n * sizeof *g->trades);
        if (g->trades == NULL)
            return STATUS_NO_MEMORY;
        g->cap_trades = n;
    }
    selection.closed = g->trades;
    selection.n_closed = 0;
    selection.days_go_back = false;
    selection.account.has_starting_equity = false;
    for (size_t i = 0; i < n; i++) {
        const struct trade *t = &j->closed[sorted == NULL ? i : sorted[i]];

        if (!asset_has(g->asset, t))
            continue;
        selection.days_go_back |=
            selection.n_closed != 0 && t->exit_day.days < g->trades[selection.n_closed - 1].exit_day.days;
        g->trades[selection.n_closed++] = *t;
    }
    *ret_selection = selection;
    return STATUS_OK;
}

static void write_group(const struct grouping *g, struct text_ref name, size_t range, struct json_writer *w)
{
    struct buf key = BUF_INIT;

    if (g->prefix[0] != '\0')
        buf_append_format(&key, "%s:", g->prefix);
    buf_append(&key, name.bytes, name.len);
    if (buf_status(&key) != STATUS_OK)
        w->out->failed = true;
    json_key_text(w, key.data, key.len);
    buf_release(&key);
    json_object_begin(w);
    json_key(w, "group_name");
    json_string_bytes(w, name.bytes, name.len);
    json_key(w, "group_type");
    json_string(w, dimensions[g->dimension].type);
    json_key(w, "core_metrics");
    report_write_core(g->report, range, w);
    json_key(w, "risk_metrics");
    report_write_risk(g->report, range, w);
    json_key(w, "performance_metrics");
    report_write_performance_metrics(g->report, range, w);
    json_object_end(w);
}

static enum status write_partition(struct grouping *g, struct json_writer *w, struct err *err)
{
    enum status status = collect(g);

    if (status == STATUS_OK)
        status = arrange(g);
    if (status != STATUS_OK)
        return err_fail(err, status, "no memory to group %zu trades", g->journal->n_closed);
    choose_groups(g);
    for (size_t i = 0; i < g->n_groups; i++) {
        uint32_t key = g->groups[i];
        struct journal selection;

        status = select_trades(g, g->sorted + g->first[key], g->end[key] - g->first[key], &selection);
        if (status != STATUS_OK)
            return err_fail(err, status, "no memory to group %zu trades", g->journal->n_closed);
        status = report_compute(g->report, &selection, ASSET_ALL, &g->range, 1, err);
        if (status != STATUS_OK)
            return status;
        write_group(g, key_name(g, key), 0, w);
    }
    return STATUS_OK;
}

/* The eight presets of the whole selection, whatever range was asked for. */
static enum status write_periods(struct grouping *g, struct json_writer *w, struct err *err)
{
    struct time_range ranges[RANGE_PRESETS];
    struct journal selection;
    enum status status = select_trades(g, NULL, g->journal->n_closed, &selection);

    if (status != STATUS_OK)
        return err_fail(err, status, "no memory to group %zu trades", g->journal->n_closed);
    for (size_t i = 0; i < RANGE_PRESETS; i++)
        ranges[i] = time_range_resolve(&(struct range_request){.name = (enum range_name)i}, g->journal->today);
    status = report_compute(g->report, &selection, ASSET_ALL, ranges, RANGE_PRESETS, err);
    for (size_t i = 0; i < RANGE_PRESETS && status == STATUS_OK; i++)
        write_group(g, (struct text_ref){periods[i], strlen(periods[i])}, i, w);
    return status;
}

enum status group_write(const struct journal *journal, const struct annotations *annotations, enum asset asset,
                        const struct time_range *range, unsigned set, struct json_writer *w, struct err *err)
{
    struct grouping g = {.journal = journal, .annotations = annotations, .asset = asset, .range = *range};
    bool several = (set & (set - 1)) != 0;
    enum status status = report_new(&g.report, err);

    symbol_table_init(&g.names);
    g.names.exact = true;
    day_clock_init(&g.clock, &journal->account);
    json_object_begin(w);
    for (int i = 0; i < DIMENSIONS && status == STATUS_OK; i++) {
        if ((set & DIMENSION_BIT(i)) == 0)
            continue;
        g.dimension = (enum dimension)i;
        g.prefix = several ? dimensions[i].name : "";
        status = g.dimension == DIMENSION_TIME_PERIOD ? write_periods(&g, w, err) : write_partition(&g, w, err);
    }
    json_object_end(w);
    release_partition(&g);
    symbol_table_release(&g.names);
    free(g.members);
    free(g.trades);
    report_free(&g.report);
    return status;
}
