#include "jobs/document_body.h"

#include <string.h>

#include "jobs/analytics/playbook_analytics.h"
#include "jobs/analytics/pnl_calendar.h"
#include "jobs/analytics/positions.h"
#include "jobs/analytics/symbol_analytics.h"
#include "jobs/analytics/trade_analytics.h"

/* What one document is written from. */
struct source {
    const struct report *report;
    size_t range_index; /* in the report */
    const struct document_request *request;
    const struct journal *journal;
    const struct price_table *prices;
    const struct annotations *annotations;
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

static enum status write_body(const struct source *s, const struct document_source *from, struct buf *out,
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
    if (status != STATUS_OK) {
        buf_truncate(out, start);
        return status;
    }
    json_key(&w, "meta");
    report_write_meta(s->report, s->range_index, from->user_id, from->computed_at, &w, &volatile_start, &volatile_end);
    json_object_end(&w);
    if (buf_status(out) != STATUS_OK)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for a document");
    *ret_body = (struct cache_body){
        .bytes = out->data + start,
        .len = out->len - start,
        .volatile_start = volatile_start - start,
        .volatile_end = volatile_end - start,
        .computed_at = from->computed_at,
        .valid_until = journal_valid_until(s->journal),
        .holds_positions = document_may_hold_positions(s->request) && positions_any(s->journal, s->request->asset),
    };
    return STATUS_OK;
}

static bool has_time_series(const struct document_request *request)
{
    return request->section == SECTION_TIME_SERIES ||
           (request->section == SECTION_COMPREHENSIVE && !request->without_time_series);
}

/* As document_write(), of a journal that need not be the source's own. */
static enum status write_from(const struct document_source *from, const struct journal *journal, struct report *report,
                              size_t range, const struct document_request *request, struct buf *out,
                              struct cache_body *ret_body, struct err *err)
{
    struct source source = {report, range, request, journal, &from->prices, &from->annotations};
    enum status status = STATUS_OK;

    if (has_time_series(request))
        status = report_compute_time_series(report, range, err);
    return status == STATUS_OK ? write_body(&source, from, out, ret_body, err) : status;
}

bool document_is_of_presets(const struct document_request *request)
{
    return request->range.name < RANGE_PRESETS && !request->has_risk_free_rate && request->section != SECTION_CALENDAR;
}

enum status document_write(const struct document_source *source, struct report *report, size_t range,
                           const struct document_request *request, struct buf *out, struct cache_body *ret_body,
                           struct err *err)
{
    return write_from(source, source->journal, report, range, request, out, ret_body, err);
}

/* --- one document ------------------------------------------------------------------------------- */

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

enum status document_build(const struct document_source *source, struct report *report,
                           const struct document_request *request, struct buf *out, struct cache_body *ret_body,
                           struct err *err)
{
    struct document_request settled = *request;
    struct journal journal = *source->journal; /* borrows all it holds */
    struct time_range range;
    enum status status;

    settle_bounds(&settled, &journal.account);
    range = document_range(&settled, journal.today);
    if (settled.has_risk_free_rate)
        journal.account.risk_free_rate_e8 = settled.risk_free_rate_e8;
    status = report_compute(report, &journal, settled.asset, &range, 1, err);
    return status == STATUS_OK ? write_from(source, &journal, report, 0, &settled, out, ret_body, err) : status;
}

/* That there is no such document, for as long as that is known to hold. */
static enum status write_not_found(const struct document_source *source, const struct err *reason, struct buf *out,
                                   struct cache_body *ret_body, struct err *err)
{
    size_t start = out->len;

    buf_append_string(out, reason->text);
    if (buf_status(out) != STATUS_OK)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for a document");
    *ret_body = (struct cache_body){
        .bytes = out->data + start,
        .len = out->len - start,
        .computed_at = source->computed_at,
        .valid_until = journal_valid_until(source->journal),
        .not_found = true,
        .nothing_there = true,
    };
    return STATUS_OK;
}

static bool names_unknown_symbol(const struct document_request *request, const struct journal *journal)
{
    uint32_t id;

    return request->section == SECTION_SYMBOL &&
           !symbol_table_find(&journal->symbols, (struct text_ref){request->symbol, strlen(request->symbol)}, &id);
}

/* Inside the snapshot. */
static enum status compute_one(struct db *db, const struct document_request *request, const char *user_id,
                               struct instant as_of, struct buf *out, struct cache_body *ret_body, struct err *err)
{
    struct document_source source;
    struct report *report = NULL;
    struct err reason = {{0}};
    enum status status;

    document_source_init(&source, user_id, NULL, clock_now());
    status = document_source_read(&source, db, document_needs(request), as_of, &reason);
    if (status == STATUS_OK)
        status = report_new(&report, &reason);
    if (status == STATUS_OK)
        status = document_build(&source, report, request, out, ret_body, &reason);
    if (status == STATUS_NOT_FOUND)
        status = write_not_found(&source, &reason, out, ret_body, &reason);
    else if (status == STATUS_OK)
        ret_body->nothing_there = names_unknown_symbol(request, source.journal);
    if (status != STATUS_OK)
        status = err_fail(err, status, "%s", reason.text);
    report_free(&report);
    document_source_release(&source);
    return status;
}

enum status document_compute(struct db *db, const struct document_request *request, const char *user_id,
                             struct buf *out, struct cache_body *ret_body, struct err *err)
{
    int64_t began_us = clock_monotonic_us();
    struct instant as_of;
    enum status status;

    status = db_begin_snapshot(db, &as_of, err);
    if (status != STATUS_OK)
        return status;
    (void)clock_get_override(&as_of); /* leaves the database's time when there is none */
    status = compute_one(db, request, user_id, as_of, out, ret_body, err);
    db_end(db);
    if (status == STATUS_OK)
        ret_body->cost_us = clock_monotonic_us() - began_us;
    return status;
}
