#include "jobs/document.h"

#include <pthread.h>
#include <string.h>

#include "jobs/document_text.h"
#include "jobs/event.h"

/* --- needs -------------------------------------------------------------------------------------- */

bool document_may_hold_positions(const struct document_request *request)
{
    return request->section == SECTION_POSITIONS || request->section == SECTION_COMPREHENSIVE;
}

unsigned document_needs(const struct document_request *request)
{
    unsigned needs = 0;

    if (request->section == SECTION_PLAYBOOKS || request->section == SECTION_PLAYBOOK)
        needs |= DOCUMENT_NEEDS_PLAYBOOKS | DOCUMENT_NEEDS_RULES;
    if ((request->dimensions & DIMENSION_BIT(DIMENSION_PLAYBOOK)) != 0)
        needs |= DOCUMENT_NEEDS_PLAYBOOKS;
    if ((request->dimensions & DIMENSION_BIT(DIMENSION_TAG)) != 0)
        needs |= DOCUMENT_NEEDS_TAGS;
    if (request->dimensions != 0)
        needs |= DOCUMENT_NEEDS_DETAILS;
    if (document_may_hold_positions(request))
        needs |= DOCUMENT_NEEDS_PRICES;
    return needs;
}

/* --- tags --------------------------------------------------------------------------------------- */

/* Every set of tags a document can have: by asset, and by what else it reads. Filled once, because nobody owns them. */
static struct cache_tags tag_sets[ASSET_OPTIONS + 1][DOCUMENT_TAG_SETS];

static void add_tag(struct cache_tags *set, bool wanted, const char *name, bool shared)
{
    if (wanted)
        set->tags[set->n++] = (struct cache_tag){name, shared};
}

static void fill_tag_sets(void)
{
    for (int asset = 0; asset <= ASSET_OPTIONS; asset++)
        for (unsigned needs = 0; needs < DOCUMENT_TAG_SETS; needs++) {
            struct cache_tags *set = &tag_sets[asset][needs];

            add_tag(set, asset != ASSET_OPTIONS, "stocks", false);
            add_tag(set, asset != ASSET_STOCKS, "options", false);
            add_tag(set, true, "settings", false);
            add_tag(set, (needs & DOCUMENT_NEEDS_PLAYBOOKS) != 0, "playbooks", false);
            add_tag(set, (needs & DOCUMENT_NEEDS_TAGS) != 0, "tags", false);
            add_tag(set, (needs & DOCUMENT_NEEDS_PRICES) != 0, "prices", true);
        }
}

static const struct cache_tags *tag_set(enum asset asset, unsigned needs)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, fill_tag_sets);
    return &tag_sets[asset][needs % DOCUMENT_TAG_SETS];
}

const struct cache_tags *document_tags(const struct document_request *request)
{
    return tag_set(request->asset, document_needs(request));
}

const struct cache_tags *document_tags_of_needs(unsigned needs)
{
    return tag_set(ASSET_ALL, needs);
}

bool document_depends_on(const struct document_request *request, const struct cache_tags *tags)
{
    const struct cache_tags *own = document_tags(request);

    for (size_t i = 0; i < own->n; i++)
        if (event_tags_hold(tags, own->tags[i].name))
            return true;
    return false;
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

bool document_is_precomputed(const struct document_request *request)
{
    return request->section < SECTIONS_PRECOMPUTED && !is_custom(request);
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

struct cache_epochs document_pick_epochs(const struct document_request *request, const struct cache_tags *known,
                                         const struct cache_epochs *all)
{
    const struct cache_tags *wanted = document_tags(request);
    struct cache_epochs picked = {0};

    memcpy(picked.instance, all->instance, sizeof picked.instance);
    memcpy(picked.user_id, all->user_id, sizeof picked.user_id);
    for (size_t i = 0; i < wanted->n; i++)
        for (size_t k = 0; k < known->n; k++)
            if (strcmp(wanted->tags[i].name, known->tags[k].name) == 0)
                picked.values[i] = all->values[k];
    return picked;
}

int64_t document_ttl_s(const struct settings *settings, const struct document_request *request, bool holds_positions)
{
    if (is_pnl(request) || is_net_pnl(request))
        return settings->cache_ttl_analytics_pnl_s;
    return holds_positions ? settings->cache_ttl_positions_s : settings->cache_ttl_analytics_s;
}

bool document_asks_for_refresh(const struct cache_header *header, struct instant now)
{
    int64_t life_us = header->expires_at.us - header->computed_at.us, left_us = header->expires_at.us - now.us;

    return header->expires_at.us < header->valid_until.us && left_us < life_us / 100 * DOCUMENT_ASK_PERCENT;
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

bool document_precomputed_index(const struct document_request *request, size_t *ret_index)
{
    size_t index = 0, a = 0;

    if (!document_is_precomputed(request))
        return false;
    while (precomputed_assets[a].asset != request->asset)
        index += asset_document_count(a++);
    if (request->section < precomputed_assets[a].first)
        return false;
    *ret_index = index + (size_t)(request->section - precomputed_assets[a].first) * RANGE_PRESETS + request->range.name;
    return true;
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
