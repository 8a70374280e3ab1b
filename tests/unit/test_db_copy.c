/* The COPY format, from PostgreSQL's documentation of COPY, "Binary Format". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/store/db_copy.h"

#define ROW(...) (const unsigned char[]){__VA_ARGS__}, sizeof((const unsigned char[]){__VA_ARGS__})

static enum status parse(const unsigned char *bytes, size_t len, struct db_row *row, bool *end)
{
    /* Of exactly that size, so that the address sanitizer sees a read past its end. */
    static unsigned char *copy;
    enum status status;

    copy = test_malloc(len + (len == 0));
    memcpy(copy, bytes, len);
    status = db_copy_parse_row(copy, len, row, end);
    test_free(copy);
    return status;
}

static void test_parse_row_fields_nulls_and_empty(void **state)
{
    static const unsigned char bytes[] = {0, 3, 0, 0, 0, 2, 'a', 'b', 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0};
    struct db_row row;
    bool end = true;

    (void)state;
    assert_int_equal(db_copy_parse_row(bytes, sizeof bytes, &row, &end), STATUS_OK);
    assert_false(end);
    assert_int_equal(row.n_fields, 3);
    assert_int_equal(row.fields[0].len, 2);
    assert_memory_equal(row.fields[0].bytes, "ab", 2);
    assert_null(row.fields[1].bytes);
    assert_non_null(row.fields[2].bytes);
    assert_int_equal(row.fields[2].len, 0);
    for (size_t len = 0; len < sizeof bytes; len++)
        if (parse(bytes, len, &row, &end) != STATUS_INVALID)
            fail_msg("%zu bytes of the row were accepted", len);
}

static void test_parse_row_trailer_is_the_end(void **state)
{
    struct db_row row;
    bool end = false;

    (void)state;
    assert_int_equal(parse(ROW(0xFF, 0xFF), &row, &end), STATUS_OK);
    assert_true(end);
    assert_int_equal(row.n_fields, 0);
    assert_int_equal(parse(ROW(0xFF, 0xFF, 0), &row, &end), STATUS_INVALID);
}

static void test_parse_row_damaged_is_refused(void **state)
{
    struct db_row row;
    bool end;

    (void)state;
    assert_int_equal(parse(ROW(0, 1, 0x7F, 0xFF, 0xFF, 0xFF, 0), &row, &end), STATUS_INVALID);
    assert_int_equal(parse(ROW(0, 1, 0xFF, 0xFF, 0xFF, 0xFE, 0), &row, &end), STATUS_INVALID); /* length -2 */
    assert_int_equal(parse(ROW(0, 1, 0, 0, 0, 1, 0, 9), &row, &end), STATUS_INVALID);          /* a byte too many */
    assert_int_equal(parse(ROW(0xFF, 0xFE), &row, &end), STATUS_INVALID);
}

static void test_parse_row_field_limit(void **state)
{
    unsigned char bytes[2 + 4 * (DB_COPY_MAX_FIELDS + 1)];
    struct db_row row;
    bool end;

    (void)state;
    memset(bytes, 0xFF, sizeof bytes);
    bytes[0] = 0;
    bytes[1] = DB_COPY_MAX_FIELDS;
    assert_int_equal(parse(bytes, sizeof bytes - 4, &row, &end), STATUS_OK);
    assert_int_equal(row.n_fields, DB_COPY_MAX_FIELDS);
    bytes[1]++;
    assert_int_equal(parse(bytes, sizeof bytes, &row, &end), STATUS_INVALID);
}

static void test_parse_header_signature_flags_extension(void **state)
{
    unsigned char bytes[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\3abcrow";
    size_t len = 0;

    (void)state;
    assert_int_equal(db_copy_parse_header(bytes, sizeof bytes - 1, &len), STATUS_OK);
    assert_int_equal(len, 22);
    for (size_t n = 0; n < 22; n++)
        if (db_copy_parse_header(bytes, n, &len) != STATUS_INVALID)
            fail_msg("%zu bytes of the header were accepted", n);
    bytes[12] = 1; /* flags: with object ids */
    assert_int_equal(db_copy_parse_header(bytes, sizeof bytes - 1, &len), STATUS_INVALID);
    bytes[12] = 0;
    bytes[8] = '\n'; /* what a line-ending conversion would do */
    assert_int_equal(db_copy_parse_header(bytes, sizeof bytes - 1, &len), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_row_fields_nulls_and_empty),
        cmocka_unit_test(test_parse_row_trailer_is_the_end),
        cmocka_unit_test(test_parse_row_damaged_is_refused),
        cmocka_unit_test(test_parse_row_field_limit),
        cmocka_unit_test(test_parse_header_signature_flags_extension),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
