/* Reading playbooks, tags and their links from the views, as the programs' role. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/annotation_reader.h"
#include "tests/support/database.h"

#define ALL (ANNOTATION_PLAYBOOKS | ANNOTATION_RULES | ANNOTATION_TAGS)

static struct err err;
static struct annotations annotations;

static int clear(void **state)
{
    (void)state;
    annotations_release(&annotations);
    database_run("TRUNCATE public.stocks, public.options, public.playbook, public.trade_tags CASCADE");
    return 0;
}

static int restore_views(void **state)
{
    char command[512];

    (void)state;
    database_run("DROP VIEW IF EXISTS pnlcache.playbooks, pnlcache.trade_playbooks, pnlcache.trade_tags, "
                 "pnlcache.missed_trades");
    (void)snprintf(command, sizeof command, "psql -qX -v ON_ERROR_STOP=1 -f sql/40_journal_views.sql '%s'",
                   database_owner_url());
    assert_int_equal(system(command), 0); /* NOLINT: a fixed command of our own */
    return 0;
}

static enum status read_for(const char *user_id, unsigned wanted)
{
    struct db *db = database_open(database_role_url(), 60000, true);
    struct instant as_of;
    enum status status;

    assert_status(db_begin_snapshot(db, &as_of, &err), STATUS_OK, &err);
    status = annotation_read(db, user_id, wanted, &annotations, &err);
    if (status == STATUS_OK) /* and the connection can go on */
        assert_int_equal(database_integer(db, "SELECT 7::bigint"), 7);
    db_end(db);
    db_free(&db);
    return status;
}

static void add_journal(const char *user_id)
{
    database_run(
        "INSERT INTO public.stocks (user_id, id, symbol, trade_type, number_shares, entry_price, entry_date) VALUES "
        "('%s', 1, 'A', 'BUY', 1, 1, now()), ('%s', 2, 'A', 'BUY', 1, 1, now());"
        "INSERT INTO public.options (user_id, id, symbol, strategy_type, option_type, strike_price, "
        "expiration_date, number_of_contracts, entry_price, entry_date, status) VALUES "
        "('%s', 1, 'A', 'x', 'Put', 1, '2030-01-01', 1, 1, now(), 'open');",
        user_id, user_id, user_id);
    database_run("INSERT INTO public.playbook (user_id, id, name) VALUES ('%s', 7, 'Gap'), ('%s', 3, 'Fade');"
                 "INSERT INTO public.playbook_rules (user_id, id, playbook_id, title) VALUES ('%s', 1, 7, 'a'), ('%s', "
                 "2, 7, 'b');",
                 user_id, user_id, user_id, user_id);
    database_run(
        "INSERT INTO public.stock_trade_playbook (user_id, stock_trade_id, setup_id) VALUES ('%s', 2, 7), ('%s', 1, 3);"
        "INSERT INTO public.option_trade_playbook (user_id, option_trade_id, setup_id) VALUES ('%s', 1, 7);"
        "INSERT INTO public.stock_trade_rule_compliance (user_id, stock_trade_id, playbook_id, rule_id, is_followed) "
        "VALUES ('%s', 2, 7, 1, true), ('%s', 2, 7, 2, false);",
        user_id, user_id, user_id, user_id, user_id);
    database_run("INSERT INTO public.missed_trades (user_id, id, playbook_id, opportunity_date) VALUES "
                 "('%s', 1, 7, '2025-03-03T15:00:00Z');"
                 "INSERT INTO public.trade_tags (user_id, id, name) VALUES ('%s', 1, 'swing');"
                 "INSERT INTO public.option_trade_tags (user_id, option_trade_id, tag_id) VALUES ('%s', 1, 1);",
                 user_id, user_id, user_id);
}

static struct text_ref name_of(uint32_t id)
{
    return symbol_table_name(&annotations.names, id);
}

static void test_everything_of_one_user_is_read(void **state)
{
    const struct trade_link *links;

    (void)state;
    add_journal("o''clock");
    add_journal("somebody else");
    assert_status(read_for("o'clock", ALL), STATUS_OK, &err);
    assert_int_equal(annotations.n_playbooks, 2);
    assert_int_equal(annotations.playbooks[0].id, 3);
    assert_int_equal(annotations.playbooks[0].n_rules, 0);
    assert_int_equal(annotations.playbooks[1].n_rules, 2);
    assert_memory_equal(name_of(annotations.playbooks[1].name).bytes, "Gap", 3);
    assert_int_equal(annotations.playbook_links.n, 3);
    assert_int_equal(trade_links_of(&annotations.playbook_links, &(struct trade){.id = 2}, &links), 1);
    assert_int_equal(links->target, 1);
    assert_int_equal(links->n_recorded, 2);
    assert_int_equal(links->n_followed, 1);
    assert_int_equal(trade_links_of(&annotations.playbook_links, &(struct trade){.id = 1, .option = 1}, &links), 1);
    assert_int_equal(links->n_recorded, 0);
    assert_int_equal(annotations.tag_links.n, 1);
    assert_memory_equal(name_of(annotations.tag_links.links[0].target).bytes, "swing", 5);
    assert_int_equal(annotations.n_missed, 1);
    assert_true(annotations.missed[0].opportunity.us == INT64_C(1741014000000000));
}

static void test_only_the_wanted_kinds_are_read(void **state)
{
    (void)state;
    add_journal("alice");
    assert_status(read_for("alice", 0), STATUS_OK, &err);
    assert_int_equal(annotations.n_playbooks + annotations.tag_links.n, 0);
    assert_status(read_for("alice", ANNOTATION_TAGS), STATUS_OK, &err);
    assert_int_equal(annotations.n_playbooks, 0);
    assert_int_equal(annotations.tag_links.n, 1);
    annotations_release(&annotations);
    assert_status(read_for("alice", ANNOTATION_PLAYBOOKS), STATUS_OK, &err);
    assert_int_equal(annotations.playbook_links.n, 3);
    assert_int_equal(annotations.playbooks[1].n_rules, 0);
    assert_int_equal(annotations.n_missed + annotations.tag_links.n, 0);
}

/* --- many --------------------------------------------------------------------------------------- */

static struct annotated_user many[3];

/* Of ann, bob and cid. */
static void begin_many(const unsigned kinds[3])
{
    static const char *const ids[] = {"ann", "bob", "cid"};

    for (size_t i = 0; i < 3; i++) {
        add_journal(ids[i]);
        many[i] = (struct annotated_user){.user_id = ids[i], .kinds = kinds[i]};
        annotations_init(&many[i].annotations);
    }
}

static void read_many(size_t max_size)
{
    struct db *db = database_open(database_role_url(), 60000, true);
    struct instant as_of;

    assert_status(db_begin_snapshot(db, &as_of, &err), STATUS_OK, &err);
    assert_status(annotation_read_many(db, many, 3, max_size, &err), STATUS_OK, &err);
    assert_int_equal(database_integer(db, "SELECT 7::bigint"), 7);
    db_end(db);
    db_free(&db);
}

static void end_many(void)
{
    for (size_t i = 0; i < 3; i++)
        annotations_release(&many[i].annotations);
}

static void test_each_of_many_users_gets_what_it_wants(void **state)
{
    (void)state;
    begin_many((const unsigned[]){ANNOTATION_PLAYBOOKS, ANNOTATION_TAGS, ALL});
    database_run("UPDATE public.trade_tags SET name = user_id");
    read_many(SIZE_MAX);
    assert_int_equal(many[0].annotations.playbook_links.n, 3);
    assert_int_equal(many[0].annotations.playbooks[1].n_rules, 0);
    assert_int_equal(many[0].annotations.tag_links.n + many[0].annotations.n_missed, 0);
    assert_int_equal(many[1].annotations.n_playbooks, 0);
    assert_int_equal(many[1].annotations.tag_links.n, 1);
    assert_memory_equal(symbol_table_name(&many[1].annotations.names, 0).bytes, "bob", 3);
    assert_int_equal(many[2].annotations.playbooks[1].n_rules, 2);
    assert_int_equal(many[2].annotations.tag_links.n, 1);
    assert_int_equal(many[2].annotations.n_missed, 1);
    assert_false(many[0].left_out || many[1].left_out || many[2].left_out);
    end_many();
}

static void test_a_user_there_is_no_room_for_is_left_out_and_the_next_fits(void **state)
{
    (void)state;
    begin_many((const unsigned[]){ALL, ALL, ANNOTATION_TAGS});
    database_run("INSERT INTO public.trade_tags (user_id, id, name) VALUES ('bob', 2, repeat('x', 5000));"
                 "INSERT INTO public.stock_trade_tags (user_id, stock_trade_id, tag_id) VALUES ('bob', 1, 2)");
    read_many(4000);
    assert_false(many[0].left_out || many[2].left_out);
    assert_true(many[1].left_out);
    assert_int_equal(many[1].annotations.n_playbooks + many[1].annotations.tag_links.n, 0);
    assert_int_equal(many[0].annotations.n_missed + many[0].annotations.tag_links.n, 2);
    assert_int_equal(many[2].annotations.tag_links.n, 1);
    end_many();
    clear(state);
    begin_many((const unsigned[]){ALL, ALL, ALL});
    read_many(1);
    assert_true(many[0].left_out && many[1].left_out && many[2].left_out);
    end_many();
}

/* Views over foreign tables: other types, NULLs, names that are not trimmed, links to nothing. */
static void test_foreign_views_are_read_as_far_as_they_make_sense(void **state)
{
    (void)state;
    database_run(
        "DROP VIEW pnlcache.playbooks, pnlcache.trade_playbooks, pnlcache.trade_tags;"
        "CREATE VIEW pnlcache.playbooks AS SELECT 'a'::varchar AS user_id, v.* FROM (VALUES (9::smallint, "
        "' x '::varchar, NULL::integer), (NULL, 'nobody', 1), (2, NULL, 3)) AS v (id, name, rules);"
        "CREATE VIEW pnlcache.trade_playbooks AS SELECT 'a' AS user_id, v.* FROM (VALUES (false, 1, 9, NULL::int, "
        "NULL::int), (true, 1, 8, 1, 1), (NULL, 1, 9, 1, 1), (false, NULL, 9, 1, 1)) "
        "AS v (is_option, trade_id, playbook_id, rules_recorded, rules_followed);"
        "CREATE VIEW pnlcache.trade_tags AS SELECT 'a' AS user_id, v.* FROM (VALUES (false, 2, 1, 'c', E' \\t'), "
        "(false, 2, 1, 'c', NULL), (false, 1, 1, 'c', ' y')) AS v (is_option, trade_id, tag_id, category, name);"
        "GRANT SELECT ON ALL TABLES IN SCHEMA pnlcache TO pnlcache");
    assert_status(read_for("a", ALL), STATUS_OK, &err);
    assert_int_equal(annotations.n_playbooks, 2);
    assert_int_equal(name_of(annotations.playbooks[0].name).len, 0);
    assert_int_equal(name_of(annotations.playbooks[1].name).len, 1);
    assert_int_equal(annotations.playbook_links.n, 1);
    assert_int_equal(annotations.tag_links.n, 1);
    assert_int_equal(annotations.tag_links.links[0].trade_id, 1);
}

static void test_a_missing_view_is_an_error_that_names_it(void **state)
{
    (void)state;
    database_run("DROP VIEW pnlcache.trade_tags");
    assert_status(read_for("a", ANNOTATION_PLAYBOOKS), STATUS_OK, &err);
    assert_status(read_for("a", ANNOTATION_TAGS), STATUS_INTERNAL, &err);
    assert_non_null(strstr(err.text, "trade_tags"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_everything_of_one_user_is_read, clear),
        cmocka_unit_test_setup(test_only_the_wanted_kinds_are_read, clear),
        cmocka_unit_test_setup(test_each_of_many_users_gets_what_it_wants, clear),
        cmocka_unit_test_setup(test_a_user_there_is_no_room_for_is_left_out_and_the_next_fits, clear),
        cmocka_unit_test_setup_teardown(test_foreign_views_are_read_as_far_as_they_make_sense, clear, restore_views),
        cmocka_unit_test_setup_teardown(test_a_missing_view_is_an_error_that_names_it, clear, restore_views),
    };
    int failed;

    annotations_init(&annotations);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    annotations_release(&annotations);
    return failed;
}
