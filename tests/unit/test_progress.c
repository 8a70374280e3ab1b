#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "worker/progress.h"

static void assert_bar(struct progress_view view, size_t columns, const char *expected)
{
    struct buf out = BUF_INIT;

    buf_append_string(&out, ">");
    progress_append_bar(&out, &view, columns);
    assert_int_equal(buf_status(&out), STATUS_OK);
    assert_string_equal(out.data + 1, expected);
    assert_true(out.len - 1 <= columns);
    buf_release(&out);
}

static void test_progress_append_bar_shows_share_rate_and_time_left(void **state)
{
    (void)state;
    /* 450 of 1000 in 2 s: 225/s, 550 left at that rate: 2.4 s. */
    assert_bar((struct progress_view){"precompute", "users", 450, 1000, 2000}, 90,
               "precompute [#############-----------------]  45 %  450/1000 users  225/s  0:02 left");
    assert_bar((struct progress_view){"precompute", "users", 0, 1000, 50}, 80,
               "precompute [------------------------------]   0 %  0/1000 users  0/s");
    assert_bar((struct progress_view){"precompute", "users", 1000, 1000, 4000}, 90,
               "precompute [##############################] 100 %  1000/1000 users  250/s  0:00 left");
}

static void test_progress_append_bar_without_total_has_no_bar(void **state)
{
    (void)state;
    assert_bar((struct progress_view){"precompute", "users", 12, 0, 3000}, 80, "precompute 12 users  4/s");
    assert_bar((struct progress_view){"precompute", "users", 0, 0, 0}, 80, "precompute 0 users  0/s");
}

static void test_progress_append_bar_fits_narrow_terminals(void **state)
{
    (void)state;
    assert_bar((struct progress_view){"precompute", "users", 450, 1000, 2000}, 60,
               "precompute [###----]  45 %  450/1000 users  225/s  0:02 left");
    assert_bar((struct progress_view){"precompute", "users", 450, 1000, 2000}, 20, "precompute  45 %  45");
}

static void test_progress_append_duration_spells(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {{0, "0:00"}, {59, "0:59"}, {61, "1:01"}, {3599, "59:59"}, {3600, "1:00:00"}, {360001, "100:00:01"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out = BUF_INIT;

        progress_append_duration(&out, cases[i].seconds);
        assert_string_equal(out.data, cases[i].text);
        buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress_append_bar_shows_share_rate_and_time_left),
        cmocka_unit_test(test_progress_append_bar_without_total_has_no_bar),
        cmocka_unit_test(test_progress_append_bar_fits_narrow_terminals),
        cmocka_unit_test(test_progress_append_duration_spells),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
