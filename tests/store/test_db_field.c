/* The decoders against the server's own encodings and arithmetic. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/store/db_field.h"
#include "tests/support/database.h"

#define NUMBERS 20000
#define CHUNK 2000

static struct err err;
static uint64_t random_state = 0x9E3779B97F4A7C15;

static unsigned random_below(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % n;
}

/* Runs of one digit make carries and exact halves likely. */
static void append_digits(struct buf *out, unsigned n)
{
    char digit = (char)('0' + random_below(10));

    for (unsigned i = 0; i < n; i++) {
        if (random_below(3) == 0)
            digit = "0059"[random_below(4)];
        else if (random_below(3) == 0)
            digit = (char)('0' + random_below(10));
        buf_append_char(out, digit);
    }
}

static void append_number(struct buf *out)
{
    static const char *const special[] = {"NaN",
                                          "Infinity",
                                          "-Infinity",
                                          "9999999999.999999995",
                                          "0.000000005",
                                          "-0.000000005",
                                          "9999999999.99999999",
                                          "-9999999999.999999994999",
                                          "0.00000000499",
                                          "10000000000",
                                          "0",
                                          "0.000"};
    static const unsigned whole[] = {0, 1, 2, 4, 5, 9, 10, 11, 25}, fraction[] = {0, 1, 2, 4, 7, 8, 9, 10, 12, 13, 40};

    if (random_below(50) == 0) {
        buf_append_string(out, special[random_below(sizeof special / sizeof special[0])]);
        return;
    }
    if (random_below(3) == 0)
        buf_append_char(out, '-');
    buf_append_char(out, '0');
    append_digits(out, whole[random_below(sizeof whole / sizeof whole[0])]);
    buf_append_char(out, '.');
    append_digits(out, fraction[random_below(sizeof fraction / sizeof fraction[0])]);
    buf_append_char(out, '0');
}

/* What the server says: class as in enum numeric_class, and value x 10^8 when finite. */
static const char numbers_sql[] =
    "SELECT n, CASE WHEN n = 'NaN' THEN 1 WHEN abs(n) = 'Infinity' THEN 2 WHEN abs(n::numeric(38,8)) >= 10000000000 "
    "THEN 3 "
    "ELSE 0 END, CASE WHEN n <> 'NaN' AND abs(n) < 10000000001 AND abs(n::numeric(38,8)) < 10000000000 "
    "THEN (n::numeric(38,8) * 100000000)::bigint END, n::text "
    "FROM (SELECT t::numeric AS n FROM unnest($1::text[]) AS t) AS numbers";

static void check_number(const struct db_result *result, size_t i)
{
    struct db_field e8_field = db_result_field(result, i, 2), text = db_result_field(result, i, 3);
    int64_t expected_class, expected = 0, e8 = 0;
    enum numeric_class class = NUMERIC_FINITE;

    assert_int_equal(db_field_int64(db_result_field(result, i, 1), &expected_class), STATUS_OK);
    if (!db_field_is_null(e8_field))
        assert_int_equal(db_field_int64(e8_field, &expected), STATUS_OK);
    if (db_field_numeric_e8(db_result_field(result, i, 0), &class, &e8) != STATUS_OK ||
        (int64_t) class != expected_class || e8 != expected)
        fail_msg("%.*s: class %d, %" PRId64 "; the server: %" PRId64 ", %" PRId64, (int)text.len,
                 (const char *)text.bytes, class, e8, expected_class, expected);
}

static void test_numeric_equals_the_servers_assignment(void **state)
{
    struct db *db = database_open(database_owner_url(), 60000, true);

    (void)state;
    for (size_t done = 0; done < NUMBERS; done += CHUNK) {
        struct buf numbers = BUF_INIT;
        struct db_result *result = NULL;
        const char *params[1];

        buf_append_char(&numbers, '{');
        for (size_t i = 0; i < CHUNK; i++) {
            if (i > 0)
                buf_append_char(&numbers, ',');
            append_number(&numbers);
        }
        buf_append_char(&numbers, '}');
        params[0] = numbers.data;
        assert_status(db_query(db, "numbers", numbers_sql, 1, params, &result, &err), STATUS_OK, &err);
        assert_int_equal(db_result_rows(result), CHUNK);
        for (size_t i = 0; i < CHUNK; i++)
            check_number(result, i);
        db_result_free(&result);
        buf_release(&numbers);
    }
    db_free(&db);
}

static void test_other_types_equal_the_servers(void **state)
{
    struct db *db = database_open(database_owner_url(), 60000, true);
    struct db_result *result = NULL;
    struct date dates[4];
    struct instant t;
    struct date d;
    int64_t n;
    size_t n_dates;
    bool b;

    (void)state;
    assert_status(
        db_query(db, "",
                 "SELECT timestamptz '2025-03-10T03:30:00.000001Z', timestamptz 'infinity', timestamptz '-infinity', "
                 "date '2025-03-10', date 'infinity', true, (-32768)::int2, (-2147483648)::int4, "
                 "'{2025-12-25,1969-12-31}'::date[], '{}'::date[], timestamptz '4713-01-01 00:00:00Z BC'",
                 0, NULL, &result, &err),
        STATUS_OK, &err);
    assert_int_equal(db_field_instant(db_result_field(result, 0, 0), &t), STATUS_OK);
    assert_int_equal(t.us, INT64_C(1741577400000001)); /* date -d 2025-03-10T03:30:00Z +%s */
    assert_int_equal(db_field_instant(db_result_field(result, 0, 1), &t), STATUS_OK);
    assert_int_equal(t.us, INSTANT_NEVER.us);
    assert_int_equal(db_field_instant(db_result_field(result, 0, 2), &t), STATUS_OK);
    assert_int_equal(t.us, INT64_MIN);
    assert_int_equal(db_field_date(db_result_field(result, 0, 3), &d), STATUS_OK);
    assert_int_equal(d.days, 20157);
    assert_int_equal(db_field_date(db_result_field(result, 0, 4), &d), STATUS_OK);
    assert_int_equal(d.days, INT32_MAX);
    assert_int_equal(db_field_bool(db_result_field(result, 0, 5), &b), STATUS_OK);
    assert_true(b);
    assert_int_equal(db_field_int64(db_result_field(result, 0, 6), &n), STATUS_OK);
    assert_int_equal(n, -32768);
    assert_int_equal(db_field_int64(db_result_field(result, 0, 7), &n), STATUS_OK);
    assert_int_equal(n, INT32_MIN);
    assert_int_equal(db_field_dates(db_result_field(result, 0, 8), dates, &n_dates), STATUS_OK);
    assert_int_equal(n_dates, 2);
    assert_int_equal(dates[0].days, 20447);
    assert_int_equal(dates[1].days, -1);
    assert_int_equal(db_field_dates(db_result_field(result, 0, 9), dates, &n_dates), STATUS_OK);
    assert_int_equal(n_dates, 0);
    assert_int_equal(db_field_instant(db_result_field(result, 0, 10), &t), STATUS_OK);
    assert_true(t.us < -INT64_C(200000000000000000));
    db_result_free(&result);
    db_free(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numeric_equals_the_servers_assignment),
        cmocka_unit_test(test_other_types_equal_the_servers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
