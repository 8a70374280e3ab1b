#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/calendar.h"

static struct date date_of(const char *text)
{
    struct date d = {0};

    if (date_parse(text, &d) != STATUS_OK)
        fail_msg("not a date: %s", text);
    return d;
}

/* Every day of the supported years, counted one by one. */
static void test_date_all_supported_days_count_up(void **state)
{
    int32_t days = date_from_civil(1, 1, 1).days;
    int weekday = 1; /* 0001-01-01 was a Monday */

    (void)state;
    assert_int_equal(days, -719162);
    for (int year = 1; year <= 9999; year++) {
        for (int month = 1; month <= 12; month++) {
            for (int day = 1; day <= days_in_month(year, month); day++, days++) {
                struct civil c = date_to_civil((struct date){days});
                if (date_from_civil(year, month, day).days != days || c.year != year || c.month != month ||
                    c.day != day || date_weekday((struct date){days}) != weekday)
                    fail_msg("%04d-%02d-%02d", year, month, day);
                weekday = (weekday + 1) % 7;
            }
        }
    }
    assert_int_equal(days, 2932897);
}

static void test_civil_is_valid_leap_years(void **state)
{
    (void)state;
    assert_true(civil_is_valid(2024, 2, 29));
    assert_true(civil_is_valid(2000, 2, 29));
    assert_false(civil_is_valid(1900, 2, 29));
    assert_false(civil_is_valid(2025, 2, 29));
    assert_false(civil_is_valid(0, 1, 1));
    assert_false(civil_is_valid(10000, 1, 1));
    assert_false(civil_is_valid(2025, 0, 1));
    assert_false(civil_is_valid(2025, 13, 1));
    assert_false(civil_is_valid(2025, 4, 31));
    assert_false(civil_is_valid(2025, 4, 0));
}

static void test_date_add_months_clamps_to_the_months_end(void **state)
{
    static const struct {
        const char *from;
        int months;
        const char *to;
    } cases[] = {
        {"2025-08-31", -6, "2025-02-28"}, {"2024-08-31", -6, "2024-02-29"},  {"2025-01-31", 1, "2025-02-28"},
        {"2025-01-15", -1, "2024-12-15"}, {"2025-12-31", 2, "2026-02-28"},   {"2025-06-30", 0, "2025-06-30"},
        {"2024-02-29", 12, "2025-02-28"}, {"2024-02-29", -48, "2020-02-29"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[DATE_TEXT_SIZE];
        date_format(date_add_months(date_of(cases[i].from), cases[i].months), text);
        assert_string_equal(text, cases[i].to);
    }
}

static void test_date_first_of_year_and_month(void **state)
{
    (void)state;
    assert_int_equal(date_first_of_year(date_of("2025-11-30")).days, date_of("2025-01-01").days);
    assert_int_equal(date_first_of_month(date_of("2025-11-30")).days, date_of("2025-11-01").days);
}

/* ISO 8601 week dates that are easy to get wrong. */
static void test_date_iso_week_around_new_year(void **state)
{
    static const struct {
        const char *date;
        int year, week;
    } cases[] = {
        {"2005-01-01", 2004, 53}, {"2005-01-02", 2004, 53}, {"2005-12-31", 2005, 52}, {"2007-01-01", 2007, 1},
        {"2008-12-29", 2009, 1},  {"2009-12-31", 2009, 53}, {"2010-01-03", 2009, 53}, {"2010-01-04", 2010, 1},
        {"2024-12-30", 2025, 1},  {"2020-12-31", 2020, 53}, {"2025-06-20", 2025, 25},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int year, week;
        date_iso_week(date_of(cases[i].date), &year, &week);
        if (year != cases[i].year || week != cases[i].week)
            fail_msg("%s: %d-W%02d", cases[i].date, year, week);
    }
}

static void test_date_parse_anything_else_is_refused(void **state)
{
    static const char *const cases[] = {
        "",           "2025",       "2025-1-01",  "2025-01-1",  "2025-01-011", "2025/01/01",
        "2025-02-29", "2025-13-01", "0000-01-01", "20250101",   " 2025-01-01", "2025-01-01 ",
        "-025-01-01", "2025-01-0x", "+025-01-01", "2025-01-32", "2025-01-00"};
    struct date d = {7};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (date_parse(cases[i], &d) != STATUS_INVALID)
            fail_msg("'%s' was accepted", cases[i]);
    assert_int_equal(d.days, 7);
}

static void test_date_format_beyond_the_years_shows_the_nearest(void **state)
{
    char text[DATE_TEXT_SIZE];

    (void)state;
    date_format((struct date){INT32_MAX}, text);
    assert_string_equal(text, "9999-12-31");
    date_format((struct date){INT32_MIN}, text);
    assert_string_equal(text, "0001-01-01");
    assert_true(date_is_weekend(date_of("2025-03-09")));
    assert_true(date_is_weekend(date_of("2025-03-08")));
    assert_false(date_is_weekend(date_of("2025-03-10")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_date_all_supported_days_count_up),
        cmocka_unit_test(test_civil_is_valid_leap_years),
        cmocka_unit_test(test_date_add_months_clamps_to_the_months_end),
        cmocka_unit_test(test_date_first_of_year_and_month),
        cmocka_unit_test(test_date_iso_week_around_new_year),
        cmocka_unit_test(test_date_parse_anything_else_is_refused),
        cmocka_unit_test(test_date_format_beyond_the_years_shows_the_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
