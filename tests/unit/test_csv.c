#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/csv.h"
#include "tests/support/assert_status.h"

/* "3:a|b" for each line with its number, "!3:reason" for a bad one. */
static void read_all(const void *bytes, size_t len, struct buf *out)
{
    FILE *file = len > 0 ? fmemopen((void *)(uintptr_t)bytes, len, "r") : fopen("/dev/null", "r");
    struct csv_reader r;
    struct err err;
    enum status status;

    assert_non_null(file);
    csv_begin(&r, file);
    while ((status = csv_next(&r, &err)) != STATUS_NOT_FOUND) {
        buf_append_format(out, "%s%lld:", status == STATUS_OK ? "" : "!", (long long)r.line);
        if (status != STATUS_OK)
            buf_append_string(out, err.text);
        for (size_t i = 0; status == STATUS_OK && i < r.n_cells; i++)
            buf_append_format(out, "%s%s", i > 0 ? "|" : "", r.cells[i]);
        buf_append_char(out, '\n');
    }
    assert_int_equal(r.offset, len);
    csv_release(&r);
    fclose(file);
}

#define TEXT(text) text, sizeof text - 1
static const struct {
    const char *text;
    size_t len;
    const char *lines;
} cases[] = {
    {TEXT(""), ""},
    {TEXT("\n\r\n  \n"), ""},
    {TEXT("a,b\n"), "1:a|b\n"},
    {TEXT("a,b"), "1:a|b\n"},
    {TEXT("\xEF\xBB\xBF"
          "a\n\xEF\xBB\xBF"
          "b\n"),
     "1:a\n2:\xEF\xBB\xBF"
     "b\n"},
    {TEXT("a\r\n\r\nb\r\n"), "1:a\n3:b\n"},
    {TEXT(" a\t, b c ,\t\n"), "1:a|b c|\n"},
    {TEXT(",\n,,"), "1:|\n2:||\n"},
    {TEXT("\"a,b\" , \"c\"\"d\",\" e \",\"\"\n"), "1:a,b|c\"d| e |\n"},
    {TEXT("\"\"\"\"\n"), "1:\"\n"},
    {TEXT("a\"b,c\n"), "1:a\"b|c\n"},
    {TEXT("x,\"a\nb\n"), "!1:cell 2: its quote does not end on this line\n2:b\n"},
    {TEXT("\"a\"b\nc\n"), "!1:cell 1: there is more behind its closing quote\n2:c\n"},
    {TEXT("a\0b\nc\n"), "!1:it is not UTF-8 text\n2:c\n"},
    {TEXT("\0\nc\n"), "!1:it is not UTF-8 text\n2:c\n"},
    {TEXT("\xC3\nc\n"), "!1:it is not UTF-8 text\n2:c\n"},
};

static void test_next_reads_every_form_of_a_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out = BUF_INIT;

        read_all(cases[i].text, cases[i].len, &out);
        if (strcmp(out.data, cases[i].lines) != 0)
            fail_msg("case %zu: %s\nexpected %s", i, out.data, cases[i].lines);
        buf_release(&out);
    }
}

static void test_next_skips_a_line_that_is_too_long_and_goes_on(void **state)
{
    struct buf text = BUF_INIT, out = BUF_INIT;

    (void)state;
    for (int i = 0; i < CSV_MAX_LINE; i++)
        buf_append_char(&text, 'x');
    buf_append_string(&text, "\nb\n");
    for (int i = 0; i < CSV_MAX_LINE + 1; i++)
        buf_append_char(&text, 'x');
    buf_append_string(&text, "\nc\n");
    read_all(text.data, text.len, &out);
    assert_int_equal(strncmp(out.data, "1:xxx", 5), 0);
    assert_string_equal(out.data + 2 + CSV_MAX_LINE, "\n2:b\n!3:it has more than 65536 bytes\n4:c\n");
    buf_release(&text);
    buf_release(&out);
}

static void test_next_takes_as_many_cells_as_there_is_room_for(void **state)
{
    struct buf text = BUF_INIT, out = BUF_INIT;

    (void)state;
    for (int i = 0; i < CSV_MAX_CELLS; i++)
        buf_append_char(&text, ',');
    buf_append_string(&text, "\na\n");
    read_all(text.data, text.len, &out);
    assert_string_equal(out.data, "!1:it has more than 64 cells\n2:a\n");
    buf_clear(&out);
    read_all(text.data + 1, text.len - 1, &out);
    assert_int_equal(strncmp(out.data, "1:|||", 5), 0);
    buf_release(&text);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next_reads_every_form_of_a_line),
        cmocka_unit_test(test_next_skips_a_line_that_is_too_long_and_goes_on),
        cmocka_unit_test(test_next_takes_as_many_cells_as_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
