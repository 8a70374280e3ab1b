/* Playbooks (metrics.md 15) over example A of section 18. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/analytics/playbook_analytics.h"
#include "tests/support/journal_csv.h"
#include "tests/support/worked_examples.h"

static struct account account;
static struct journal journal;
static struct annotations annotations;
static struct buf text;

static void add_playbook(int64_t id, const char *name, int64_t n_rules)
{
    assert_int_equal(annotations_add_playbook(&annotations, id, (struct text_ref){name, strlen(name)}, n_rules),
                     STATUS_OK);
}

static void link_trade(int64_t trade_id, int64_t playbook_id, int64_t n_recorded, int64_t n_followed)
{
    struct trade_link link = {.trade_id = trade_id, .n_recorded = n_recorded, .n_followed = n_followed};

    assert_int_equal(annotations_add_playbook_link(&annotations, &link, playbook_id), STATUS_OK);
}

static void add_missed(int64_t playbook_id, const char *opportunity)
{
    assert_int_equal(annotations_add_missed(&annotations, playbook_id, instant_of(opportunity)), STATUS_OK);
}

/* Breakout has three rules: 1 keeps all, 6 lacks an answer, 10 has no answers, 9 breaks all. Reversal has no rules. */
static int set_up(void **state)
{
    (void)state;
    text = (struct buf)BUF_INIT;
    assert_int_equal(account_init_default(&account, NULL), STATUS_OK);
    annotations_init(&annotations);
    journal_init(&journal);
    journal_begin(&journal, &account, instant_of("2025-04-11T20:00:00Z"));
    journal_add_csv(&journal, false, example_a_csv);
    journal_finish(&journal);
    add_playbook(2, "Reversal \"2\"", 0);
    add_playbook(5, " Breakout ", 3);
    add_playbook(9, "Unused", 1);
    link_trade(10, 5, 0, 0);
    link_trade(9, 5, 3, 0);
    link_trade(1, 5, 3, 3);
    link_trade(6, 5, 2, 2);
    link_trade(6, 5, 2, 2);  /* twice */
    link_trade(11, 5, 3, 3); /* open */
    link_trade(12, 5, 3, 3); /* deleted */
    link_trade(2, 2, 1, 1);
    link_trade(3, 2, 0, 0);
    link_trade(1, 77, 3, 3);               /* no such playbook */
    add_missed(5, "2025-03-14T03:59:59Z"); /* the evening of the 13th in New York */
    add_missed(5, "2025-03-13T03:59:59Z");
    add_missed(2, "2025-04-11T21:00:00Z"); /* later today */
    add_missed(2, "2025-04-12T04:00:00Z"); /* tomorrow */
    add_missed(77, "2025-04-11T14:00:00Z");
    annotations_finish(&annotations);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    journal_release(&journal);
    annotations_release(&annotations);
    buf_release(&text);
    return 0;
}

static struct time_range range_of(enum range_name name)
{
    return time_range_resolve(&(struct range_request){.name = name}, journal.today);
}

static const char *written(enum range_name name, int64_t id)
{
    struct time_range range = range_of(name);
    struct json_writer w;

    buf_clear(&text);
    json_init(&w, &text);
    if (id == 0)
        assert_int_equal(playbook_analytics_write_all(&journal, &annotations, &range, &w, NULL), STATUS_OK);
    else
        assert_int_equal(playbook_analytics_write_one(&journal, &annotations, &range, id, &w, NULL), STATUS_OK);
    return text.data;
}

/* 249 + 249.2 + 179.4 - 191 = 486.6; 677.6 / 191 = 3.5476439...; 677.6 / 3. */
static const char breakout[] =
    "{\"playbook_id\":5,\"playbook_name\":\"Breakout\",\"total_trades\":4,\"stock_trades\":4,\"option_trades\":0,"
    "\"win_rate\":75,\"net_pnl\":486.6,\"missed_trades\":2,\"profit_factor\":3.547644,\"expectancy\":121.65,"
    "\"average_winner\":225.8667,\"average_loser\":-191,\"total_trades_with_compliance_data\":3,"
    "\"fully_compliant_trades\":1,\"partially_compliant_trades\":1,\"non_compliant_trades\":1,"
    "\"fully_compliant_win_rate\":100}";
static const char reversal[] =
    "{\"playbook_id\":2,\"playbook_name\":\"Reversal \\\"2\\\"\",\"total_trades\":2,\"stock_trades\":2,"
    "\"option_trades\":0,\"win_rate\":0,\"net_pnl\":-181.5,\"missed_trades\":1,\"profit_factor\":0,"
    "\"expectancy\":-90.75,\"average_winner\":null,\"average_loser\":-181.5,\"total_trades_with_compliance_data\":0,"
    "\"fully_compliant_trades\":0,\"partially_compliant_trades\":0,\"non_compliant_trades\":0,"
    "\"fully_compliant_win_rate\":null}";
static const char unused[] =
    "{\"playbook_id\":9,\"playbook_name\":\"Unused\",\"total_trades\":0,\"stock_trades\":0,\"option_trades\":0,"
    "\"win_rate\":null,\"net_pnl\":0,\"missed_trades\":0,\"profit_factor\":null,\"expectancy\":null,"
    "\"average_winner\":null,\"average_loser\":null,\"total_trades_with_compliance_data\":0,"
    "\"fully_compliant_trades\":0,\"partially_compliant_trades\":0,\"non_compliant_trades\":0,"
    "\"fully_compliant_win_rate\":null}";

static void test_playbooks_are_listed_by_id(void **state)
{
    struct buf expected = BUF_INIT;

    (void)state;
    buf_append_format(&expected, "[%s,%s,%s]", reversal, breakout, unused);
    assert_string_equal(written(RANGE_ALL_TIME, 0), expected.data);
    assert_string_equal(written(RANGE_ALL_TIME, 5), breakout);
    buf_release(&expected);
}

static void test_a_range_bounds_trades_missed_ones_and_compliance(void **state)
{
    (void)state;
    assert_string_equal(
        written(RANGE_30D, 5),
        "{\"playbook_id\":5,\"playbook_name\":\"Breakout\",\"total_trades\":1,\"stock_trades\":1,\"option_trades\":0,"
        "\"win_rate\":100,\"net_pnl\":179.4,\"missed_trades\":1,\"profit_factor\":null,\"expectancy\":179.4,"
        "\"average_winner\":179.4,\"average_loser\":null,\"total_trades_with_compliance_data\":0,"
        "\"fully_compliant_trades\":0,\"partially_compliant_trades\":0,\"non_compliant_trades\":0,"
        "\"fully_compliant_win_rate\":null}");
}

static void test_an_option_trade_of_the_same_id_is_another_trade(void **state)
{
    struct trade_link link = {.trade_id = 1, .option = true};

    (void)state;
    assert_int_equal(annotations_add_playbook_link(&annotations, &link, 9), STATUS_OK);
    annotations_finish(&annotations);
    assert_string_equal(written(RANGE_ALL_TIME, 9), unused);
}

static void test_an_unknown_playbook_is_not_found(void **state)
{
    struct time_range range = range_of(RANGE_ALL_TIME);
    struct json_writer w;
    struct err err = {.text = ""};

    (void)state;
    json_init(&w, &text);
    assert_int_equal(playbook_analytics_write_one(&journal, &annotations, &range, 6, &w, &err), STATUS_NOT_FOUND);
    assert_int_equal(text.len, 0);
    assert_string_not_equal(err.text, "");
}

#define PLAYBOOK_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAYBOOK_TEST(test_playbooks_are_listed_by_id),
        PLAYBOOK_TEST(test_a_range_bounds_trades_missed_ones_and_compliance),
        PLAYBOOK_TEST(test_an_option_trade_of_the_same_id_is_another_trade),
        PLAYBOOK_TEST(test_an_unknown_playbook_is_not_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
