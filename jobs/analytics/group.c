/* A dimension only says which keys a trade has. Its trades are put side by side by a counting sort, which
 * keeps the canonical order; each group then is a small journal, and goes through the same rollup as a whole account.
 * So a group can know no metric that an account does not, nor define one differently. */
#include "jobs/analytics/group_internal.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/analytics/report.h"

/* In the order of the presets. */
static const char *const periods[RANGE_PRESETS] = {"Today",         "Last 7 Days", "Last 30 Days", "Last 90 Days",
                                                   "Last 6 Months", "Last Year",   "Year to Date", "All Time"};

/* --- partitioning ---------------------------------------------------------------------------------- */

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
    g->n_keys = group_count_keys(g);
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
    struct text_ref x = group_key_name(g, *(const uint32_t *)a), y = group_key_name(g, *(const uint32_t *)b);
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
    json_string(w, group_type(g->dimension));
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
    enum status status = group_collect(g);

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
        write_group(g, group_key_name(g, key), 0, w);
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
        g.prefix = several ? dimension_name(g.dimension) : "";
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
