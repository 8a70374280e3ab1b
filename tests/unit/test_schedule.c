/* The schedule in the code and the timers in systemd/ say the same. Run from the repository's root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <glob.h>

#include "tests/support/assert_status.h"
#include "worker/calendar_event.h"
#include "worker/job.h"
#include "worker/schedule.h"

/* The value of the last line KEY=VALUE of a unit; "" when there is none. */
static void read_key(const char *path, const char *key, char *value, size_t size)
{
    FILE *file = fopen(path, "r");
    char line[256];
    size_t len = strlen(key);

    value[0] = '\0';
    if (file == NULL)
        fail_msg("%s cannot be read", path);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, key, len) == 0 && line[len] == '=')
            (void)snprintf(value, size, "%.*s", (int)strcspn(line + len + 1, "\n"), line + len + 1);
    (void)fclose(file);
}

static void check_key(const struct schedule_entry *entry, const char *key, const char *expected)
{
    char path[128], value[128];

    (void)snprintf(path, sizeof path, "systemd/pnlcache-%s.timer", entry->job);
    read_key(path, key, value, sizeof value);
    if (strcmp(value, expected) != 0)
        fail_msg("%s says %s='%s', the schedule '%s'", path, key, value, expected);
}

static void test_schedule_is_what_the_timers_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < schedule_length; i++) {
        char text[128];

        check_key(&schedule[i], "OnCalendar", schedule[i].on_calendar);
        (void)snprintf(text, sizeof text, "%d", schedule[i].spread_s);
        check_key(&schedule[i], "RandomizedDelaySec", text);
        check_key(&schedule[i], "Persistent", schedule[i].persistent ? "true" : "");
        (void)snprintf(text, sizeof text, "pnlcache-job@%s.service", schedule[i].job);
        check_key(&schedule[i], "Unit", text);
    }
}

static void test_schedule_has_a_row_for_every_timer(void **state)
{
    glob_t timers;

    (void)state;
    assert_int_equal(glob("systemd/*.timer", 0, NULL, &timers), 0);
    assert_int_equal(timers.gl_pathc,
                     schedule_length); /* test_schedule_is_what_the_timers_say found one for each row */
    globfree(&timers);
}

static void test_schedule_names_jobs_and_times_that_exist(void **state)
{
    (void)state;
    for (size_t i = 0; i < schedule_length; i++) {
        struct calendar_event event;
        struct err err = {0};

        if (job_kind_find(schedule[i].job) == NULL)
            fail_msg("there is no job '%s'", schedule[i].job);
        OK(calendar_event_parse(schedule[i].on_calendar, &event, &err));
        if (i > 0 && strcmp(schedule[i - 1].job, schedule[i].job) >= 0)
            fail_msg("'%s' is not in its place: ascending by name, each once", schedule[i].job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedule_is_what_the_timers_say),
        cmocka_unit_test(test_schedule_has_a_row_for_every_timer),
        cmocka_unit_test(test_schedule_names_jobs_and_times_that_exist),
    };

    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
