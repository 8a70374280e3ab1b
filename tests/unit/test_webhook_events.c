#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/webhook_events.h"

static struct webhook_events events;
static struct webhook_problems problems;
static struct err err;

static int parse(const char *body)
{
    err.text[0] = '\0';
    return webhook_events_parse(body, strlen(body), &events, &problems, &err);
}

static void release(void)
{
    webhook_events_release(&events);
    webhook_problems_release(&problems);
}

static void test_parse_of_one_event_of_each_type(void **state)
{
    static const struct {
        const char *body, *user, *tags; /* tags: joined by blanks */
        bool erased;
    } cases[] = {
        {"{\"type\":\"trade.created\",\"data\":{\"user_id\":\"u\",\"asset\":\"stocks\"}}", "u", "stocks", false},
        {"{\"type\":\"trade.updated\",\"data\":{\"user_id\":\"u\",\"asset\":\"options\",\"trade_ids\":[1,2]}}", "u",
         "options", false},
        {"{\"type\":\"trade.deleted\",\"data\":{\"user_id\":\"u\"}}", "u", "stocks options", false},
        {"{\"type\":\"trades.imported\",\"data\":{\"user_id\":\"u\"},\"more\":{\"a\":[]}}", "u", "stocks options",
         false},
        {"{\"type\":\"notes.changed\",\"data\":{\"user_id\":\"u\",\"asset\":5}}", "u", "notes", false},
        {"{\"type\":\"playbook.changed\",\"data\":{\"user_id\":\"u\"}}", "u", "playbooks", false},
        {"{\"type\":\"notebook.changed\",\"data\":{\"user_id\":\"u\"}}", "u", "notebook", false},
        {"{\"type\":\"images.changed\",\"data\":{\"user_id\":\"u\"}}", "u", "images", false},
        {"{\"type\":\"calendar.synced\",\"data\":{\"user_id\":\"u\"}}", "u", "calendar", false},
        {"{\"type\":\"settings.changed\",\"data\":{\"user_id\":\"u\"}}", "u", "settings", false},
        {"{\"type\":\"prices.changed\",\"data\":{}}", "", "prices", false},
        {"{\"type\":\"prices.changed\",\"data\":{\"user_id\":7}}", "", "prices", false},
        {"{\"type\":\"data.changed\",\"data\":{\"tag\":\"tags\",\"user_id\":\"u\"}}", "u", "tags", false},
        {"{\"type\":\"data.changed\",\"data\":{\"tag\":\"prices\"}}", "", "prices", false},
        {"{\"type\":\"user.deleted\",\"data\":{\"user_id\":\"u\"}}", "u",
         "stocks options notes playbooks notebook images calendar settings tags", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf tags = BUF_INIT;

        if (parse(cases[i].body) != 202)
            fail_msg("case %zu: %s", i, err.text);
        assert_int_equal(events.accepted, 1);
        assert_int_equal(events.n, 1);
        for (size_t t = 0; t < events.changes[0].tags.n; t++) {
            buf_append_string(&tags, t > 0 ? " " : "");
            buf_append_string(&tags, events.changes[0].tags.tags[t].name);
        }
        assert_string_equal(events.changes[0].user_id, cases[i].user);
        assert_string_equal(tags.data, cases[i].tags);
        assert_int_equal(events.changes[0].erased, cases[i].erased);
        buf_release(&tags);
        release();
    }
}

static void test_parse_of_what_is_wrong_names_it(void **state)
{
    static const struct {
        const char *body;
        int http_status;
        const char *fields; /* joined by blanks; "": the error's text says it */
    } cases[] = {
        {"", 400, ""},
        {"{", 400, ""},
        {"7", 400, ""},
        {"[]", 400, ""},
        {"\"trade.created\"", 400, ""},
        {"{\"type\":\"trade.created\",\"type\":\"trade.created\",\"data\":{}}", 400, ""},
        {"{}", 400, "type data"},
        {"{\"type\":\"trade.created\"}", 400, "data"},
        {"{\"type\":5,\"data\":{}}", 400, "type"},
        {"{\"type\":\"trade.created\",\"data\":[]}", 400, "data"},
        {"{\"type\":\"trade.exploded\",\"data\":{\"user_id\":\"u\"}}", 422, "type"},
        {"{\"type\":\"trade.created\",\"data\":{}}", 422, "data.user_id"},
        {"{\"type\":\"trade.created\",\"data\":{\"user_id\":7}}", 422, "data.user_id"},
        {"{\"type\":\"trade.created\",\"data\":{\"user_id\":\"\\u0007\",\"asset\":\"bonds\"}}", 422,
         "data.asset data.user_id"},
        {"{\"type\":\"data.changed\",\"data\":{\"user_id\":\"u\"}}", 422, "data.tag"},
        {"{\"type\":\"data.changed\",\"data\":{\"tag\":\"erase\",\"user_id\":\"u\"}}", 422, "data.tag"},
        {"{\"type\":\"data.changed\",\"data\":{\"tag\":\"notes\"}}", 422, "data.user_id"},
        {"[7,{\"type\":\"prices.changed\",\"data\":{}},{\"type\":\"x\",\"data\":{}},{\"type\":\"notes.changed\",\"data\":{}}]",
         400, "[0] [2].type [3].data.user_id"},
        {"[{\"type\":\"x\",\"data\":{}}]", 422, "[0].type"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf fields = BUF_INIT;
        int http_status = parse(cases[i].body);

        buf_append_string(&fields, "");
        for (size_t k = 0; k < problems.n; k++) {
            buf_append_string(&fields, k > 0 ? " " : "");
            buf_append_string(&fields, problems.list[k].field);
            assert_true(problems.list[k].message[0] != '\0');
        }
        if (http_status != cases[i].http_status || strcmp(fields.len > 0 ? fields.data : "", cases[i].fields) != 0)
            fail_msg("case %zu: %d, fields '%s', %s", i, http_status, fields.len > 0 ? fields.data : "", err.text);
        assert_int_equal(problems.n == 0, err.text[0] != '\0');
        assert_null(events.changes);
        buf_release(&fields);
        release();
    }
}

static void test_parse_of_an_array_merges_by_user(void **state)
{
    (void)state;
    assert_int_equal(parse("[{\"type\":\"trade.created\",\"data\":{\"user_id\":\"b\",\"asset\":\"stocks\"}},"
                           "{\"type\":\"notes.changed\",\"data\":{\"user_id\":\"a\"}},"
                           "{\"type\":\"prices.changed\",\"data\":{\"user_id\":\"a\"}},"
                           "{\"type\":\"trade.deleted\",\"data\":{\"user_id\":\"b\"}},"
                           "{\"type\":\"user.deleted\",\"data\":{\"user_id\":\"a\"}}]"),
                     202);
    assert_int_equal(events.accepted, 5);
    assert_int_equal(events.n, 3);
    assert_string_equal(events.changes[0].user_id, "");
    assert_int_equal(events.changes[0].tags.n, 1);
    assert_string_equal(events.changes[1].user_id, "a");
    assert_int_equal(events.changes[1].tags.n, 9);
    assert_true(events.changes[1].erased);
    assert_string_equal(events.changes[2].user_id, "b");
    assert_int_equal(events.changes[2].tags.n, 2);
    assert_false(events.changes[2].erased);
    release();
}

static void test_parse_takes_a_thousand_events_and_no_more(void **state)
{
    for (size_t n = WEBHOOK_MAX_EVENTS; n <= WEBHOOK_MAX_EVENTS + 1; n++) {
        struct buf body = BUF_INIT;

        for (size_t i = 0; i < n; i++)
            buf_append_format(&body, "%c{\"type\":\"notes.changed\",\"data\":{\"user_id\":\"u%zu\"}}",
                              i == 0 ? '[' : ',', i % 10);
        buf_append_char(&body, ']');
        assert_int_equal(parse(body.data), n <= WEBHOOK_MAX_EVENTS ? 202 : 400);
        if (n <= WEBHOOK_MAX_EVENTS)
            assert_int_equal(events.n, 10);
        buf_release(&body);
        release();
    }
    (void)state;
}

/* Each event may have two problems; all are kept. */
static void test_parse_lists_every_problem_of_a_thousand_events(void **state)
{
    struct buf body = BUF_INIT;

    (void)state;
    for (size_t i = 0; i < WEBHOOK_MAX_EVENTS; i++)
        buf_append_format(&body, "%c{\"type\":\"trade.created\",\"data\":{\"asset\":\"\"}}", i == 0 ? '[' : ',');
    buf_append_char(&body, ']');
    assert_int_equal(parse(body.data), 422);
    assert_int_equal(problems.n, 2 * WEBHOOK_MAX_EVENTS);
    assert_string_equal(problems.list[2 * WEBHOOK_MAX_EVENTS - 1].field, "[999].data.user_id");
    buf_release(&body);
    release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_of_one_event_of_each_type),
        cmocka_unit_test(test_parse_of_what_is_wrong_names_it),
        cmocka_unit_test(test_parse_of_an_array_merges_by_user),
        cmocka_unit_test(test_parse_takes_a_thousand_events_and_no_more),
        cmocka_unit_test(test_parse_lists_every_problem_of_a_thousand_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
