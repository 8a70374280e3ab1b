/* Expected instants were worked out by hand from the zones' rules (clock changes of 2025, IANA tzdata). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "jobs/rollover.h"
#include "tests/support/assert_status.h"

static struct instant at(const char *text)
{
    struct instant t = {0};

    assert_int_equal(instant_parse(text, &t), STATUS_OK);
    return t;
}

static struct account account_of(const char *zone, int trading_day_start)
{
    struct account account = {.trading_day_start = trading_day_start};
    struct err err = {0};

    OK(timezone_open(zone, &account.zone, &err));
    return account;
}

static const struct {
    const char *zone;
    int start;
    const char *began; /* when a trading day begins */
} days[] = {
    {"UTC", 0, "2025-06-02T00:00:00Z"},
    {"America/New_York", 0, "2025-06-02T04:00:00Z"},
    {"America/New_York", 18, "2025-06-02T22:00:00Z"}, /* futures: the day begins the evening before */
    {"Asia/Tokyo", 0, "2025-06-01T15:00:00Z"},
    {"Asia/Kathmandu", 0, "2025-06-01T18:15:00Z"},
    {"Australia/Lord_Howe", 7, "2025-06-01T20:30:00Z"},
    {"Pacific/Kiritimati", 0, "2025-06-01T10:00:00Z"},
    {"Pacific/Pago_Pago", 0, "2025-06-01T11:00:00Z"},
    /* spring forward, 9 March, 02:00 -> 03:00 */
    {"America/New_York", 0, "2025-03-09T05:00:00Z"},
    {"America/New_York", 2, "2025-03-09T07:00:00Z"}, /* 02:00 does not exist: 03:00 EDT is the first moment past it */
    {"America/New_York", 3, "2025-03-09T07:00:00Z"},
    {"America/New_York", 0, "2025-03-10T04:00:00Z"},
    /* fall back, 2 November, 02:00 -> 01:00 */
    {"America/New_York", 0, "2025-11-02T04:00:00Z"},
    {"America/New_York", 2, "2025-11-02T07:00:00Z"},
    {"America/New_York", 0, "2025-11-03T05:00:00Z"},
    /* clocks go forward at midnight: the day begins at 01:00 */
    {"Africa/Cairo", 0, "2025-04-24T22:00:00Z"},
};

static void test_rollover_day_began_only_in_the_stretch_that_holds_its_beginning(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        struct account account = account_of(days[i].zone, days[i].start);
        struct instant began = at(days[i].began);
        struct instant before = {began.us - 1}, quarter_before = {began.us - 900 * US_PER_SECOND};
        struct instant after = {began.us + 5 * US_PER_SECOND}, quarter_after = {began.us + 905 * US_PER_SECOND};

        if (!rollover_day_began(&account, quarter_before, began) || !rollover_day_began(&account, before, after))
            fail_msg("case %zu: %s + %d h: %s is not found", i, days[i].zone, days[i].start, days[i].began);
        if (rollover_day_began(&account, quarter_before, before) || rollover_day_began(&account, began, after) ||
            rollover_day_began(&account, after, quarter_after))
            fail_msg("case %zu: %s + %d h: found where nothing begins", i, days[i].zone, days[i].start);
    }
}

/* Runs every 15 minutes, five seconds past, through a year: each trading day is found once, by the very next run. Where
 * clocks go back over the day's beginning (Chatham, 03:45 to 02:45) it begins once only. */
static void test_rollover_day_began_once_for_every_day_of_a_year(void **state)
{
    static const char *const zones[] = {"America/New_York", "Australia/Lord_Howe", "Pacific/Chatham", "Africa/Cairo",
                                        "America/Havana"};
    static const int starts[] = {0, 2, 3, 17};

    (void)state;
    for (size_t i = 0; i < (sizeof zones / sizeof zones[0]) * 4; i++) {
        struct account account = account_of(zones[i / 4], starts[i % 4]);
        struct instant run = at("2024-12-31T12:00:05Z"), end = at("2025-12-31T12:00:05Z"), previous = run;
        struct date day = trading_day(account.zone, account.trading_day_start, run);

        for (run.us += 900 * US_PER_SECOND; run.us <= end.us; previous = run, run.us += 900 * US_PER_SECOND) {
            struct date today = trading_day(account.zone, account.trading_day_start, run);

            if (rollover_day_began(&account, previous, run) != (today.days > day.days))
                fail_msg("%s + %d h: wrong at %lld", zones[i / 4], starts[i % 4], (long long)run.us);
            if (today.days > day.days)
                day = today;
        }
    }
}

static void test_rollover_looks_back_over_missed_runs(void **state)
{
    struct account account = account_of("America/New_York", 0);
    struct instant never = {-INSTANT_NEVER.us};

    (void)state;
    assert_true(rollover_day_began(&account, at("2025-06-02T03:45:05Z"), at("2025-06-02T13:00:05Z")));
    assert_true(rollover_day_began(&account, at("2025-05-20T00:00:00Z"), at("2025-06-02T13:00:05Z")));
    assert_true(rollover_day_began(&account, never, at("2025-06-02T13:00:05Z")));
    assert_false(rollover_day_began(&account, at("2025-06-02T04:00:00Z"), at("2025-06-03T03:59:59Z")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rollover_day_began_only_in_the_stretch_that_holds_its_beginning),
        cmocka_unit_test(test_rollover_day_began_once_for_every_day_of_a_year),
        cmocka_unit_test(test_rollover_looks_back_over_missed_runs),
    };

    return cmocka_run_group_tests_name("rollover", tests, NULL, NULL);
}
