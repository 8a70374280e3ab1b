#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <cmocka.h>

#include "jobs/document_text.h"
#include "tests/support/random_numbers.h"

static char *text_of(const struct document_request *request)
{
    struct buf text = BUF_INIT;
    size_t len;
    char *bytes;

    document_append_text(request, &text);
    bytes = buf_take_data(&text, &len);
    assert_non_null(bytes);
    return bytes;
}

/* Every field; what is not in use may differ. */
static void assert_same(const struct document_request *a, const struct document_request *b, const char *text)
{
    bool bounds = a->range.has_start == b->range.has_start && a->range.has_end == b->range.has_end &&
                  a->start_is_instant == b->start_is_instant && a->end_is_instant == b->end_is_instant &&
                  (!a->range.has_start || (a->start_is_instant ? a->start_at.us == b->start_at.us
                                                               : a->range.start.days == b->range.start.days)) &&
                  (!a->range.has_end ||
                   (a->end_is_instant ? a->end_at.us == b->end_at.us : a->range.end.days == b->range.end.days));

    if (a->section != b->section || a->asset != b->asset || a->range.name != b->range.name || !bounds ||
        a->dimensions != b->dimensions || a->without_time_series != b->without_time_series ||
        a->playbook_id != b->playbook_id || a->has_month != b->has_month || a->month.days != b->month.days ||
        a->trade_id != b->trade_id || a->text != b->text || a->null_as_zero != b->null_as_zero ||
        a->has_risk_free_rate != b->has_risk_free_rate || a->risk_free_rate_e8 != b->risk_free_rate_e8)
        fail_msg("read back as something else: %s", text);
    if (a->section == SECTION_SYMBOL && strcasecmp(a->symbol, b->symbol) != 0)
        fail_msg("another symbol: %s", text);
}

static void assert_round_trip(const struct document_request *request)
{
    struct document_request again;
    char *text = text_of(request);

    if (document_parse_text(text, &again) != STATUS_OK)
        fail_msg("not read back: %s", text);
    assert_same(request, &again, text);
    free(text);
}

static void assert_refused(const char *text)
{
    struct document_request request;

    if (document_parse_text(text, &request) != STATUS_INVALID)
        fail_msg("accepted: %s", text);
}

static const char plain[] =
    "core asset=combined range=30d from=* to=* dimensions= playbook=0 zero=1 series=1 text=0 trade=0 month=*";

/* Keys hash this text and wanted records hold it: another spelling would orphan both. */
static void test_document_append_text_spells_every_field(void **state)
{
    struct document_request request = {.section = SECTION_CORE, .range = {.name = RANGE_30D}, .null_as_zero = true};
    char *text = text_of(&request);

    (void)state;
    assert_string_equal(text, plain);
    free(text);
    request = (struct document_request){
        .section = SECTION_COMPREHENSIVE,
        .asset = ASSET_OPTIONS,
        .range = {RANGE_CUSTOM, true, true, {0}, {31}},
        .start_is_instant = true,
        .start_at = {-7},
        .dimensions = DIMENSION_BIT(DIMENSION_TAG) | DIMENSION_BIT(DIMENSION_HOUR),
        .has_risk_free_rate = true,
        .risk_free_rate_e8 = 2000000,
        .without_time_series = true,
    };
    text = text_of(&request);
    assert_string_equal(text, "comprehensive asset=options range=custom from=-7us to=1970-02-01 dimensions=:hour:tag "
                              "playbook=0 zero=0 rate=2000000 series=0 text=0 trade=0 month=*");
    free(text);
    assert_round_trip(&request);
}

static void test_document_parse_text_reads_every_section(void **state)
{
    const struct document_request requests[] = {
        {.section = SECTION_SUMMARY, .asset = ASSET_STOCKS, .null_as_zero = true},
        {.section = SECTION_CORE, .range = {RANGE_CUSTOM, true, false, {20000}, {0}}},
        {.section = SECTION_RISK, .asset = ASSET_OPTIONS, .has_risk_free_rate = true, .risk_free_rate_e8 = -99999999},
        {.section = SECTION_PERFORMANCE, .range = {RANGE_CUSTOM, false, true, {0}, {20000}}},
        {.section = SECTION_TIME_SERIES, .range = {.name = RANGE_YTD}},
        {.section = SECTION_GROUPED, .dimensions = (1U << DIMENSIONS) - 1},
        {.section = SECTION_PLAYBOOKS, .range = {.name = RANGE_1Y}},
        {.section = SECTION_PLAYBOOK, .playbook_id = INT64_MAX},
        {.section = SECTION_CALENDAR, .range = {.name = RANGE_ALL_TIME}, .has_month = true, .month = {31}},
        {.section = SECTION_POSITIONS, .asset = ASSET_STOCKS, .range = {.name = RANGE_ALL_TIME}},
        {.section = SECTION_TRADE, .asset = ASSET_OPTIONS, .range = {.name = RANGE_ALL_TIME}, .trade_id = 1},
        {.section = SECTION_SYMBOL, .symbol = "brk.b symbol= \xc3\xa9"},
        {.section = SECTION_TEXT, .asset = ASSET_STOCKS, .text = REPORT_TEXTS - 1},
        {.section = SECTION_COMPREHENSIVE, .without_time_series = true},
    };

    (void)state;
    assert_int_equal(sizeof requests / sizeof requests[0], SECTIONS);
    for (size_t i = 0; i < SECTIONS; i++) {
        assert_int_equal(requests[i].section, i);
        assert_round_trip(&requests[i]);
    }
}

static struct date random_day(void)
{
    return date_from_civil((int)(1900 + below(300)), (int)(1 + below(12)), (int)(1 + below(28)));
}

static void random_range(struct document_request *r)
{
    struct range_request *range = &r->range;
    bool instants = below(2) == 0;

    range->name = (enum range_name)below(RANGE_CUSTOM + 1);
    if (range->name != RANGE_CUSTOM)
        return;
    range->has_start = below(3) > 0;
    range->has_end = !range->has_start || below(2) == 0;
    range->start = random_day();
    range->end = date_add_days(range->start, (int)below(500));
    r->start_is_instant = range->has_start && instants;
    r->end_is_instant = range->has_end && instants;
    r->start_at.us = below(INT64_C(4000000000000000)) - INT64_C(2000000000000000);
    r->end_at.us = r->start_at.us + below(INT64_C(90000000000));
}

static enum asset random_asset(enum section section)
{
    switch (section) {
    case SECTION_SUMMARY:
    case SECTION_TRADE:
    case SECTION_TEXT: return (enum asset)(ASSET_STOCKS + below(2));
    case SECTION_PLAYBOOKS:
    case SECTION_PLAYBOOK:
    case SECTION_SYMBOL: return ASSET_ALL;
    default: return (enum asset)below(ASSET_OPTIONS + 1);
    }
}

static struct document_request random_request(char symbol[8])
{
    struct document_request r = {.section = (enum section)below(SECTIONS), .null_as_zero = below(2) == 0};
    bool over_trades = r.section == SECTION_CORE || r.section == SECTION_RISK || r.section == SECTION_PERFORMANCE ||
                       r.section == SECTION_TIME_SERIES || r.section == SECTION_GROUPED ||
                       r.section == SECTION_COMPREHENSIVE;

    r.asset = random_asset(r.section);
    r.range.name = RANGE_ALL_TIME;
    if (r.section != SECTION_CALENDAR && r.section != SECTION_POSITIONS && r.section != SECTION_TRADE)
        random_range(&r);
    r.has_risk_free_rate = over_trades && below(2) == 0;
    if (r.has_risk_free_rate)
        r.risk_free_rate_e8 = below(MONEY_SCALE * 100) - MONEY_SCALE + 1;
    if (r.section == SECTION_GROUPED)
        r.dimensions = (unsigned)(1 + below((1 << DIMENSIONS) - 1));
    if (r.section == SECTION_COMPREHENSIVE)
        r.dimensions = (unsigned)below(1 << DIMENSIONS);
    r.without_time_series = r.section == SECTION_COMPREHENSIVE && below(2) == 0;
    r.playbook_id = r.section == SECTION_PLAYBOOK ? 1 + below(1 << 30) : 0;
    r.trade_id = r.section == SECTION_TRADE ? 1 + below(1 << 30) : 0;
    r.text = r.section == SECTION_TEXT ? (size_t)below(REPORT_TEXTS) : 0;
    r.has_month = r.section == SECTION_CALENDAR && below(2) == 0;
    if (r.has_month)
        r.month = date_first_of_month(random_day());
    for (size_t i = 0; i < 7; i++)
        symbol[i] = (char)(' ' + below(95));
    r.symbol = symbol;
    return r;
}

static void test_document_parse_text_reads_random_requests(void **state)
{
    char symbol[8] = "";

    (void)state;
    random_state = 20261126;
    for (size_t i = 0; i < 20000; i++) {
        struct document_request request = random_request(symbol);

        assert_round_trip(&request);
    }
}

/* Whatever byte is damaged: refused, or the text of another request in its one spelling. */
static void test_document_parse_text_of_damaged_texts(void **state)
{
    char symbol[8] = "", *text, *again;
    struct document_request damaged;
    size_t accepted = 0;

    (void)state;
    random_state = 7;
    for (size_t i = 0; i < 20000; i++) {
        struct document_request request = random_request(symbol);

        text = text_of(&request);
        text[below((int64_t)strlen(text))] = (char)(1 + below(255));
        if (document_parse_text(text, &damaged) == STATUS_OK) {
            accepted++;
            again = text_of(&damaged);
            assert_string_equal(again, text);
            free(again);
        }
        free(text);
    }
    assert_in_range(accepted, 1, 10000);
}

static void test_document_parse_text_refuses_other_spellings(void **state)
{
    (void)state;
    assert_refused("");
    assert_refused("core");
    assert_refused(" core asset=combined range=30d from=* to=* dimensions= playbook=0 zero=0 series=1 text=0 trade=0 "
                   "month=*");
    assert_refused(
        "core asset=all range=30d from=* to=* dimensions= playbook=0 zero=0 series=1 text=0 trade=0 month=*");
    assert_refused(
        "core asset=combined range=30d from=* to=* dimensions= playbook=00 zero=0 series=1 text=0 trade=0 month=*");
    assert_refused(
        "core asset=combined range=30d from=* to=* dimensions= playbook=0 zero=0 series=1 text=0 trade=0 month=* ");
    assert_refused("grouped asset=combined range=30d from=* to=* dimensions=:tag:hour playbook=0 zero=0 series=1 "
                   "text=0 trade=0 month=*");
    assert_refused("grouped asset=combined range=30d from=* to=* dimensions=:Tag playbook=0 zero=0 series=1 text=0 "
                   "trade=0 month=*");
    assert_refused("symbol asset=combined range=30d from=* to=* dimensions= playbook=0 zero=0 series=1 text=0 trade=0 "
                   "month=* symbol=aapl");
    assert_refused("symbol asset=combined range=30d from=* to=* dimensions= playbook=0 zero=0 series=1 text=0 trade=0 "
                   "month=* symbol=");
    assert_refused("symbol asset=combined range=30d from=* to=* dimensions= playbook=0 zero=0 series=1 text=0 trade=0 "
                   "month=* symbol=A\xff");
}

/* Each has one field that its section does not have, or lacks one. */
static void test_document_parse_text_refuses_what_no_route_asks_for(void **state)
{
    const struct document_request bad[] = {
        {.section = SECTION_SUMMARY},
        {.section = SECTION_TRADE, .range = {.name = RANGE_ALL_TIME}, .trade_id = 1},
        {.section = SECTION_TRADE, .asset = ASSET_STOCKS, .range = {.name = RANGE_ALL_TIME}},
        {.section = SECTION_TRADE, .asset = ASSET_STOCKS, .range = {.name = RANGE_30D}, .trade_id = 1},
        {.section = SECTION_PLAYBOOKS, .asset = ASSET_STOCKS},
        {.section = SECTION_PLAYBOOK},
        {.section = SECTION_PLAYBOOK, .playbook_id = 1, .trade_id = 1},
        {.section = SECTION_CALENDAR, .range = {.name = RANGE_ALL_TIME}, .has_month = true, .month = {30}},
        {.section = SECTION_CORE, .has_month = true, .month = {31}},
        {.section = SECTION_CORE, .range = {.name = RANGE_CUSTOM}},
        {.section = SECTION_CORE, .range = {RANGE_CUSTOM, true, true, {11}, {10}}},
        {.section = SECTION_CORE, .range = {RANGE_7D, true, false, {10}, {0}}},
        {.section = SECTION_CORE, .dimensions = 1},
        {.section = SECTION_CORE, .without_time_series = true},
        {.section = SECTION_CORE, .text = 1},
        {.section = SECTION_GROUPED},
        {.section = SECTION_TEXT, .text = 1},
        {.section = SECTION_PLAYBOOKS, .has_risk_free_rate = true},
        {.section = SECTION_CORE, .has_risk_free_rate = true, .risk_free_rate_e8 = -MONEY_SCALE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *text = text_of(&bad[i]);

        assert_refused(text);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document_append_text_spells_every_field),
        cmocka_unit_test(test_document_parse_text_reads_every_section),
        cmocka_unit_test(test_document_parse_text_reads_random_requests),
        cmocka_unit_test(test_document_parse_text_of_damaged_texts),
        cmocka_unit_test(test_document_parse_text_refuses_other_spellings),
        cmocka_unit_test(test_document_parse_text_refuses_what_no_route_asks_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
