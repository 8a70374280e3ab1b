#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/dataset.h"
#include "jobs/dataset_value.h"
#include "tests/support/assert_status.h"

#define HEAD "-- name: x\n-- path: /api/x\n-- scope: shared\n-- ttl: 60\n-- tags: x\n"
#define USER "-- name: x\n-- path: /api/x\n-- scope: user\n-- ttl: 60\n-- tags: x\n"
#define PARAM(line) HEAD "-- params:\n--   " line "\n\nSELECT :a"

static enum status parse(const char *text, struct dataset **ret_dataset, struct err *err)
{
    return dataset_parse("x.sql", text, strlen(text), ret_dataset, err);
}

#define LIMIT "-- params:\n--   limit integer 1..5|all = 3\n\nSELECT 1 AS id WHERE :limit > 0"
#define CURSOR "-- cursor: id integer\n"

static const struct {
    const char *text, *error;
} bad_files[] = {
    {"", "x.sql:0: 'name' is missing"},
    {"SELECT 1", "x.sql:0: 'name' is missing"},
    {HEAD "\n", "x.sql:6: there is no statement"},
    {HEAD "-- tll: 5\n\nSELECT 1",
     "x.sql:6: unknown header 'tll': expected name, path, scope, key, ttl, tags, depends-on, "
     "params, refresh, returns, collection, cursor, compute, methods or valid-until"},
    {HEAD "-- ttl: 5\n\nSELECT 1", "x.sql:6: 'ttl' stands there twice"},
    {HEAD "-- valid-until: now(); SELECT 2\n\nSELECT 1", "x.sql:6: more than one statement"},
    {HEAD "-- valid-until: (now()\n\nSELECT 1", "x.sql:6: valid-until: expected one expression"},
    {HEAD "-- valid-until: -- never\n\nSELECT 1", "x.sql:6: valid-until: expected one expression"},
    {HEAD "-- valid-until: :b\n\nSELECT 1", "x.sql:6: ':b' names no parameter"},
    {HEAD "-- valid-until: :user\n\nSELECT 1", "x.sql:6: ':user' in a shared dataset"},
    {HEAD "-- valid-until: :a\n-- params:\n--   a date\n\nSELECT 1", "x.sql:9: parameter 'a' is declared and not used"},
    {PARAM("limit integer 1..5|all"), "x.sql:7: parameter 'limit': one that may be all has a default"},
    {PARAM("a integer 1..5|all = 3"), "x.sql:7: parameter 'a': '1..5|all' is not understood"},
    {PARAM("limit integer 1..5|any = 3"), "x.sql:7: parameter 'limit': '1..5|any' is not understood"},
    {PARAM("limit decimal 1..5|all = 3"), "x.sql:7: parameter 'limit': '1..5|all' is not understood"},
    {HEAD "-- collection: x\n\nSELECT 1",
     "x.sql:6: collection: there is no parameter 'limit integer MIN..MAX|all = DEFAULT'"},
    {HEAD "-- collection: x:{U}\n" LIMIT, "x.sql:6: collection: a shared dataset has no {U}"},
    {USER "-- collection: x\n" LIMIT, "x.sql:6: collection: {U} is missing"},
    {USER "-- collection: x:{U}:$H\n" LIMIT,
     "x.sql:6: collection: expected letters, digits, ':', '_', '-', '.' and {U}"},
    {USER "-- collection: lock:{U}\n" LIMIT, "x.sql:6: key 'lock:{U}': this family belongs to something else"},
    {HEAD "-- collection: x\n-- params:\n--   a date required\n--   limit integer 1..5|all = 3\n\nSELECT :a, :limit",
     "x.sql:6: collection: parameter 'a' is required"},
    {HEAD CURSOR "\nSELECT 1", "x.sql:6: cursor: there is no parameter 'limit integer MIN..MAX = DEFAULT'"},
    {HEAD CURSOR LIMIT, "x.sql:9: parameter 'after_id' is declared and not used"},
    {HEAD "-- returns: row\n" CURSOR LIMIT, "x.sql:7: cursor: of a single row"},
    {HEAD "-- cursor: id\n",
     "x.sql:6: parameter 'after_id': type '': expected integer, decimal, date, time, text, choice, boolean or symbol"},
    {HEAD "-- cursor: id integer 1..5\n",
     "x.sql:6: cursor 'id': expected a column and a type without bounds, choices or list"},
    {HEAD "-- cursor: id list 3 integer\n",
     "x.sql:6: cursor 'id': expected a column and a type without bounds, choices or list"},
    {HEAD "-- cursor: id choice\n",
     "x.sql:6: cursor 'id': expected a column and a type without bounds, choices or list"},
    {HEAD "-- cursor: a date, b date, c date, d date, e date, f date, g date\n",
     "x.sql:6: cursor 'g': more than 6 columns"},
    {HEAD "-- cursor: id integer, id integer\n", "x.sql:6: parameter 'after_id': there are two"},
    {HEAD "-- cursor: a-b integer\n", "x.sql:6: cursor 'a-b': expected columns with their types, by commas"},
    {HEAD CURSOR "-- params:\n--   cursor text\n--   limit integer 1..5 = 3\n\nSELECT :cursor, :limit",
     "x.sql:6: cursor: there is a parameter of this name"},
    {HEAD "-- refresh:\n\nSELECT 1", "x.sql:6: 'refresh' has no value"},
    {HEAD "-- hello\n\nSELECT 1", "x.sql:6: 'hello': expected '-- word: value'; an empty line ends the header"},
    {"-- name: X\n", "x.sql:1: name 'X': expected a letter, then letters, digits, '_', '-', in lower case, at most 48"},
    {"-- path: /x\n", "x.sql:1: path '/x': expected /api/ and segments without an empty one"},
    {"-- path: /api/a//b\n", "x.sql:1: path '/api/a//b': expected /api/ and segments without an empty one"},
    {"-- path: /api/a b\n",
     "x.sql:1: path '/api/a b': expected letters, digits, '_', '-', '.' and {parameter} segments"},
    {"-- path: /api/a,/api/b,/api/c,/api/d,/api/e\n", "x.sql:1: path: more than 4"},
    {"-- scope: all\n", "x.sql:1: scope 'all': expected user or shared"},
    {"-- ttl: 0\n", "x.sql:1: ttl '0': expected seconds, 1 to 604800"},
    {"-- refresh: daily\n", "x.sql:1: refresh 'daily': expected none, market or reference"},
    {"-- returns: rows\n", "x.sql:1: returns 'rows': expected list or row"},
    {"-- tags: a, B\n", "x.sql:1: tag 'B': expected 1 to 31 of a-z 0-9 _ -"},
    {"-- tags: a,,b\n", "x.sql:1: tag '': expected 1 to 31 of a-z 0-9 _ -"},
    {"-- tags: a,b,c,d,e,f,g,h,i,j\n", "x.sql:1: tags: more than 9"},
    {"-- depends-on: A\n", "x.sql:1: depends-on 'A': expected names of datasets"},
    {"-- name: x\n-- path: /api/x\n-- scope: shared\n-- ttl: 60\n\nSELECT 1",
     "x.sql:4: 'tags' or 'depends-on' is missing: nothing would invalidate it"},
    {HEAD "-- params: a\n",
     "x.sql:6: params: expected one line for each below, as in '--   limit integer 1..500 = 100'"},
    {PARAM("a number"),
     "x.sql:7: parameter 'a': type 'number': expected integer, decimal, date, time, text, choice, boolean or symbol"},
    {PARAM("a"),
     "x.sql:7: parameter 'a': type '': expected integer, decimal, date, time, text, choice, boolean or symbol"},
    {PARAM("a integer 9..1"), "x.sql:7: parameter 'a': '9..1' is not understood"},
    {PARAM("a date 1..2"), "x.sql:7: parameter 'a': '1..2' is not understood"},
    {PARAM("a choice"), "x.sql:7: parameter 'a': expected the choices, as in 'choice asc|desc'"},
    {PARAM("a choice = b"), "x.sql:7: parameter 'a': expected the choices, as in 'choice asc|desc'"},
    {PARAM("a list integer"), "x.sql:7: parameter 'a': expected 'list N TYPE', N from 1 to 500"},
    {PARAM("a integer 1..5 = 6"), "x.sql:7: parameter 'a': its default '6' must be a whole number from 1 to 5"},
    {PARAM("a integer required = 6"), "x.sql:7: parameter 'a': required, so it has no default"},
    {PARAM("user integer"), "x.sql:7: parameter 'user': this name is taken: the user comes from the token"},
    {PARAM("a-b integer"), "x.sql:7: parameter 'a-b': expected a letter, then letters, digits and '_', in lower case"},
    {PARAM("a date\n--   a date"), "x.sql:8: parameter 'a': there are two"},
    {PARAM("a date\n--   b date"), "x.sql:9: parameter 'b' is declared and not used"},
    {"-- name: x\n-- path: /api/{y}\n-- scope: shared\n-- ttl: 60\n-- tags: x\n\nSELECT 1",
     "x.sql:2: path '/api/{y}': '{y}' names no parameter"},
    {"-- name: x\n-- path: /api/{a}\n-- scope: shared\n-- ttl: 60\n-- tags: x\n-- params:\n--   a date = 2025-01-01\n\nSELECT :a",
     "x.sql:2: path '/api/{a}': parameter 'a' may be no list and have no default"},
    {"-- name: x\n-- path: /api/{a}, /api/x\n-- scope: shared\n-- ttl: 60\n-- tags: x\n-- params:\n--   a date\n\nSELECT :a",
     "x.sql:2: path '/api/x': it has not the parameters of the other paths"},
    {HEAD "-- key: x:{U}\n\nSELECT 1", "x.sql:6: key: a shared dataset has no {U}"},
    {USER "-- key: x:$H\n\nSELECT :user", "x.sql:6: key: {U} is missing"},
    {HEAD "-- key: x y\n\nSELECT 1",
     "x.sql:6: key: expected letters, digits, ':', '_', '-', '.', {U}, $parameter and $H"},
    {HEAD "-- key: epoch:shared\n\nSELECT 1", "x.sql:6: key 'epoch:shared': this family belongs to something else"},
    {HEAD "-- key: x\n-- params:\n--   a date\n\nSELECT :a",
     "x.sql:6: key: it says neither $H nor $a: different answers would share it"},
    {HEAD "-- key: x:$a\n-- params:\n--   a date\n\nSELECT :a", "x.sql:6: key: '$a' is no required parameter"},
    {"-- tags: a:b\n", "x.sql:1: tag 'a:b': expected NAME or NAME:$PARAMETER"},
    {"-- tags: a:$\n", "x.sql:1: tag 'a:$': expected NAME or NAME:$PARAMETER"},
    {"-- name: x\n-- path: /api/x\n-- scope: shared\n-- ttl: 60\n-- tags: x:$a\n\nSELECT 1",
     "x.sql:5: tag 'x:$a': 'a' must be a required integer, date, text, choice or symbol"},
    {"-- name: x\n-- path: /api/x\n-- scope: shared\n-- ttl: 60\n-- tags: x:$a\n-- params:\n--   a integer\n\nSELECT :a",
     "x.sql:5: tag 'x:$a': 'a' must be a required integer, date, text, choice or symbol"},
    {"-- name: x\n-- path: /api/x\n-- scope: shared\n-- ttl: 60\n-- tags: x:$a\n-- params:\n--   a time required\n\nSELECT :a",
     "x.sql:5: tag 'x:$a': 'a' must be a required integer, date, text, choice or symbol"},
    {HEAD "-- methods: put\n\nSELECT 1", "x.sql:6: methods 'put': expected get, or get, post"},
    {HEAD "-- compute: magic\n\nSELECT 1", "x.sql:6: compute 'magic': expected indicators"},
    {HEAD "-- compute: indicators\n-- valid-until: now()\n\nSELECT 1", "x.sql:6: compute: indicators has no valid-until"},
    {HEAD "-- compute: indicators\n-- returns: row\n\nSELECT 1", "x.sql:6: compute: indicators is a list"},
    {HEAD "-- compute: indicators\n-- params:\n--   days integer 1..9 = 1\n--   sma integer 0..9 = 1\n\nSELECT 1",
     "x.sql:6: compute: indicators needs a parameter 'sma integer 1..MAX' with a default"},
    {HEAD "-- compute: indicators\n-- params:\n--   days integer 1..9\n\nSELECT 1",
     "x.sql:6: compute: indicators needs a parameter 'days integer 1..MAX' with a default"},
    {HEAD "\nDELETE FROM x", "x.sql:6: expected one SELECT"},
    {HEAD "\nSELECT 1;\nSELECT 2", "x.sql:8: more than one statement"},
    {HEAD "\nSELECT 1) AS r; --", "x.sql:7: ')' without '('"},
    {HEAD "\nSELECT (1", "x.sql:6: '(' without ')'"},
    {HEAD "\nSELECT 'it", "x.sql:7: a text that begins with ' does not end"},
    {HEAD "\nSELECT $a$ it $b$", "x.sql:7: a text that begins with $a$ does not end"},
    {HEAD "\nSELECT /* /* */ 1", "x.sql:7: a comment does not end"},
    {HEAD "\nSELECT $1", "x.sql:7: '$': parameters are written as :name"},
    {HEAD "\nSELECT\n:nobody", "x.sql:8: ':nobody' names no parameter"},
    {HEAD "\nSELECT :user", "x.sql:7: ':user' in a shared dataset"},
    {USER "\nSELECT 1",
     "x.sql:6: scope is user, but the statement does not use :user: everybody would see the same rows"},
    {USER "\nSELECT ':user' /* :user */ -- :user", "x.sql:6: scope is user, but the statement does not use :user: "
                                                   "everybody would see the same rows"},
};

static void test_parse_of_a_bad_file_names_line_and_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
        struct dataset *d = NULL;
        struct err err = {""};
        enum status status = parse(bad_files[i].text, &d, &err);
        if (status != STATUS_INVALID || strcmp(err.text, bad_files[i].error) != 0)
            fail_msg("case %zu: %s, %s\nexpected %s", i, status_name(status), err.text, bad_files[i].error);
        assert_null(d);
    }
}

static void test_parse_of_a_whole_header_keeps_all_of_it(void **state)
{
    struct dataset *d = NULL;
    struct err err = {""};
    struct buf text = BUF_INIT;

    (void)state;
    OK(parse(
        "-- name: a-b_1\r\n-- path: /api/v2/{id}, /api/{id}/x\n--scope: user\n-- ttl: 604800\n-- tags: stocks, @guides\n"
        "-- depends-on: c,d\n-- key: f:{U}:$id:$H\n-- refresh: reference\n-- returns: row\n-- params:\n"
        "--   id integer 1..9\n--   l  list 3 symbol = b,A\n--   d decimal -1.5..2 = 0.50\n\n-- a comment with :nothing;\n"
        "WITH q AS (SELECT ':id', E'\\':id', \"a:id\", $$ :id; $$, x::text, :user, :l, :d FROM t) SELECT :id FROM q WHERE :id > 1; -- end\n",
        &d, &err));
    assert_string_equal(d->name, "a-b_1");
    assert_int_equal(d->n_paths, 2);
    assert_string_equal(d->paths[1], "/api/{id}/x");
    assert_false(d->shared);
    assert_true(d->one_row);
    assert_int_equal(d->ttl_s, 604800);
    assert_int_equal(d->refresh, REFRESH_REFERENCE);
    assert_int_equal(d->n_own_tags, 2);
    assert_string_equal(d->own_tags[1].name, "guides");
    assert_true(d->own_tags[1].shared);
    assert_string_equal(d->depends[1], "d");
    assert_true(d->params[0].required && d->params[0].in_path);
    assert_string_equal(d->params[1].fallback, "A,B");
    for (size_t i = 0; i < d->n_params; i++) {
        dataset_param_describe(&d->params[i], &text);
        buf_append_char(&text, ';');
    }
    assert_string_equal(text.data, "integer 1..9 required;list 3 symbol = A,B;decimal -1.5..2 = 0.5;");
    assert_non_null(strstr(
        d->sql, "SELECT ':id', E'\\':id', \"a:id\", $$ :id; $$, x::text, ($1::text), ($2::text[]), ($3::numeric) "
                "FROM t) SELECT ($4::bigint) FROM q WHERE ($4::bigint) > 1 -- end\n\n) AS r LIMIT 1"));
    buf_release(&text);
    dataset_free(&d);
}

static void test_values_have_one_spelling(void **state)
{
    static const struct {
        const char *param, *value, *canonical; /* NULL: refused */
    } cases[] = {
        {"a integer 1..500", "007", "7"},
        {"a integer 1..500", "501", NULL},
        {"a integer", "+1", NULL},
        {"a integer", "-0", "0"},
        {"a decimal", "1.50", "1.5"},
        {"a decimal", "1e3", NULL},
        {"a decimal 0..1", "1.00000001", NULL},
        {"a date", "2024-02-29", "2024-02-29"},
        {"a date", "2025-02-29", NULL},
        {"a date", "2025-2-1", NULL},
        {"a text 3", "abc", "abc"},
        {"a text 3", "abcd", NULL},
        {"a text", "", NULL},
        {"a text", "a\tb", NULL},
        {"a text", "\xff", NULL},
        {"a choice Up|down", "uP", "Up"},
        {"a choice Up|down", "Up|down", NULL},
        {"a choice a|b", "", NULL},
        {"a boolean", "1", "true"},
        {"a boolean", "TRUE", NULL},
        {"a symbol", "brk.b", "BRK.B"},
        {"a symbol", "a b", NULL},
        {"a symbol", "", NULL},
        {"a list 3 symbol", "b,a,B", "A,B"},
        {"a list 2 integer", "1,2,3", NULL},
        {"a list 2 integer", "1,", NULL},
        {"a list 3 integer", "3,03,1", "1,3"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dataset *d = NULL;
        struct buf file = BUF_INIT, out = BUF_INIT;
        struct err err = {""};
        buf_append_format(&file, HEAD "-- params:\n--   %s\n\nSELECT :a", cases[i].param);
        OK(parse(file.data, &d, &err));
        enum status status = dataset_value_parse(&d->params[0], cases[i].value, &out, &err);
        if (status != (cases[i].canonical ? STATUS_OK : STATUS_INVALID))
            fail_msg("case %zu: %s", i, status_name(status));
        if (cases[i].canonical)
            assert_string_equal(out.data, cases[i].canonical);
        buf_release(&file);
        buf_release(&out);
        dataset_free(&d);
    }
}

static void test_request_is_canonical_and_complete(void **state)
{
    struct dataset_request r = {.dataset = NULL};
    struct dataset *d = NULL;
    struct buf text = BUF_INIT;
    const char *missing;
    struct err err = {""};

    (void)state;
    OK(parse(HEAD "-- params:\n--   a symbol required\n--   b integer 1..9 = 5\n--   c date\n\nSELECT :a, :b, :c", &d,
             &err));
    dataset_request_begin(&r, d);
    assert_int_equal(dataset_request_complete(&r, &missing, &err), STATUS_INVALID);
    assert_string_equal(missing, "a");
    assert_string_equal(err.text, "is needed");
    assert_int_equal(dataset_request_set(&r, "d", "1", false, &err), STATUS_NOT_FOUND);
    assert_int_equal(dataset_request_set(&r, "b", "10", false, &err), STATUS_INVALID);
    OK(dataset_request_set(&r, "a", "acme", false, &err));
    OK(dataset_request_complete(&r, &missing, &err));
    dataset_request_append_text(&r, &text);
    assert_string_equal(text.data, "x\na=ACME\nb=5\n");
    assert_null(dataset_request_value(&r, 2));
    buf_release(&text);
    dataset_request_release(&r);
    dataset_free(&d);
}

/* A list of 1, 2, 3 ... by the columns id and name, with a filter. */
static struct dataset *paged(void)
{
    struct dataset *d = NULL;
    struct err err = {""};

    OK(parse(
        USER
        "-- collection: x:{U}:all\n-- cursor: at time, name text, id integer\n-- params:\n--   kind text\n"
        "--   limit integer 1..5|all = 3\n--   offset integer 0..9 = 0\n\n"
        "SELECT 1 WHERE :user <> '' AND :after_at > now() AND :after_name > '' AND :after_id > 1 AND :kind IS NULL "
        "LIMIT :limit OFFSET :offset",
        &d, &err));
    return d;
}

static enum status complete(struct dataset_request *r, const struct dataset *d, const char *const *pairs,
                            struct err *err)
{
    const char *field;

    dataset_request_begin(r, d);
    for (; pairs[0] != NULL; pairs += 2)
        assert_int_equal(dataset_request_set(r, pairs[0], pairs[1], false, err), STATUS_OK);
    return dataset_request_complete(r, &field, err);
}

static void test_cursor_brings_the_values_of_its_row_back(void **state)
{
    static const char row[] = "[\"2025-01-02T15:00:00.5+00:00\", \"a\\n=\\u00e4\", null]";
    struct dataset_request r = {.dataset = NULL};
    struct dataset *d = paged();
    struct buf cursor = BUF_INIT, text = BUF_INIT;
    struct err err = {""};

    (void)state;
    OK(complete(&r, d, (const char *[]){"limit", "2", NULL}, &err));
    dataset_cursor_append(&r, row, sizeof row - 1, &cursor);
    OK(complete(&r, d, (const char *[]){"cursor", cursor.data, "limit", "all", NULL}, &err));
    assert_false(dataset_request_is_collection(&r));
    dataset_request_append_text(&r, &text);
    assert_string_equal(text.data,
                        "x\nafter_at=2025-01-02T15%3A00%3A00.500000Z\nafter_name=a%0A%3D%C3%A4\nlimit=all\noffset=0\n");
    buf_release(&text);
    buf_release(&cursor);
    dataset_request_release(&r);
    dataset_free(&d);
}

static void test_cursor_of_other_filters_or_values_is_refused(void **state)
{
    static const char *const rows[] = {"[\"2025-01-02\", \"a\", \"x\"]",
                                       "[\"2025-01-02\", \"a\", 1]",
                                       "[\"2025-01-02\", \"a\"]",
                                       "{}",
                                       "[[], \"a\", null]",
                                       "[\"2025-01-02\", \"a\", null",
                                       "null"};
    static const char good[] = "[null, null, \"7\"]";
    struct dataset_request r = {.dataset = NULL};
    struct dataset *d = paged();
    struct buf cursor = BUF_INIT;
    struct err err = {""};

    (void)state;
    OK(complete(&r, d, (const char *[]){NULL}, &err));
    dataset_cursor_append(&r, good, sizeof good - 1, &cursor);
    OK(complete(&r, d, (const char *[]){"cursor", cursor.data, NULL}, &err));
    assert_int_equal(complete(&r, d, (const char *[]){"cursor", cursor.data, "kind", "a", NULL}, &err), STATUS_INVALID);
    assert_int_equal(complete(&r, d, (const char *[]){"cursor", cursor.data, "offset", "1", NULL}, &err),
                     STATUS_INVALID);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        buf_clear(&cursor);
        OK(complete(&r, d, (const char *[]){NULL}, &err));
        dataset_cursor_append(&r, rows[i], strlen(rows[i]), &cursor);
        if (complete(&r, d, (const char *[]){"cursor", cursor.data, NULL}, &err) != STATUS_INVALID)
            fail_msg("case %zu was taken: %s", i, rows[i]);
    }
    buf_release(&cursor);
    dataset_request_release(&r);
    dataset_free(&d);
}

static void test_collection_is_the_list_without_anything_else(void **state)
{
    struct dataset_request r = {.dataset = NULL};
    struct dataset *d = paged();
    struct err err = {""};

    (void)state;
    OK(dataset_request_begin_collection(&r, d, &err));
    assert_true(dataset_request_is_collection(&r));
    OK(complete(&r, d, (const char *[]){"limit", "All", "offset", "00", NULL}, &err));
    assert_true(dataset_request_is_collection(&r));
    OK(complete(&r, d, (const char *[]){"limit", "all", "kind", "a", NULL}, &err));
    assert_false(dataset_request_is_collection(&r));
    OK(complete(&r, d, (const char *[]){"limit", "5", NULL}, &err));
    assert_false(dataset_request_is_collection(&r));
    dataset_request_release(&r);
    dataset_free(&d);
}

static void test_set_takes_a_parameter_once_and_one_of_the_path_only_when_told(void **state)
{
    struct dataset_request r = {.dataset = NULL};
    struct dataset *d = paged(), *with_path = NULL;
    struct err err = {""};

    (void)state;
    dataset_request_begin(&r, d);
    OK(dataset_request_set(&r, "limit", "2", false, &err));
    assert_int_equal(dataset_request_set(&r, "limit", "2", false, &err), STATUS_CONFLICT);
    assert_string_equal(err.text, "is given twice");
    assert_string_equal(dataset_request_value(&r, 4), "2");
    OK(dataset_request_set(&r, "cursor", "x", false, &err));
    assert_int_equal(dataset_request_set(&r, "cursor", "x", false, &err), STATUS_CONFLICT);
    assert_int_equal(dataset_request_set(&r, "after_id", "1", true, &err), STATUS_NOT_FOUND);
    assert_string_equal(dataset_request_value(&r, 5), "0"); /* the default */
    OK(parse(
        "-- name: x\n-- path: /api/{a}/x\n-- scope: shared\n-- ttl: 60\n-- tags: x\n-- params:\n--   a text\n\nSELECT :a",
        &with_path, &err));
    dataset_request_begin(&r, with_path);
    assert_int_equal(dataset_request_set(&r, "a", "b", false, &err), STATUS_NOT_FOUND);
    OK(dataset_request_set(&r, "a", "b", true, &err));
    dataset_request_begin(&r, with_path);
    OK(dataset_request_take_path(&r, with_path->paths[0], "/api/b c/x", &err));
    assert_string_equal(dataset_request_value(&r, 0), "b c");
    assert_int_equal(dataset_request_set(&r, "a", "b", false, &err), STATUS_CONFLICT);
    dataset_request_release(&r);
    dataset_free(&with_path);
    dataset_free(&d);
}

/* Of the file's version and of every value, given or not; the same however it is put together. */
static void test_key_holds_the_hash_of_version_and_canonical_text(void **state)
{
    static const struct {
        const char *head, *const pairs[7], *text, *key; /* key: what stands before the hash */
    } cases[] = {
        {HEAD, {NULL}, "x\nb=5\n", "data:x:"},
        {HEAD, {"a", "acme"}, "x\na=ACME\nb=5\n", "data:x:"},
        {HEAD, {"b", "6"}, "x\nb=6\n", "data:x:"},
        {HEAD, {"c", "2025-01-02", "a", "z"}, "x\na=Z\nb=5\nc=2025-01-02\n", "data:x:"},
        {HEAD, {"c", "2025-01-02", "b", "05", "a", "z"}, "x\na=Z\nb=5\nc=2025-01-02\n", "data:x:"},
        {HEAD "-- key: f:$H\n", {"b", "7"}, "x\nb=7\n", "f:"},
        {USER "-- key: f:{U}:list:$H\n", {"b", "7"}, "x\nb=7\n", "f:{u%3A1}:list:"},
        {USER, {"a", "q"}, "x\na=Q\nb=5\n", "data:x:{u%3A1}:"},
    };
    char prefix[] = "t:";
    struct settings settings = {.key_prefix = prefix};
    struct dataset_request r = {.dataset = NULL};
    struct cache *cache = NULL;
    struct err err = {""};

    (void)state;
    OK(cache_new(&settings, &cache, &err));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf file = BUF_INIT, text = BUF_INIT, expected = BUF_INIT, key = BUF_INIT;
        struct dataset *d = NULL;
        buf_append_format(&file,
                          "%s-- params:\n--   a symbol\n--   b integer 1..9 = 5\n--   c date\n\nSELECT :a, :b, :c%s",
                          cases[i].head, strstr(cases[i].head, "user") != NULL ? ", :user" : "");
        OK(parse(file.data, &d, &err));
        OK(complete(&r, d, cases[i].pairs, &err));
        dataset_request_append_text(&r, &text);
        assert_string_equal(text.data, cases[i].text);
        buf_clear(&text);
        buf_append_format(&text, "%s\n%s", d->version, cases[i].text);
        buf_append_format(&expected, "t:%s", cases[i].key);
        cache_append_hash(&expected, text.data, text.len);
        dataset_request_append_key(cache, &r, "u:1", &key);
        assert_string_equal(key.data, expected.data);
        buf_release(&file);
        buf_release(&text);
        buf_release(&expected);
        buf_release(&key);
        dataset_free(&d);
    }
    dataset_request_release(&r);
    cache_free(&cache);
}

static void test_parameter_used_twice_is_bound_once(void **state)
{
    struct dataset *d = NULL;
    struct err err = {""};

    (void)state;
    OK(parse(
        USER
        "-- params:\n--   a date\n--   b text\n\nSELECT :b WHERE :a IS NULL OR :a > now() OR :user = :b OR :user = ''",
        &d, &err));
    assert_int_equal(d->n_bound, 3);
    assert_non_null(strstr(
        d->sql,
        "SELECT ($1::text) WHERE ($2::date) IS NULL OR ($2::date) > now() OR ($3::text) = ($1::text) OR ($3::text) = ''"));
    assert_int_equal(d->bound[0], 1);
    assert_int_equal(d->bound[1], 0);
    assert_int_equal(d->bound[2], DATASET_USER);
    dataset_free(&d);
}

static void test_paths_overlap(void **state)
{
    static const struct {
        const char *a, *b;
        bool overlap;
    } cases[] = {
        {"/api/a", "/api/a", true},      {"/api/a", "/api/b", false},        {"/api/{x}", "/api/b", true},
        {"/api/{x}", "/api/b/c", false}, {"/api/{x}/c", "/api/b/{y}", true}, {"/api/{x}", "/api/", false},
        {"/api/a", "/api/ab", false},    {"/api/ab", "/api/a", false},       {"/api", "/api/a", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (dataset_paths_overlap(cases[i].a, cases[i].b) != cases[i].overlap)
            fail_msg("case %zu", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_of_a_bad_file_names_line_and_reason),
        cmocka_unit_test(test_parse_of_a_whole_header_keeps_all_of_it),
        cmocka_unit_test(test_values_have_one_spelling),
        cmocka_unit_test(test_request_is_canonical_and_complete),
        cmocka_unit_test(test_cursor_brings_the_values_of_its_row_back),
        cmocka_unit_test(test_cursor_of_other_filters_or_values_is_refused),
        cmocka_unit_test(test_collection_is_the_list_without_anything_else),
        cmocka_unit_test(test_set_takes_a_parameter_once_and_one_of_the_path_only_when_told),
        cmocka_unit_test(test_key_holds_the_hash_of_version_and_canonical_text),
        cmocka_unit_test(test_parameter_used_twice_is_bound_once),
        cmocka_unit_test(test_paths_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
