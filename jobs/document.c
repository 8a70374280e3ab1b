#include "jobs/document.h"

#include <pthread.h>

#include "jobs/analytics/playbook_analytics.h"
#include "jobs/analytics/pnl_calendar.h"
#include "jobs/analytics/positions.h"
#include "jobs/analytics/symbol_analytics.h"
#include "jobs/analytics/trade_analytics.h"
#include "jobs/annotation_reader.h"
#include "jobs/document_text.h"
#include "jobs/price_reader.h"
#include "jobs/trade_reader.h"

/* What a document is written from. */
struct source {
    const struct report *report;
    size_t range_index; /* in the report */
    const struct document_request *request;
    const struct journal *journal;
    const struct price_table *prices;      /* of open positions; empty when the section wants none */
    const struct annotations *annotations; /* of the kinds its section wants */
};

static struct time_range range_of(const struct source *s)
{
    return time_range_resolve(&s->request->range, s->journal->today);
}

static enum status write_groups(const struct source *s, struct json_writer *w, struct err *err)
{
    struct time_range range = range_of(s);

    return group_write(s->journal, s->annotations, s->request->asset, &range, s->request->dimensions, w, err);
}

static enum status write_playbooks(const struct source *s, struct json_writer *w, struct err *err)
{
    struct time_range range = range_of(s);

    return playbook_analytics_write_all(s->journal, s->annotations, &range, w, err);
}

static enum status write_playbook(const struct source *s, struct json_writer *w, struct err *err)
{
    struct time_range range = range_of(s);

    return playbook_analytics_write_one(s->journal, s->annotations, &range, s->request->playbook_id, w, err);
}

static enum status write_time_series(const struct source *s, struct json_writer *w, struct err *err)
{
    (void)err;
    report_write_time_series(s->report, w);
    return STATUS_OK;
}

static struct date calendar_month(const struct document_request *request, struct date today)
{
    return date_first_of_month(request->has_month ? request->month : today);
}

static enum status write_calendar(const struct source *s, struct json_writer *w, struct err *err)
{
    (void)err;
    pnl_calendar_write(s->journal, s->request->asset, calendar_month(s->request, s->journal->today), w);
    return STATUS_OK;
}

static enum status write_positions(const struct source *s, struct json_writer *w, struct err *err)
{
    (void)err;
    positions_write(s->journal, s->request->asset, s->prices, w);
    return STATUS_OK;
}

static enum status write_trade(const struct source *s, struct json_writer *w, struct err *err)
{
    const struct trade *trade =
        trade_analytics_find(s->journal, s->request->asset == ASSET_OPTIONS, s->request->trade_id);

    if (trade == NULL)
        return err_fail(err, STATUS_NOT_FOUND, "there is no such trade");
    trade_analytics_write(trade, s->journal, w);
    return STATUS_OK;
}

static enum status write_symbol(const struct source *s, struct json_writer *w, struct err *err)
{
    struct text_ref symbol = {s->request->symbol, strlen(s->request->symbol)};
    struct time_range range = range_of(s);

    (void)err;
    symbol_analytics_write(s->journal, symbol, &range, w);
    return STATUS_OK;
}

static enum status write_one_text(const struct source *s, struct json_writer *w, struct err *err)
{
    (void)err;
    report_write_text(s->report, s->range_index, s->request->text, w);
    return STATUS_OK;
}

static enum status write_comprehensive(const struct source *s, struct json_writer *w, struct err *err)
{
    enum status status = STATUS_OK;

    json_object_begin(w);
    json_key(w, "core_metrics");
    report_write_core(s->report, s->range_index, w);
    json_key(w, "risk_metrics");
    report_write_risk(s->report, s->range_index, w);
    json_key(w, "performance_metrics");
    report_write_performance_metrics(s->report, s->range_index, w);
    json_key(w, "duration_performance");
    report_write_duration_performance(s->report, s->range_index, w);
    json_key(w, "time_series");
    if (s->request->without_time_series)
        report_write_time_series_scalars(s->report, s->range_index, w);
    else
        report_write_time_series(s->report, w);
    json_key(w, "grouped_analytics");
    status = write_groups(s, w, err); /* {} for no dimension */
    json_key(w, "options_metrics");
    report_write_options_metrics(s->report, s->range_index, w);
    json_key(w, "open_positions");
    positions_write(s->journal, s->request->asset, s->prices, w);
    json_object_end(w);
    return status;
}

/* What prints a section's data: from the report alone, or from more. */
static const struct {
    void (*write)(const struct report *report, size_t range, struct json_writer *w);
    enum status (*write_from)(const struct source *source, struct json_writer *w, struct err *err);
} sections[SECTIONS] = {
    [SECTION_SUMMARY] = {report_write_summary, NULL},
    [SECTION_CORE] = {report_write_core, NULL},
    [SECTION_RISK] = {report_write_risk, NULL},
    [SECTION_PERFORMANCE] = {report_write_performance, NULL},
    [SECTION_TIME_SERIES] = {NULL, write_time_series},
    [SECTION_GROUPED] = {NULL, write_groups},
    [SECTION_PLAYBOOKS] = {NULL, write_playbooks},
    [SECTION_PLAYBOOK] = {NULL, write_playbook},
    [SECTION_CALENDAR] = {NULL, write_calendar},
    [SECTION_POSITIONS] = {NULL, write_positions},
    [SECTION_TRADE] = {NULL, write_trade},
    [SECTION_SYMBOL] = {NULL, write_symbol},
    [SECTION_TEXT] = {NULL, write_one_text},
    [SECTION_COMPREHENSIVE] = {NULL, write_comprehensive},
};

/* What a section needs besides trades, as for annotation_read(). */
static unsigned annotations_wanted(const struct document_request *request)
{
    unsigned wanted = 0;

    if (request->section == SECTION_PLAYBOOKS || request->section == SECTION_PLAYBOOK)
        return ANNOTATION_PLAYBOOKS | ANNOTATION_RULES;
    if ((request->dimensions & DIMENSION_BIT(DIMENSION_PLAYBOOK)) != 0)
        wanted |= ANNOTATION_PLAYBOOKS;
    if ((request->dimensions & DIMENSION_BIT(DIMENSION_TAG)) != 0)
        wanted |= ANNOTATION_TAGS;
    return wanted;
}

/* --- tags --------------------------------------------------------------------------------------- */

/* Every set of tags a document can have: by asset, and by what else it reads. Filled once, because nobody owns them. */
enum { READS_PLAYBOOKS = 1, READS_TAGS = 2, READS_PRICES = 4, READS_SETS = 8 };
static struct cache_tags tag_sets[ASSET_OPTIONS + 1][READS_SETS];

static void add_tag(struct cache_tags *set, bool wanted, const char *name, bool shared)
{
    if (wanted)
        set->tags[set->n++] = (struct cache_tag){name, shared};
}

static void fill_tag_sets(void)
{
    for (int asset = 0; asset <= ASSET_OPTIONS; asset++)
        for (unsigned reads = 0; reads < READS_SETS; reads++) {
            struct cache_tags *set = &tag_sets[asset][reads];

            add_tag(set, asset != ASSET_OPTIONS, "stocks", false);
            add_tag(set, asset != ASSET_STOCKS, "options", false);
            add_tag(set, true, "settings", false);
            add_tag(set, (reads & READS_PLAYBOOKS) != 0, "playbooks", false);
            add_tag(set, (reads & READS_TAGS) != 0, "tags", false);
            add_tag(set, (reads & READS_PRICES) != 0, "prices", true);
        }
}

static const struct cache_tags *tag_set(enum asset asset, unsigned reads)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, fill_tag_sets);
    return &tag_sets[asset][reads];
}

static bool holds_positions(const struct document_request *request)
{
    return request->section == SECTION_POSITIONS || request->section == SECTION_COMPREHENSIVE;
}

const struct cache_tags *document_tags(const struct document_request *request)
{
    unsigned wanted = annotations_wanted(request), reads = 0;

    if ((wanted & ANNOTATION_PLAYBOOKS) != 0)
        reads |= READS_PLAYBOOKS;
    if ((wanted & ANNOTATION_TAGS) != 0)
        reads |= READS_TAGS;
    if (holds_positions(request))
        reads |= READS_PRICES;
    return tag_set(request->asset, reads);
}

const struct cache_tags *document_all_tags(void)
{
    return tag_set(ASSET_ALL, 0);
}

/* --- keys --------------------------------------------------------------------------------------- */

static void append_custom_hash(const struct document_request *request, struct buf *key)
{
    struct buf canonical = BUF_INIT;

    document_append_text(request, &canonical);
    if (buf_status(&canonical) != STATUS_OK)
        key->failed = true; /* half a text must not become a key */
    cache_append_hash(key, canonical.data, canonical.len);
    buf_release(&canonical);
}

/* The answers that give the P&L alone: the first has a key of its own family. */
static bool is_pnl(const struct document_request *request)
{
    return request->section == SECTION_TEXT && request->text == REPORT_TEXT_PNL;
}

static bool is_net_pnl(const struct document_request *request)
{
    return request->section == SECTION_TEXT && request->text == REPORT_TEXT_NET_PNL;
}

static bool has_family(const struct document_request *request)
{
    return request->section < SECTIONS_PRECOMPUTED || request->section == SECTION_TIME_SERIES ||
           request->section == SECTION_GROUPED || is_pnl(request);
}

/* Whether the document has no key of its own family. */
static bool is_custom(const struct document_request *request)
{
    return !has_family(request) || request->range.name == RANGE_CUSTOM || request->null_as_zero ||
           request->has_risk_free_rate || (request->dimensions & (request->dimensions - 1)) != 0;
}

void document_append_key(const struct cache *cache, const struct document_request *request, const char *user_id,
                         struct buf *key)
{
    bool custom = is_custom(request);

    cache_append_prefix(cache, key);
    buf_append_string(key, "analytics:");
    if (!custom) {
        buf_append_string(key, document_asset_name(request->asset));
        buf_append_char(key, ':');
    }
    buf_append_char(key, '{');
    cache_append_user(key, user_id);
    if (custom) {
        buf_append_string(key, "}:custom:");
        append_custom_hash(request, key);
        return;
    }
    buf_append_string(key, "}:");
    buf_append_string(key, range_name_text(request->range.name));
    if (is_pnl(request)) {
        buf_append_string(key, ":pnl");
    } else if (request->section != SECTION_SUMMARY) {
        buf_append_char(key, ':');
        buf_append_string(key, document_section_name(request->section));
    }
    document_append_dimensions(key, request->dimensions);
}

struct cache_epochs document_pick_epochs(const struct document_request *request, const struct cache_epochs *all)
{
    const struct cache_tags *known = document_all_tags(), *wanted = document_tags(request);
    struct cache_epochs picked = {0};

    memcpy(picked.instance, all->instance, sizeof picked.instance);
    memcpy(picked.user_id, all->user_id, sizeof picked.user_id);
    memset(picked.values, 0, sizeof picked.values);
    for (size_t i = 0; i < wanted->n; i++)
        for (size_t k = 0; k < known->n; k++)
            if (strcmp(wanted->tags[i].name, known->tags[k].name) == 0)
                picked.values[i] = all->values[k];
    return picked;
}

int64_t document_ttl_s(const struct settings *settings, const struct document_request *request)
{
    if (is_pnl(request) || is_net_pnl(request))
        return settings->cache_ttl_analytics_pnl_s;
    return holds_positions(request) ? settings->cache_ttl_positions_s : settings->cache_ttl_analytics_s;
}

/* --- the precomputed set ------------------------------------------------------------------------ */

/* The summary exists per asset class only, so "all" has one section less. */
static const struct {
    enum asset asset;
    enum section first;
} precomputed_assets[] = {{ASSET_STOCKS, SECTION_SUMMARY}, {ASSET_OPTIONS, SECTION_SUMMARY}, {ASSET_ALL, SECTION_CORE}};

#define N_ASSETS (sizeof precomputed_assets / sizeof precomputed_assets[0])

static size_t asset_document_count(size_t a)
{
    return (size_t)(SECTIONS_PRECOMPUTED - precomputed_assets[a].first) * RANGE_PRESETS;
}

size_t document_precomputed_count(void)
{
    size_t n = 0;

    for (size_t a = 0; a < N_ASSETS; a++)
        n += asset_document_count(a);
    return n;
}

struct document_request document_precomputed(size_t i)
{
    size_t a = 0;

    while (i >= asset_document_count(a))
        i -= asset_document_count(a++);
    return (struct document_request){
        .section = (enum section)(precomputed_assets[a].first + i / RANGE_PRESETS),
        .asset = precomputed_assets[a].asset,
        .range = {.name = (enum range_name)(i % RANGE_PRESETS)},
    };
}

/* --- bodies ------------------------------------------------------------------------------------- */

/* The data; with null_as_zero there alone (metrics.md 4.4). */
static enum status write_data(const struct source *s, struct json_writer *w, struct err *err)
{
    enum section section = s->request->section;
    enum status status = STATUS_OK;

    w->null_as_zero = s->request->null_as_zero;
    if (sections[section].write_from != NULL)
        status = sections[section].write_from(s, w, err);
    else
        sections[section].write(s->report, s->range_index, w);
    w->null_as_zero = false;
    return status;
}

static enum status write_body(const struct source *s, const char *user_id, struct instant computed_at, struct buf *out,
                              struct cache_body *ret_body, struct err *err)
{
    size_t start = out->len, volatile_start = 0, volatile_end = 0;
    struct json_writer w;
    enum status status;

    json_init(&w, out);
    json_object_begin(&w);
    json_key(&w, "success");
    json_bool(&w, true);
    json_key(&w, "data");
    status = write_data(s, &w, err);
    if (status != STATUS_OK)
        return status;
    json_key(&w, "meta");
    report_write_meta(s->report, s->range_index, user_id, computed_at, &w, &volatile_start, &volatile_end);
    json_object_end(&w);
    if (buf_status(out) != STATUS_OK)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for a document");
    *ret_body = (struct cache_body){
        .bytes = out->data + start,
        .len = out->len - start,
        .volatile_start = volatile_start - start,
        .volatile_end = volatile_end - start,
        .computed_at = computed_at,
        .valid_until = journal_valid_until(s->journal),
    };
    return STATUS_OK;
}

enum status document_write(const struct report *report, const struct journal *journal, size_t range,
                           const struct document_request *request, const char *user_id, struct instant computed_at,
                           struct buf *out, struct cache_body *ret_body, struct err *err)
{
    struct source source = {.report = report, .range_index = range, .request = request, .journal = journal};

    return write_body(&source, user_id, computed_at, out, ret_body, err);
}

/* --- read-through ------------------------------------------------------------------------------- */

/* What the document covers: of a calendar, its month. */
static struct time_range document_range(const struct document_request *request, struct date today)
{
    struct range_request range = request->range;

    if (request->section == SECTION_CALENDAR) {
        range = (struct range_request){.name = RANGE_CUSTOM, .has_start = true, .has_end = true};
        range.start = calendar_month(request, today);
        range.end = date_add_days(date_add_months(range.start, 1), -1);
    }
    return time_range_resolve(&range, today);
}

static void settle_bounds(struct document_request *request, const struct account *account)
{
    if (request->start_is_instant)
        request->range.start = trading_day(account->zone, account->trading_day_start, request->start_at);
    if (request->end_is_instant)
        request->range.end = trading_day(account->zone, account->trading_day_start, request->end_at);
}

static bool has_time_series(const struct document_request *request)
{
    return request->section == SECTION_TIME_SERIES ||
           (request->section == SECTION_COMPREHENSIVE && !request->without_time_series);
}

/* Computes the one range that was asked for and writes the document. */
static enum status build(const struct source *read, const char *user_id, struct report *report,
                         struct instant computed_at, struct buf *out, struct cache_body *ret_body, struct err *err)
{
    struct document_request request = *read->request;
    struct journal journal = *read->journal; /* borrows all it holds */
    struct source source = *read;
    struct time_range range;
    enum status status;

    settle_bounds(&request, &journal.account);
    range = document_range(&request, journal.today);
    source.request = &request;
    source.report = report;
    source.journal = &journal;
    if (request.has_risk_free_rate)
        journal.account.risk_free_rate_e8 = request.risk_free_rate_e8;
    status = report_compute(report, &journal, request.asset, &range, 1, err);
    if (status == STATUS_OK && has_time_series(&request))
        status = report_compute_time_series(report, 0, err);
    if (status != STATUS_OK)
        return status;
    return write_body(&source, user_id, computed_at, out, ret_body, err);
}

/* Reads the user's journal, and what else the section wants, and builds the document from it. */
static enum status compute_one(struct db *db, const struct document_request *request, const char *user_id,
                               struct report *report, struct instant as_of, struct buf *out,
                               struct cache_body *ret_body, struct err *err)
{
    struct trade_reader *reader = NULL;
    struct annotations annotations;
    struct price_table prices;
    struct source source = {.request = request, .annotations = &annotations, .prices = &prices};
    struct instant computed_at = clock_now();
    const char *id;
    enum status status;

    annotations_init(&annotations);
    price_table_init(&prices);
    status = annotation_read(db, user_id, annotations_wanted(request), &annotations, err);
    if (status == STATUS_OK)
        status = trade_reader_open(db, 1, &user_id, as_of, &reader, err);
    if (status != STATUS_OK)
        goto out;
    if (request->dimensions != 0)
        trade_reader_keep_details(reader);
    status = trade_reader_next(reader, &id, &source.journal, err);
    if (status == STATUS_OK)
        status = trade_reader_finish(reader, err);
    if (status == STATUS_OK && holds_positions(request))
        status = price_read(db, source.journal, &prices, err);
    if (status == STATUS_OK)
        status = build(&source, user_id, report, computed_at, out, ret_body, err);
out:
    trade_reader_close(&reader);
    price_table_release(&prices);
    annotations_release(&annotations);
    return status;
}

enum status document_compute(struct db *db, const struct document_request *request, const char *user_id,
                             struct buf *out, struct cache_body *ret_body, struct err *err)
{
    int64_t began_us = clock_monotonic_us();
    struct report *report = NULL;
    struct instant as_of;
    enum status status;

    status = report_new(&report, err);
    if (status != STATUS_OK)
        return status;
    status = db_begin_snapshot(db, &as_of, err);
    if (status != STATUS_OK)
        goto out;
    (void)clock_get_override(&as_of); /* leaves the database's time when there is none */
    status = compute_one(db, request, user_id, report, as_of, out, ret_body, err);
    db_end(db);
    if (status == STATUS_OK)
        ret_body->cost_us = clock_monotonic_us() - began_us;
out:
    report_free(&report);
    return status;
}
