#include "jobs/document.h"

#include "jobs/trade_reader.h"

/* How a section is named in keys (NULL: none), and what prints its data. */
static const struct {
    const char *name;
    void (*write)(const struct report *report, size_t range, struct json_writer *w);
} sections[SECTIONS] = {
    [SECTION_SUMMARY] = {NULL, report_write_summary},
    [SECTION_CORE] = {"core", report_write_core},
    [SECTION_RISK] = {"risk", report_write_risk},
    [SECTION_PERFORMANCE] = {"performance", report_write_performance},
};

static const struct cache_tags asset_tags[] = {
    [ASSET_ALL] = {.n = 3, .tags = {{"stocks", false}, {"options", false}, {"settings", false}}},
    [ASSET_STOCKS] = {.n = 2, .tags = {{"stocks", false}, {"settings", false}}},
    [ASSET_OPTIONS] = {.n = 2, .tags = {{"options", false}, {"settings", false}}},
};

static const char *asset_key_text(enum asset asset)
{
    return asset == ASSET_ALL ? "combined" : asset_text(asset);
}

static void append_day(struct buf *out, bool given, struct date day)
{
    char text[DATE_TEXT_SIZE];

    if (!given) {
        buf_append_char(out, '*');
        return;
    }
    date_format(day, text);
    buf_append_string(out, text);
}

/* The hash of the request in its one canonical spelling: every field, in fixed order. */
static void append_custom_hash(const struct document_request *request, struct buf *key)
{
    const char *section = sections[request->section].name;
    struct buf canonical = BUF_INIT;

    buf_append_format(&canonical, "%s asset=%s from=", section == NULL ? "summary" : section,
                      asset_key_text(request->asset));
    append_day(&canonical, request->range.has_start, request->range.start);
    buf_append_string(&canonical, " to=");
    append_day(&canonical, request->range.has_end, request->range.end);
    if (buf_status(&canonical) != STATUS_OK)
        key->failed = true; /* half a text must not become a key */
    cache_append_hash(key, canonical.data, canonical.len);
    buf_release(&canonical);
}

void document_append_key(const struct cache *cache, const struct document_request *request, const char *user_id,
                         struct buf *key)
{
    bool custom = request->range.name == RANGE_CUSTOM;

    cache_append_prefix(cache, key);
    buf_append_string(key, "analytics:");
    if (!custom) {
        buf_append_string(key, asset_key_text(request->asset));
        buf_append_char(key, ':');
    }
    buf_append_char(key, '{');
    cache_append_user(key, user_id);
    buf_append_string(key, "}:");
    buf_append_string(key, range_name_text(request->range.name));
    if (custom) {
        buf_append_char(key, ':');
        append_custom_hash(request, key);
    } else if (sections[request->section].name != NULL) {
        buf_append_char(key, ':');
        buf_append_string(key, sections[request->section].name);
    }
}

const struct cache_tags *document_tags(const struct document_request *request)
{
    return &asset_tags[request->asset];
}

const struct cache_tags *document_all_tags(void)
{
    return &asset_tags[ASSET_ALL];
}

struct cache_epochs document_pick_epochs(const struct document_request *request, const struct cache_epochs *all)
{
    const struct cache_tags *known = document_all_tags(), *wanted = document_tags(request);
    struct cache_epochs picked = {0};

    memcpy(picked.instance, all->instance, sizeof picked.instance);
    memset(picked.values, 0, sizeof picked.values);
    for (size_t i = 0; i < wanted->n; i++)
        for (size_t k = 0; k < known->n; k++)
            if (strcmp(wanted->tags[i].name, known->tags[k].name) == 0)
                picked.values[i] = all->values[k];
    return picked;
}

int64_t document_ttl_s(const struct settings *settings, const struct document_request *request)
{
    (void)request; /* every analytics document has the same TTL so far */
    return settings->cache_ttl_analytics_s;
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
    return (size_t)(SECTIONS - precomputed_assets[a].first) * RANGE_PRESETS;
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

enum status document_write(const struct report *report, const struct journal *journal, size_t range,
                           const struct document_request *request, const char *user_id, struct instant computed_at,
                           struct buf *out, struct cache_body *ret_body, struct err *err)
{
    size_t start = out->len, volatile_start = 0, volatile_end = 0;
    struct json_writer w;

    json_init(&w, out);
    json_object_begin(&w);
    json_key(&w, "success");
    json_bool(&w, true);
    json_key(&w, "data");
    sections[request->section].write(report, range, &w);
    json_key(&w, "meta");
    report_write_meta(report, range, user_id, computed_at, &w, &volatile_start, &volatile_end);
    json_object_end(&w);
    if (buf_status(out) != STATUS_OK)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for a document");
    *ret_body = (struct cache_body){
        .bytes = out->data + start,
        .len = out->len - start,
        .volatile_start = volatile_start - start,
        .volatile_end = volatile_end - start,
        .computed_at = computed_at,
        .valid_until = journal_valid_until(journal),
    };
    return STATUS_OK;
}

/* Reads the user's journal and computes the one range that was asked for. */
static enum status compute_one(struct db *db, const struct document_request *request, const char *user_id,
                               struct report *report, struct instant as_of, struct buf *out,
                               struct cache_body *ret_body, struct err *err)
{
    struct trade_reader *reader = NULL;
    const struct journal *journal;
    struct instant computed_at = clock_now();
    struct time_range range;
    const char *id;
    enum status status;

    status = trade_reader_open(db, 1, &user_id, as_of, &reader, err);
    if (status != STATUS_OK)
        return status;
    status = trade_reader_next(reader, &id, &journal, err);
    if (status != STATUS_OK)
        goto out;
    range = time_range_resolve(&request->range, journal->today);
    status = report_compute(report, journal, request->asset, &range, 1, err);
    if (status != STATUS_OK)
        goto out;
    status = document_write(report, journal, 0, request, user_id, computed_at, out, ret_body, err);
    if (status != STATUS_OK)
        goto out;
    /* The end of the stream, too: a connection that is left in the middle of one is lost. */
    status = trade_reader_next(reader, &id, &journal, err);
    if (status == STATUS_OK)
        status = err_fail(err, STATUS_INTERNAL, "the reader delivered user %s, who was not asked for", id);
    else if (status == STATUS_NOT_FOUND)
        status = STATUS_OK;
out:
    trade_reader_close(&reader);
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
