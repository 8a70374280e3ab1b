/* Reading is strict by construction: the fields are taken apart, judged against what their section may have, written
 * again, and the two texts must be the same bytes. */
#include "jobs/document_text.h"

#include <string.h>

#include "lib/base/parse_number.h"
#include "lib/base/text.h"

#define WORD_SIZE 512 /* more than the names of all dimensions */

static const char *const section_names[SECTIONS] = {
    [SECTION_SUMMARY] = "summary",
    [SECTION_CORE] = "core",
    [SECTION_RISK] = "risk",
    [SECTION_PERFORMANCE] = "performance",
    [SECTION_TIME_SERIES] = "time-series",
    [SECTION_GROUPED] = "grouped",
    [SECTION_PLAYBOOKS] = "playbooks",
    [SECTION_PLAYBOOK] = "playbook",
    [SECTION_CALENDAR] = "calendar",
    [SECTION_POSITIONS] = "positions",
    [SECTION_TRADE] = "trade",
    [SECTION_SYMBOL] = "symbol",
    [SECTION_TEXT] = "text",
    [SECTION_COMPREHENSIVE] = "comprehensive",
};

const char *document_section_name(enum section section)
{
    return section_names[section];
}

const char *document_asset_name(enum asset asset)
{
    return asset == ASSET_ALL ? "combined" : asset_text(asset);
}

/* --- writing ------------------------------------------------------------------------------------ */

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

static void append_bound(struct buf *out, bool given, bool is_instant, struct instant instant, struct date day)
{
    if (given && is_instant)
        buf_append_format(out, "%lldus", (long long)instant.us);
    else
        append_day(out, given, day);
}

void document_append_dimensions(struct buf *out, unsigned dimensions)
{
    for (unsigned left = dimensions; left != 0; left &= left - 1) {
        buf_append_char(out, ':');
        buf_append_string(out, dimension_name((enum dimension)__builtin_ctz(left)));
    }
}

/* Last, because it may hold anything. */
static void append_symbol(struct buf *out, const char *symbol)
{
    buf_append_string(out, " symbol=");
    for (; *symbol != '\0'; symbol++)
        buf_append_char(out, *symbol >= 'a' && *symbol <= 'z' ? (char)(*symbol - 'a' + 'A') : *symbol);
}

void document_append_text(const struct document_request *request, struct buf *text)
{
    const struct range_request *range = &request->range;

    buf_append_format(text, "%s asset=%s range=%s from=", section_names[request->section],
                      document_asset_name(request->asset), range_name_text(range->name));
    append_bound(text, range->has_start, request->start_is_instant, request->start_at, range->start);
    buf_append_string(text, " to=");
    append_bound(text, range->has_end, request->end_is_instant, request->end_at, range->end);
    buf_append_string(text, " dimensions=");
    document_append_dimensions(text, request->dimensions);
    buf_append_format(text, " playbook=%lld zero=%d", (long long)request->playbook_id, request->null_as_zero);
    if (request->has_risk_free_rate)
        buf_append_format(text, " rate=%lld", (long long)request->risk_free_rate_e8);
    buf_append_format(text, " series=%d", !request->without_time_series);
    buf_append_format(text, " text=%zu trade=%lld month=", request->text, (long long)request->trade_id);
    append_day(text, request->has_month, request->month);
    if (request->section == SECTION_SYMBOL)
        append_symbol(text, request->symbol);
}

/* --- taking apart ------------------------------------------------------------------------------- */

/* Takes "LABELword" up to the next space or the end. */
static bool take_word(const char **at, const char *label, char word[WORD_SIZE])
{
    size_t label_len = strlen(label), len;

    if (strncmp(*at, label, label_len) != 0)
        return false;
    len = strcspn(*at + label_len, " ");
    if (len >= WORD_SIZE)
        return false;
    memcpy(word, *at + label_len, len);
    word[len] = '\0';
    *at += label_len + len;
    return true;
}

static bool take_number(const char **at, const char *label, int64_t min, int64_t max, int64_t *ret_number)
{
    char word[WORD_SIZE];

    return take_word(at, label, word) && parse_int64(word, min, max, ret_number) == STATUS_OK;
}

static bool take_flag(const char **at, const char *label, bool *ret_flag)
{
    int64_t number = 0;
    bool taken = take_number(at, label, 0, 1, &number);

    *ret_flag = number == 1;
    return taken;
}

static bool take_section(const char **at, enum section *ret_section)
{
    char word[WORD_SIZE];

    if (!take_word(at, "", word))
        return false;
    for (int i = 0; i < SECTIONS; i++)
        if (strcmp(word, section_names[i]) == 0) {
            *ret_section = (enum section)i;
            return true;
        }
    return false;
}

static bool take_asset(const char **at, enum asset *ret_asset)
{
    char word[WORD_SIZE];

    if (!take_word(at, " asset=", word))
        return false;
    for (int i = 0; i <= ASSET_OPTIONS; i++)
        if (strcmp(word, document_asset_name((enum asset)i)) == 0) {
            *ret_asset = (enum asset)i;
            return true;
        }
    return false;
}

static bool take_range_name(const char **at, enum range_name *ret_name)
{
    char word[WORD_SIZE];

    return take_word(at, " range=", word) && range_name_parse(word, ret_name) == STATUS_OK;
}

static bool take_day(const char **at, const char *label, bool *ret_given, struct date *ret_day)
{
    char word[WORD_SIZE];

    if (!take_word(at, label, word))
        return false;
    *ret_given = strcmp(word, "*") != 0;
    return !*ret_given || date_parse(word, ret_day) == STATUS_OK;
}

/* An instant's years are those of dates. */
static bool parse_microseconds(const char *word, struct instant *ret_instant)
{
    int64_t first = date_from_civil(1, 1, 1).days * US_PER_DAY, last = date_from_civil(9999, 12, 31).days * US_PER_DAY;
    size_t len = strlen(word);

    return len > 2 && strcmp(word + len - 2, "us") == 0 &&
           parse_int64_bytes(word, len - 2, first, last + US_PER_DAY - 1, &ret_instant->us) == STATUS_OK;
}

static bool take_bound(const char **at, const char *label, bool *ret_given, bool *ret_is_instant,
                       struct instant *ret_instant, struct date *ret_day)
{
    const char *start = *at;
    char word[WORD_SIZE];

    if (!take_word(at, label, word))
        return false;
    *ret_is_instant = parse_microseconds(word, ret_instant);
    if (*ret_is_instant) {
        *ret_given = true;
        return true;
    }
    *at = start;
    return take_day(at, label, ret_given, ret_day);
}

static bool take_dimensions(const char **at, unsigned *ret_dimensions)
{
    char word[WORD_SIZE];
    const char *name = word;
    enum dimension dimension;

    if (!take_word(at, " dimensions=", word))
        return false;
    for (size_t len; *name == ':'; name += len) {
        len = strcspn(++name, ":");
        if (dimension_parse(name, len, &dimension) != STATUS_OK)
            return false;
        *ret_dimensions |= DIMENSION_BIT(dimension);
    }
    return *name == '\0';
}

/* The bounds of the account's own setting. */
static bool take_rate(const char **at, struct document_request *r)
{
    static const char label[] = " rate=";

    r->has_risk_free_rate = strncmp(*at, label, strlen(label)) == 0;
    return !r->has_risk_free_rate ||
           take_number(at, label, -MONEY_SCALE + 1, 10000 * MONEY_SCALE - 1, &r->risk_free_rate_e8);
}

static bool take_symbol(const char *at, struct document_request *r)
{
    static const char label[] = " symbol=";

    if (r->section != SECTION_SYMBOL)
        return *at == '\0';
    r->symbol = at + strlen(label);
    return strncmp(at, label, strlen(label)) == 0;
}

static bool take_fields(const char *at, struct document_request *r)
{
    int64_t text = 0;
    bool with_series = false;

    if (!take_section(&at, &r->section) || !take_asset(&at, &r->asset) || !take_range_name(&at, &r->range.name) ||
        !take_bound(&at, " from=", &r->range.has_start, &r->start_is_instant, &r->start_at, &r->range.start) ||
        !take_bound(&at, " to=", &r->range.has_end, &r->end_is_instant, &r->end_at, &r->range.end) ||
        !take_dimensions(&at, &r->dimensions) || !take_number(&at, " playbook=", 0, INT64_MAX, &r->playbook_id) ||
        !take_flag(&at, " zero=", &r->null_as_zero) || !take_rate(&at, r) ||
        !take_flag(&at, " series=", &with_series) || !take_number(&at, " text=", 0, REPORT_TEXTS - 1, &text) ||
        !take_number(&at, " trade=", 0, INT64_MAX, &r->trade_id) ||
        !take_day(&at, " month=", &r->has_month, &r->month) || !take_symbol(at, r))
        return false;
    r->text = (size_t)text;
    r->without_time_series = !with_series;
    return true;
}

/* --- judging ------------------------------------------------------------------------------------ */

/* What a section's requests may have besides null_as_zero. */
enum {
    ANY_ASSET = 1, /* without this and the next: all assets only */
    ONE_ASSET = 2,
    RANGE = 4,
    RATE = 8,
    GROUPS = 16,
    SERIES = 32,
};

static const unsigned shapes[SECTIONS] = {
    [SECTION_SUMMARY] = ONE_ASSET | RANGE,
    [SECTION_CORE] = ANY_ASSET | RANGE | RATE,
    [SECTION_RISK] = ANY_ASSET | RANGE | RATE,
    [SECTION_PERFORMANCE] = ANY_ASSET | RANGE | RATE,
    [SECTION_TIME_SERIES] = ANY_ASSET | RANGE | RATE,
    [SECTION_GROUPED] = ANY_ASSET | RANGE | RATE | GROUPS,
    [SECTION_PLAYBOOKS] = RANGE,
    [SECTION_PLAYBOOK] = RANGE,
    [SECTION_CALENDAR] = ANY_ASSET,
    [SECTION_POSITIONS] = ANY_ASSET,
    [SECTION_TRADE] = ONE_ASSET,
    [SECTION_SYMBOL] = RANGE,
    [SECTION_TEXT] = ONE_ASSET | RANGE,
    [SECTION_COMPREHENSIVE] = ANY_ASSET | RANGE | RATE | GROUPS | SERIES,
};

static bool asset_fits(const struct document_request *r, unsigned shape)
{
    if ((shape & ONE_ASSET) != 0)
        return r->asset != ASSET_ALL;
    return (shape & ANY_ASSET) != 0 || r->asset == ASSET_ALL;
}

static bool range_fits(const struct document_request *r, unsigned shape)
{
    const struct range_request *range = &r->range;

    if ((shape & RANGE) == 0 && range->name != RANGE_ALL_TIME)
        return false;
    if (range->name != RANGE_CUSTOM)
        return !range->has_start && !range->has_end;
    if (!range->has_start || !range->has_end)
        return range->has_start || range->has_end;
    if (r->start_is_instant != r->end_is_instant)
        return true;
    return r->start_is_instant ? r->start_at.us <= r->end_at.us : range->start.days <= range->end.days;
}

static bool month_fits(const struct document_request *r)
{
    struct civil day;

    if (!r->has_month)
        return true;
    day = date_to_civil(r->month);
    return r->section == SECTION_CALENDAR && day.day == 1 && day.year >= 1900 && day.year < 9999;
}

static bool symbol_fits(const struct document_request *r)
{
    size_t len;

    if (r->section != SECTION_SYMBOL)
        return true;
    len = strlen(r->symbol);
    return len > 0 && len <= DOCUMENT_SYMBOL_MAX && utf8_is_valid(r->symbol, len);
}

static bool fits_its_section(const struct document_request *r)
{
    unsigned shape = shapes[r->section];

    return asset_fits(r, shape) && range_fits(r, shape) && month_fits(r) && symbol_fits(r) &&
           ((shape & RATE) != 0 || !r->has_risk_free_rate) && ((shape & GROUPS) != 0 || r->dimensions == 0) &&
           (r->section != SECTION_GROUPED || r->dimensions != 0) &&
           ((shape & SERIES) != 0 || !r->without_time_series) &&
           (r->section == SECTION_PLAYBOOK) == (r->playbook_id != 0) &&
           (r->section == SECTION_TRADE) == (r->trade_id != 0) && (r->section == SECTION_TEXT || r->text == 0);
}

static bool is_its_text(const char *text, const struct document_request *request)
{
    struct buf again = BUF_INIT;
    bool same;

    document_append_text(request, &again);
    same = buf_status(&again) == STATUS_OK && strcmp(text, again.data) == 0;
    buf_release(&again);
    return same;
}

enum status document_parse_text(const char *text, struct document_request *ret_request)
{
    struct document_request request = {.section = SECTION_SUMMARY};

    if (!take_fields(text, &request) || !fits_its_section(&request) || !is_its_text(text, &request))
        return STATUS_INVALID;
    *ret_request = request;
    return STATUS_OK;
}
