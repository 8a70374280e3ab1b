/* The scheduler against real child processes and the real clock. The children run this very program, as the worker's do: called
 * as `... job NAME` it is the job. What a job does it notes in the file NOTES_FILE names, a line each. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "tests/support/assert_status.h"
#include "worker/scheduler.h"

#define EVERY_SECOND "*:*:*"

/* --- the jobs ------------------------------------------------------------------------------------------ */

static int note(const char *path, const char *word)
{
    FILE *file = fopen(path, "a");

    if (file == NULL)
        return 1;
    fprintf(file, "%s %ld\n", word, (long)getpid());
    return fclose(file) == 0 ? 0 : 1;
}

static volatile sig_atomic_t stopped;

static void on_stop(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

/* Until SIGTERM; `stubborn` ignores it. */
static int linger(const char *path, bool stubborn)
{
    (void)signal(SIGTERM, stubborn ? SIG_IGN : on_stop);
    if (note(path, "began") != 0)
        return 1;
    for (int i = 0; i < 6000 && !stopped; i++)
        (void)usleep(10000);
    return note(path, "stopped");
}

static int job_main(const char *name, const char *path)
{
    if (strcmp(name, "note") == 0)
        return note(path, "ran");
    if (strcmp(name, "crash") == 0) {
        (void)note(path, "ran");
        (void)raise(SIGKILL);
    }
    return linger(path, strcmp(name, "stubborn") == 0);
}

/* --- the tests ------------------------------------------------------------------------------------------- */

struct fixture {
    char path[64];
    struct scheduler *scheduler;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    int fd;

    assert_non_null(f);
    strcpy(f->path, "/tmp/pnlcache-scheduler-test.XXXXXX");
    fd = mkstemp(f->path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(setenv("NOTES_FILE", f->path, 1), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    scheduler_stop(&f->scheduler, clock_monotonic_ms());
    (void)unlink(f->path);
    free(f);
    return 0;
}

static size_t count(const struct fixture *f, const char *word)
{
    FILE *file = fopen(f->path, "r");
    char line[64];
    size_t n = 0;

    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        n += strncmp(line, word, strlen(word)) == 0;
    (void)fclose(file);
    return n;
}

static void wait_for(const struct fixture *f, const char *word, size_t n)
{
    int64_t until_ms = clock_monotonic_ms() + 30000;

    while (count(f, word) < n) {
        assert_true(clock_monotonic_ms() < until_ms);
        (void)usleep(10000);
    }
}

static void start(struct fixture *f, const struct schedule_entry *entries, size_t n, bool by_the_clock, bool at_start)
{
    struct err err = {0};

    OK(scheduler_start(&(struct scheduler_options){entries, n, by_the_clock, at_start}, &f->scheduler, &err));
}

static void test_scheduler_runs_a_job_again_and_again(void **state)
{
    static const struct schedule_entry entries[] = {{.job = "note", .on_calendar = EVERY_SECOND}};

    start(*state, entries, 1, true, false);
    wait_for(*state, "ran", 3);
}

static void test_scheduler_runs_a_crashing_job_again_and_others_meanwhile(void **state)
{
    static const struct schedule_entry entries[] = {{.job = "crash", .on_calendar = EVERY_SECOND},
                                                    {.job = "linger", .on_calendar = EVERY_SECOND}};

    start(*state, entries, 2, true, false);
    wait_for(*state, "ran", 2);
    wait_for(*state, "began", 1);
}

static void test_scheduler_never_runs_two_of_a_kind(void **state)
{
    struct fixture *f = *state;
    static const struct schedule_entry entries[] = {{.job = "linger", .on_calendar = EVERY_SECOND},
                                                    {.job = "note", .on_calendar = EVERY_SECOND}};

    start(f, entries, 2, true, false);
    wait_for(f, "began", 1);
    wait_for(f, "ran", 4); /* three of its times have come since */
    assert_int_equal(count(f, "began"), 1);
}

static void test_scheduler_stop_ends_children_and_waits_for_them(void **state)
{
    struct fixture *f = *state;
    static const struct schedule_entry entries[] = {{.job = "linger", .on_calendar = EVERY_SECOND, .at_start = true}};

    start(f, entries, 1, true, true);
    wait_for(f, "began", 1);
    scheduler_stop(&f->scheduler, clock_monotonic_ms() + 30000);
    assert_int_equal(count(f, "stopped"), 1);
    assert_null(f->scheduler);
}

static void test_scheduler_stop_kills_what_does_not_end(void **state)
{
    struct fixture *f = *state;
    static const struct schedule_entry entries[] = {{.job = "stubborn", .on_calendar = "*:*", .at_start = true}};
    char line[64] = "";
    FILE *file;
    long pid;

    start(f, entries, 1, false, true);
    wait_for(f, "began", 1);
    file = fopen(f->path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    (void)fclose(file);
    pid = strtol(line + strlen("began "), NULL, 10);
    assert_int_equal(kill((pid_t)pid, 0), 0);
    scheduler_stop(&f->scheduler, clock_monotonic_ms());
    assert_int_equal(kill((pid_t)pid, 0), -1);
    assert_int_equal(count(f, "stopped"), 0);
}

static void test_scheduler_begins_with_what_may_have_been_missed(void **state)
{
    static const struct schedule_entry entries[] = {
        {.job = "note", .on_calendar = "Mon *-*-* 3:00 UTC", .persistent = true}};

    start(*state, entries, 1, true, false);
    wait_for(*state, "ran", 1);
}

static void test_scheduler_without_the_clock_runs_only_the_start_up_jobs_once(void **state)
{
    struct fixture *f = *state;
    static const struct schedule_entry entries[] = {{.job = "linger", .on_calendar = EVERY_SECOND, .persistent = true},
                                                    {.job = "note", .on_calendar = EVERY_SECOND, .at_start = true}};
    int64_t from_ms = clock_monotonic_ms();

    start(f, entries, 2, false, true);
    wait_for(f, "ran", 1);
    while (scheduler_beat_ms(f->scheduler) < from_ms + 2100) /* two of its turns later */
        (void)usleep(10000);
    assert_int_equal(count(f, "ran"), 1);
    assert_int_equal(count(f, "began"), 0);
}

static void test_scheduler_refuses_a_schedule_it_cannot_read(void **state)
{
    struct fixture *f = *state;
    static const struct schedule_entry entries[] = {{.job = "note", .on_calendar = "hourly"}};
    struct err err = {0};

    assert_int_equal(scheduler_start(&(struct scheduler_options){entries, 1, true, false}, &f->scheduler, &err),
                     STATUS_INVALID);
    assert_non_null(strstr(err.text, "hourly"));
}

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_scheduler_runs_a_job_again_and_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_scheduler_runs_a_crashing_job_again_and_others_meanwhile, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_scheduler_never_runs_two_of_a_kind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_scheduler_stop_ends_children_and_waits_for_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_scheduler_stop_kills_what_does_not_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_scheduler_begins_with_what_may_have_been_missed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_scheduler_without_the_clock_runs_only_the_start_up_jobs_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_scheduler_refuses_a_schedule_it_cannot_read, set_up, tear_down),
    };

    if (argc == 3 && strcmp(argv[1], "job") == 0)
        return job_main(argv[2], getenv("NOTES_FILE"));
    return cmocka_run_group_tests_name("scheduler", tests, NULL, NULL);
}
