#include "fcgi/analytics_query.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "jobs/document_text.h"
#include "lib/base/name_table.h"
#include "lib/base/parse_number.h"

static const char *const names[ANALYTICS_PARAMETERS] = {
    [ANALYTICS_USER_ID] = "user_id",
    [ANALYTICS_TIME_RANGE] = "time_range",
    [ANALYTICS_START_DATE] = "start_date",
    [ANALYTICS_END_DATE] = "end_date",
    [ANALYTICS_NULL_AS_ZERO] = "null_as_zero",
    [ANALYTICS_ASSET] = "asset",
    [ANALYTICS_RISK_FREE_RATE] = "risk_free_rate",
    [ANALYTICS_GROUPING_TYPES] = "grouping_types",
    [ANALYTICS_INCLUDE_TIME_SERIES] = "include_time_series",
    [ANALYTICS_INCLUDE_GROUPED] = "include_grouped_analytics",
    [ANALYTICS_INTERVAL] = "time_series_interval",
    [ANALYTICS_MONTH] = "month",
    [ANALYTICS_SYMBOL] = "symbol",
    [ANALYTICS_TRADE_ID] = "trade_id",
    [ANALYTICS_TRADE_TYPE] = "trade_type",
};

#define PARAMETER_SLOTS 32
_Static_assert(2 * ANALYTICS_PARAMETERS <= PARAMETER_SLOTS, "short searches");

#define BIT(parameter) (1U << (parameter))
#define ALWAYS (BIT(ANALYTICS_USER_ID) | BIT(ANALYTICS_NULL_AS_ZERO))
#define RANGE (BIT(ANALYTICS_TIME_RANGE) | BIT(ANALYTICS_START_DATE) | BIT(ANALYTICS_END_DATE))

/* The endpoints over all trades take every option, whether it makes a difference to them or not: older clients send one
 * and the same set of options to each. */
static unsigned allowed_parameters(enum section section, enum asset route_asset)
{
    switch (section) {
    case SECTION_CALENDAR: return ALWAYS | BIT(ANALYTICS_ASSET) | BIT(ANALYTICS_MONTH);
    case SECTION_POSITIONS: return ALWAYS | BIT(ANALYTICS_ASSET);
    case SECTION_TRADE: return ALWAYS | BIT(ANALYTICS_TRADE_ID) | BIT(ANALYTICS_TRADE_TYPE);
    case SECTION_SYMBOL: return ALWAYS | RANGE | BIT(ANALYTICS_SYMBOL);
    case SECTION_PLAYBOOKS:
    case SECTION_PLAYBOOK: return ALWAYS | RANGE;
    default: break;
    }
    return route_asset == ASSET_ALL ? BIT(ANALYTICS_MONTH) - 1 : ALWAYS | RANGE;
}

/* --- reading ------------------------------------------------------------------------------------ */

struct reading {
    struct analytics_query *query;
    struct problem_fields *problems;
    enum section section;
    enum asset route_asset;
};

static struct name_table parameters_by_name;

static void fill_parameters_by_name(void)
{
    static struct name_slot slots[PARAMETER_SLOTS];

    name_table_fill(&parameters_by_name, slots, PARAMETER_SLOTS, ANALYTICS_PARAMETERS, names);
}

/* ANALYTICS_PARAMETERS: it is no parameter of this route, which is noted. */
static enum analytics_parameter find_parameter(const struct reading *r, const char *name)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, fill_parameters_by_name);
    int i = name_table_find(&parameters_by_name, name, strlen(name));
    if (i >= 0 && (allowed_parameters(r->section, r->route_asset) & BIT(i)))
        return (enum analytics_parameter)i;
    problem_add(r->problems, name, "is not a parameter of this request");
    return ANALYTICS_PARAMETERS;
}

static void put(const struct reading *r, enum analytics_parameter parameter, const char *value)
{
    if (r->query->values[parameter])
        problem_add(r->problems, names[parameter], "is given twice");
    else
        r->query->values[parameter] = value;
}

static const char *list_text(struct analytics_query *q, const struct json_value *list)
{
    size_t len = 0;

    for (const struct json_value *v = json_first_child(list); v; v = json_next_sibling(v)) {
        const char *text = json_get_string(v);
        if (!text || len + strlen(text) + 2 > sizeof(q->grouping_types))
            return NULL;
        len += (size_t)snprintf(q->grouping_types + len, sizeof(q->grouping_types) - len, "%s%s", len > 0 ? "," : "",
                                text);
    }
    q->grouping_types[len] = '\0';
    return q->grouping_types;
}

/* Exact to the eighth decimal, which is all there is of a rate, and in no locale's spelling. */
static const char *rate_text(struct analytics_query *q, const struct json_value *value)
{
    double rate;
    struct buf text = BUF_INIT;
    bool good = json_get_double(value, &rate) == STATUS_OK && rate > -1e9 && rate < 1e9;

    if (good)
        decimal_append(&text, (wide_int)(rate * 1e8 + (rate < 0 ? -0.5 : 0.5)), 8, 8);
    good = good && buf_status(&text) == STATUS_OK && text.len < sizeof(q->rate);
    if (good)
        memcpy(q->rate, text.data, text.len + 1);
    buf_release(&text);
    return good ? q->rate : NULL;
}

/* The text of a member's value; NULL: it is of the wrong type. */
static const char *value_text(struct analytics_query *q, enum analytics_parameter parameter,
                              const struct json_value *value)
{
    bool truth;

    switch (json_type_of(value)) {
    case JSON_STRING: return json_get_string(value);
    case JSON_BOOL: return json_get_bool(value, &truth) == STATUS_OK && truth ? "true" : "false";
    case JSON_NUMBER: return parameter == ANALYTICS_RISK_FREE_RATE ? rate_text(q, value) : NULL;
    case JSON_ARRAY: return parameter == ANALYTICS_GROUPING_TYPES ? list_text(q, value) : NULL;
    case JSON_NULL:
    case JSON_OBJECT: break;
    }
    return NULL;
}

static void read_member(const struct reading *r, const struct json_value *member)
{
    enum analytics_parameter parameter = find_parameter(r, json_child_name(member));
    const char *text;

    if (parameter == ANALYTICS_PARAMETERS || json_type_of(member) == JSON_NULL)
        return;
    text = value_text(r->query, parameter, member);
    if (text)
        put(r, parameter, text);
    else
        problem_add(r->problems, names[parameter], "has the wrong type");
}

/* {"custom": {"start_date": ..., "end_date": ...}} */
static void read_custom_range(const struct reading *r, const struct json_value *range)
{
    const struct json_value *custom = json_member(range, "custom");

    if (!custom || json_type_of(custom) != JSON_OBJECT || json_length(range) != 1) {
        problem_add(r->problems, "time_range", "must be a name or {\"custom\": {...}}");
        return;
    }
    put(r, ANALYTICS_TIME_RANGE, "custom");
    for (const struct json_value *v = json_first_child(custom); v; v = json_next_sibling(v)) {
        if (strcmp(json_child_name(v), "start_date") == 0 || strcmp(json_child_name(v), "end_date") == 0)
            read_member(r, v);
        else
            problem_add(r->problems, json_child_name(v), "is not a bound of a range");
    }
}

static void read_object(const struct reading *r, const struct json_value *object, bool inner)
{
    for (const struct json_value *v = json_first_child(object); v; v = json_next_sibling(v)) {
        bool is_object = json_type_of(v) == JSON_OBJECT;
        if (is_object && strcmp(json_child_name(v), "time_range") == 0)
            read_custom_range(r, v);
        else if (is_object && !inner && strcmp(json_child_name(v), "options") == 0)
            read_object(r, v, true);
        else
            read_member(r, v);
    }
}

enum status analytics_query_read(struct analytics_query *q, const struct request *request, enum section section,
                                 enum asset route_asset, struct problem_fields *problems, struct err *err)
{
    memset(q->values, 0, sizeof(q->values)); /* the rest needs no zeros */
    q->body = NULL;
    struct reading r = {q, problems, section, route_asset};
    enum status status;

    for (size_t i = 0; i < request->n_query; i++) {
        enum analytics_parameter parameter = find_parameter(&r, request_query_name(request, i));
        if (parameter != ANALYTICS_PARAMETERS)
            put(&r, parameter, request_query_value(request, i));
    }
    if (request->method != METHOD_POST || request->body.len == 0)
        return STATUS_OK;
    status = json_parse(request->body.data, request->body.len, &q->body, err);
    if (status != STATUS_OK)
        return status;
    if (json_type_of(json_root(q->body)) != JSON_OBJECT)
        return err_fail(err, STATUS_INVALID, "the body is not a JSON object");
    read_object(&r, json_root(q->body), false);
    return STATUS_OK;
}

void analytics_query_release(struct analytics_query *q)
{
    json_document_free(&q->body);
}

/* --- parsing ------------------------------------------------------------------------------------ */

/* A bound of a custom range: a trading day, or an instant, which stands for its trading day. */
struct bound {
    bool given, is_instant;
    struct date day; /* of an instant: UTC's */
    struct instant at;
};

static struct date utc_day(struct instant at)
{
    return (struct date){(int32_t)((at.us - (at.us < 0 ? US_PER_DAY - 1 : 0)) / US_PER_DAY)};
}

static struct bound parse_bound(const char *text, const char *field, struct problem_fields *problems)
{
    struct bound bound = {.given = text != NULL};

    if (!text || date_parse(text, &bound.day) == STATUS_OK)
        return bound;
    bound.is_instant = instant_parse(text, &bound.at) == STATUS_OK;
    if (!bound.is_instant)
        problem_add(problems, field, "must be a date, YYYY-MM-DD, or a time of RFC 3339");
    else
        bound.day = utc_day(bound.at);
    return bound;
}

/* Which day an instant is depends on the account, which is not known yet: up to two days from UTC's (14 hours of time zone,
 * 12 of a day that begins the evening before). */
#define DAYS_OFF_UTC 2

/* Of a day and an instant: whether they are swapped in every account. */
static bool are_swapped(const struct bound *start, const struct bound *end)
{
    if (!start->given || !end->given)
        return false;
    if (start->is_instant && end->is_instant)
        return start->at.us > end->at.us;
    int uncertain = start->is_instant || end->is_instant ? DAYS_OFF_UTC : 0;
    return start->day.days > end->day.days + uncertain;
}

static void parse_range(const struct analytics_query *q, struct document_request *request,
                        struct problem_fields *problems)
{
    struct bound start = parse_bound(q->values[ANALYTICS_START_DATE], "start_date", problems);
    struct bound end = parse_bound(q->values[ANALYTICS_END_DATE], "end_date", problems);
    const char *name = q->values[ANALYTICS_TIME_RANGE];
    struct range_request *range = &request->range;

    *range = (struct range_request){.name = RANGE_ALL_TIME};
    if (name && range_name_parse(name, &range->name) != STATUS_OK)
        problem_add(problems, "time_range", "must be today, 7d, 30d, 90d, 6m, 1y, ytd, all_time or custom");
    if (range->name != RANGE_CUSTOM) {
        if (start.given)
            problem_add(problems, "start_date", "goes with time_range=custom only");
        if (end.given)
            problem_add(problems, "end_date", "goes with time_range=custom only");
        return;
    }
    if (!start.given && !end.given)
        problem_add(problems, "start_date", "time_range=custom needs start_date, end_date or both");
    else if (are_swapped(&start, &end))
        problem_add(problems, "end_date", "lies before start_date");
    *range = (struct range_request){RANGE_CUSTOM, start.given, end.given, start.day, end.day};
    request->start_is_instant = start.is_instant;
    request->start_at = start.at;
    request->end_is_instant = end.is_instant;
    request->end_at = end.at;
}

/* "stock" and "option" are what older clients say. */
static void parse_asset(const char *text, enum asset *ret_asset, struct problem_fields *problems)
{
    static const struct {
        const char *text;
        enum asset asset;
    } known[] = {{"all", ASSET_ALL},
                 {"stocks", ASSET_STOCKS},
                 {"stock", ASSET_STOCKS},
                 {"options", ASSET_OPTIONS},
                 {"option", ASSET_OPTIONS}};
    if (!text)
        return;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].text, text) == 0) {
            *ret_asset = known[i].asset;
            return;
        }
    problem_add(problems, "asset", "must be all, stocks or options");
}

static bool parse_flag(const struct analytics_query *q, enum analytics_parameter parameter, bool otherwise,
                       struct problem_fields *problems)
{
    const char *text = q->values[parameter];

    if (!text)
        return otherwise;
    if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0)
        return true;
    if (strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
        problem_add(problems, names[parameter], "must be true or false");
    return false;
}

/* The bounds of the account's own setting. */
static void parse_rate(const char *text, struct document_request *request, struct problem_fields *problems)
{
    int64_t e8;

    if (!text)
        return;
    if (money_parse(text, &e8) != STATUS_OK || e8 <= -MONEY_SCALE || e8 >= 10000 * MONEY_SCALE) {
        problem_add(problems, names[ANALYTICS_RISK_FREE_RATE], "must be a fraction above -1, such as 0.02");
        return;
    }
    request->has_risk_free_rate = true;
    request->risk_free_rate_e8 = e8;
}

static unsigned parse_dimensions(const char *text, struct problem_fields *problems)
{
    unsigned dimensions = 0;
    enum dimension dimension;

    if (!text || !*text)
        return DIMENSION_BIT(DIMENSION_SYMBOL);
    for (;;) {
        size_t len = strcspn(text, ",");
        if (dimension_parse(text, len, &dimension) != STATUS_OK) {
            problem_add(problems, names[ANALYTICS_GROUPING_TYPES], "'%.*s' is not a dimension",
                        len > 40 ? 40 : (int)len, text);
            return 0;
        }
        dimensions |= DIMENSION_BIT(dimension);
        if (!text[len])
            return dimensions;
        text += len + 1;
    }
}

static void check_interval(const char *text, struct problem_fields *problems)
{
    if (text && strcmp(text, "daily") != 0 && strcmp(text, "weekly") != 0 && strcmp(text, "monthly") != 0)
        problem_add(problems, names[ANALYTICS_INTERVAL], "must be daily, weekly or monthly");
}

/* Trades begin in 1900 (metrics.md 1.4); the weeks around a month must have years of four digits. */
static void parse_month(const char *text, struct document_request *request, struct problem_fields *problems)
{
    char day[DATE_TEXT_SIZE];

    if (!text)
        return;
    (void)snprintf(day, sizeof(day), "%s-01", strlen(text) == strlen("YYYY-MM") ? text : "");
    if (date_parse(day, &request->month) == STATUS_OK && strcmp(day, "1900") >= 0 && strcmp(day, "9999") < 0)
        request->has_month = true;
    else
        problem_add(problems, names[ANALYTICS_MONTH], "must be a month, YYYY-MM, from 1900 on");
}

static void parse_symbol(const char *text, struct document_request *request, struct problem_fields *problems)
{
    if (text && *text && strlen(text) <= DOCUMENT_SYMBOL_MAX)
        request->symbol = text;
    else
        problem_add(problems, names[ANALYTICS_SYMBOL], "is needed: 1 to 64 bytes");
}

static void parse_trade(const struct analytics_query *q, struct document_request *request,
                        struct problem_fields *problems)
{
    const char *id = q->values[ANALYTICS_TRADE_ID], *type = q->values[ANALYTICS_TRADE_TYPE];

    if (!id || parse_int64(id, 1, INT64_MAX, &request->trade_id) != STATUS_OK)
        problem_add(problems, names[ANALYTICS_TRADE_ID], "is needed: a positive whole number");
    if (type && strcmp(type, "stock") == 0)
        request->asset = ASSET_STOCKS;
    else if (type && strcmp(type, "option") == 0)
        request->asset = ASSET_OPTIONS;
    else
        problem_add(problems, names[ANALYTICS_TRADE_TYPE], "is needed: stock or option");
}

void analytics_query_parse(const struct analytics_query *q, struct document_request *request,
                           struct problem_fields *problems)
{
    unsigned dimensions = parse_dimensions(q->values[ANALYTICS_GROUPING_TYPES], problems);

    parse_range(q, request, problems);
    parse_asset(q->values[ANALYTICS_ASSET], &request->asset, problems);
    request->null_as_zero = parse_flag(q, ANALYTICS_NULL_AS_ZERO, false, problems);
    parse_rate(q->values[ANALYTICS_RISK_FREE_RATE], request, problems);
    bool with_series = parse_flag(q, ANALYTICS_INCLUDE_TIME_SERIES, true, problems);
    bool with_groups = parse_flag(q, ANALYTICS_INCLUDE_GROUPED, false, problems);
    check_interval(q->values[ANALYTICS_INTERVAL], problems);
    if (request->section == SECTION_GROUPED || (request->section == SECTION_COMPREHENSIVE && with_groups))
        request->dimensions = dimensions;
    parse_month(q->values[ANALYTICS_MONTH], request, problems);
    if (request->section == SECTION_SYMBOL)
        parse_symbol(q->values[ANALYTICS_SYMBOL], request, problems);
    if (request->section == SECTION_TRADE)
        parse_trade(q, request, problems);
    request->without_time_series = request->section == SECTION_COMPREHENSIVE && !with_series;
}
