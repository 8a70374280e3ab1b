/* The expected times of parsed events are those of systemd-analyze(1) 252:
 *   systemd-analyze calendar --base-time='2025-03-07 12:00:00 UTC' --iterations=N 'EVENT' */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/assert_status.h"
#include "worker/calendar_event.h"

static struct instant at(const char *text)
{
    struct instant t = {0};

    assert_int_equal(instant_parse(text, &t), STATUS_OK);
    return t;
}

static const struct {
    const char *event;
    const char *times[6]; /* from 2025-03-07T12:00:00Z, a Friday two days before New York's clocks change */
} cases[] = {
    {"*:0/10",
     {"2025-03-07T12:10:00Z", "2025-03-07T12:20:00Z", "2025-03-07T12:30:00Z", "2025-03-07T12:40:00Z",
      "2025-03-07T12:50:00Z", "2025-03-07T13:00:00Z"}},
    {"*:0/15:05",
     {"2025-03-07T12:00:05Z", "2025-03-07T12:15:05Z", "2025-03-07T12:30:05Z", "2025-03-07T12:45:05Z",
      "2025-03-07T13:00:05Z", "2025-03-07T13:15:05Z"}},
    {"*:3/5",
     {"2025-03-07T12:03:00Z", "2025-03-07T12:08:00Z", "2025-03-07T12:13:00Z", "2025-03-07T12:18:00Z",
      "2025-03-07T12:23:00Z", "2025-03-07T12:28:00Z"}},
    {"*-*-* 3:40 UTC",
     {"2025-03-08T03:40:00Z", "2025-03-09T03:40:00Z", "2025-03-10T03:40:00Z", "2025-03-11T03:40:00Z",
      "2025-03-12T03:40:00Z", "2025-03-13T03:40:00Z"}},
    {"Mon..Fri *-*-* 9..16:0/30 America/New_York",
     {"2025-03-07T14:00:00Z", "2025-03-07T14:30:00Z", "2025-03-07T15:00:00Z", "2025-03-07T15:30:00Z",
      "2025-03-07T16:00:00Z", "2025-03-07T16:30:00Z"}},
    {"Mon,Wed *-*-* 9:30:15,45 Europe/London",
     {"2025-03-10T09:30:15Z", "2025-03-10T09:30:45Z", "2025-03-12T09:30:15Z", "2025-03-12T09:30:45Z",
      "2025-03-17T09:30:15Z", "2025-03-17T09:30:45Z"}},
    {"Sat,Sun *:30",
     {"2025-03-08T00:30:00Z", "2025-03-08T01:30:00Z", "2025-03-08T02:30:00Z", "2025-03-08T03:30:00Z",
      "2025-03-08T04:30:00Z", "2025-03-08T05:30:00Z"}},
    {"2..22/5:59:59 Asia/Kathmandu",
     {"2025-03-07T12:14:59Z", "2025-03-07T17:14:59Z", "2025-03-07T21:14:59Z", "2025-03-08T02:14:59Z",
      "2025-03-08T07:14:59Z", "2025-03-08T12:14:59Z"}},
    {"*:*:20..40/10",
     {"2025-03-07T12:00:20Z", "2025-03-07T12:00:30Z", "2025-03-07T12:00:40Z", "2025-03-07T12:01:20Z",
      "2025-03-07T12:01:30Z", "2025-03-07T12:01:40Z"}},
    {"Sun 23:55 Pacific/Auckland",
     {"2025-03-09T10:55:00Z", "2025-03-16T10:55:00Z", "2025-03-23T10:55:00Z", "2025-03-30T10:55:00Z",
      "2025-04-06T11:55:00Z", "2025-04-13T11:55:00Z"}},
};

static void test_calendar_event_next_agrees_with_systemd(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct instant t = at("2025-03-07T12:00:00Z");
        struct calendar_event event;
        struct err err = {0};

        OK(calendar_event_parse(cases[i].event, &event, &err));
        for (size_t j = 0; j < 6; j++) {
            char text[INSTANT_TEXT_SIZE];

            t = calendar_event_next(&event, t);
            instant_format(t, text);
            if (strcmp(text, cases[i].times[j]) != 0)
                fail_msg("'%s', time %zu: %s instead of %s", cases[i].event, j, text, cases[i].times[j]);
        }
    }
}

static void test_calendar_event_next_is_after_the_given_instant(void **state)
{
    struct calendar_event event;
    struct err err = {0};
    struct instant ten = at("2025-06-02T10:00:00Z");

    (void)state;
    OK(calendar_event_parse("*:0/10", &event, &err));
    assert_int_equal(calendar_event_next(&event, (struct instant){ten.us - 1}).us, ten.us);
    assert_int_equal(calendar_event_next(&event, ten).us, ten.us + 600 * US_PER_SECOND);
    assert_int_equal(calendar_event_next(&event, (struct instant){ten.us + 1}).us, ten.us + 600 * US_PER_SECOND);
    assert_int_equal(calendar_event_next(&event, (struct instant){-1}).us, 0);
}

/* 01:30 New York time on 2 November 2025 comes at 05:30Z and again at 06:30Z; 02:30 on 9 March does not come. */
static void test_calendar_event_times_that_clock_changes_repeat_or_skip(void **state)
{
    struct calendar_event event;
    struct err err = {0};
    struct instant t;

    (void)state;
    OK(calendar_event_parse("1:30 America/New_York", &event, &err));
    t = calendar_event_next(&event, at("2025-11-02T00:00:00Z"));
    assert_int_equal(t.us, at("2025-11-02T05:30:00Z").us);
    t = calendar_event_next(&event, t);
    assert_int_equal(t.us, at("2025-11-02T06:30:00Z").us);
    OK(calendar_event_parse("Sun 2:30 America/New_York", &event, &err));
    assert_int_equal(calendar_event_next(&event, at("2025-03-08T00:00:00Z")).us, at("2025-03-16T06:30:00Z").us);
}

static void test_calendar_event_parse_refuses(void **state)
{
    static const char *const texts[] = {
        "",
        "hourly",
        "*",
        "10",
        "*:60",
        "*:-1",
        "24:00 UTC",
        "*:0/0",
        "*:0//5",
        "*:5..3",
        "*:1,",
        "*:,1",
        "*:1,,2",
        "*:0:0:0",
        "*::0",
        "Mon",
        "Mon..",
        "Mon.. *:0",
        "Fri..Mon *:0",
        "mon *:0",
        "Foo *:0",
        "2025-01-01 *:0",
        "*-*-* *-*-* *:0",
        "10:00",
        "*:0 Mars/Phobos",
        "*:0 UTC UTC",
        "*:0 ../UTC",
        "*:0/5x",
        "*:00000000000000000000000000000000000000000000000000000000000000000",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct calendar_event event;
        struct err err = {0};

        if (calendar_event_parse(texts[i], &event, &err) == STATUS_OK || err.text[0] == '\0')
            fail_msg("'%s' was accepted", texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calendar_event_next_agrees_with_systemd),
        cmocka_unit_test(test_calendar_event_next_is_after_the_given_instant),
        cmocka_unit_test(test_calendar_event_times_that_clock_changes_repeat_or_skip),
        cmocka_unit_test(test_calendar_event_parse_refuses),
    };

    return cmocka_run_group_tests_name("calendar_event", tests, NULL, NULL);
}
