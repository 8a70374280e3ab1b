#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/timezone.h"

static const struct timezone *zone_of(const char *name)
{
    const struct timezone *zone = NULL;
    struct err err = {""};

    if (timezone_open(name, &zone, &err) != STATUS_OK)
        fail_msg("%s: %s", name, err.text);
    return zone;
}

static struct instant instant_of(const char *text)
{
    struct instant t;

    if (instant_parse(text, &t) != STATUS_OK)
        fail_msg("not an instant: %s", text);
    return t;
}

static struct date date_of(const char *text)
{
    struct date d;

    if (date_parse(text, &d) != STATUS_OK)
        fail_msg("not a date: %s", text);
    return d;
}

/* Facts of the tz database. */
static void test_timezone_to_local_known_facts(void **state)
{
    static const struct {
        const char *zone, *utc, *local;
    } cases[] = {
        {"UTC", "2025-03-09T06:59:59Z", "2025-03-09 06:59:59 0"},
        {"America/New_York", "2025-03-09T06:59:59Z", "2025-03-09 01:59:59 -18000"},
        {"America/New_York", "2025-03-09T07:00:00Z", "2025-03-09 03:00:00 -14400"},
        {"America/New_York", "2025-11-02T05:59:59Z", "2025-11-02 01:59:59 -14400"},
        {"America/New_York", "2025-11-02T06:00:00Z", "2025-11-02 01:00:00 -18000"},
        {"America/New_York", "2025-03-10T03:30:00Z", "2025-03-09 23:30:00 -14400"},
        {"America/New_York", "1800-01-01T00:00:00Z", "1799-12-31 19:03:58 -17762"},
        {"America/New_York", "2500-07-01T12:00:00Z", "2500-07-01 08:00:00 -14400"},
        {"America/New_York", "9999-01-01T12:00:00Z", "9999-01-01 07:00:00 -18000"},
        /* The second Sunday of March 2050 is the 13th. */
        {"America/New_York", "2050-03-13T06:59:59Z", "2050-03-13 01:59:59 -18000"},
        {"America/New_York", "2050-03-13T07:00:00Z", "2050-03-13 03:00:00 -14400"},
        {"Australia/Lord_Howe", "2025-04-05T14:59:59Z", "2025-04-06 01:59:59 39600"},
        {"Australia/Lord_Howe", "2025-04-05T15:00:00Z", "2025-04-06 01:30:00 37800"},
        {"Australia/Lord_Howe", "2060-01-01T00:00:00Z", "2060-01-01 11:00:00 39600"},
        {"Asia/Kolkata", "2025-01-01T00:00:00Z", "2025-01-01 05:30:00 19800"},
        {"Asia/Kathmandu", "2025-01-01T00:00:00Z", "2025-01-01 05:45:00 20700"},
        {"Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29 23:59:59 -36000"},
        {"Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31 00:00:00 50400"},
        {"Pacific/Kiritimati", "2025-01-01T00:00:00Z", "2025-01-01 14:00:00 50400"},
        {"Europe/Dublin", "2070-07-01T00:00:00Z", "2070-07-01 01:00:00 3600"},
        {"Europe/Dublin", "2070-01-01T00:00:00Z", "2070-01-01 00:00:00 0"},
        {"America/Sao_Paulo", "2100-01-01T00:00:00Z", "2099-12-31 21:00:00 -10800"},
        {"Etc/GMT+5", "2025-07-01T00:00:00Z", "2025-06-30 19:00:00 -18000"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct local_time l = timezone_to_local(zone_of(cases[i].zone), instant_of(cases[i].utc));
        char day[DATE_TEXT_SIZE], text[64];
        date_format(l.date, day);
        (void)snprintf(text, sizeof text, "%s %02d:%02d:%02d %d", day, l.hour, l.minute, l.second,
                       (int)l.utc_offset_seconds);
        if (strcmp(text, cases[i].local) != 0)
            fail_msg("case %zu %s: %s, expected %s", i, cases[i].utc, text, cases[i].local);
    }
}

static void test_timezone_before_the_epoch_a_microsecond_rounds_down(void **state)
{
    struct local_time l = timezone_to_local(zone_of("UTC"), (struct instant){-1});

    (void)state;
    assert_int_equal(l.date.days, -1);
    assert_int_equal(l.hour, 23);
    assert_int_equal(l.second, 59);
}

static void test_timezone_span_at_any_instant_holds_it_and_joins_the_next(void **state)
{
    static const char *const names[] = {"UTC", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca",
                                        "Europe/Dublin"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct timezone *zone = zone_of(names[i]);
        struct timezone_span span = timezone_span_at(zone, (struct instant){INT64_MIN});
        assert_true(span.from.us == INT64_MIN);
        for (int n = 0; n < 2000 && span.to.us != INT64_MAX; n++) {
            struct timezone_span next = timezone_span_at(zone, span.to);
            struct timezone_span last = timezone_span_at(zone, (struct instant){span.to.us - 1});
            assert_true(next.from.us == span.to.us && next.to.us > next.from.us);
            assert_true(last.from.us == span.from.us && last.to.us == span.to.us);
            assert_int_equal(last.utc_offset_seconds, span.utc_offset_seconds);
            assert_int_equal(timezone_to_local(zone, span.to).utc_offset_seconds, next.utc_offset_seconds);
            span = next;
        }
        span = timezone_span_at(zone, INSTANT_NEVER);
        assert_true(span.from.us < INT64_MAX);
    }
}

/* In a child of its own, because TZ belongs to the process. Returns the first second that differs, 0 for none. */
static long long first_difference(const char *name)
{
    const struct timezone *zone = zone_of(name);
    const int64_t first = -2208988800, last = 4102444800; /* 1900 to 2100 */

    (void)setenv("TZ", name, 1);
    tzset();
    for (int64_t s = first; s < last;) {
        struct timezone_span span = timezone_span_at(zone, (struct instant){s * US_PER_SECOND});
        int64_t end = span.to.us == INT64_MAX || span.to.us / US_PER_SECOND > last ? last : span.to.us / US_PER_SECOND;
        for (int64_t t = s; t < end; t = t + 86400 < end || t == end - 1 ? t + 86400 : end - 1) {
            time_t when = (time_t)t;
            struct tm tm;
            if (localtime_r(&when, &tm) == NULL || tm.tm_gmtoff != span.utc_offset_seconds)
                return (long long)t;
        }
        s = end;
    }
    return 0;
}

static void test_timezone_1900_to_2100_agrees_with_localtime_r(void **state)
{
    static const char *const names[] = {
        "America/New_York",    "America/Chicago",  "America/Sao_Paulo", "America/St_Johns",
        "Europe/London",       "Europe/Dublin",    "Europe/Berlin",     "Europe/Istanbul",
        "Africa/Casablanca",   "Africa/Cairo",     "Asia/Kolkata",      "Asia/Tokyo",
        "Asia/Jerusalem",      "Asia/Tehran",      "Asia/Kathmandu",    "Asia/Gaza",
        "Australia/Lord_Howe", "Australia/Sydney", "Pacific/Apia",      "Pacific/Chatham",
        "America/Santiago",    "America/Nuuk",     "Antarctica/Troll",  "UTC",
        "Pacific/Kwajalein",
    };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int result = 0, pipe_fds[2];
        long long differs = -1;
        pid_t child;
        assert_int_equal(pipe(pipe_fds), 0);
        child = fork();
        if (child == 0) {
            differs = first_difference(names[i]);
            _exit(write(pipe_fds[1], &differs, sizeof differs) == (ssize_t)sizeof differs ? 0 : 1);
        }
        assert_true(child > 0);
        (void)close(pipe_fds[1]);
        assert_int_equal(read(pipe_fds[0], &differs, sizeof differs), sizeof differs);
        (void)close(pipe_fds[0]);
        assert_true(waitpid(child, &result, 0) == child && result == 0);
        if (differs != 0)
            fail_msg("%s differs from localtime_r at %lld", names[i], differs);
    }
}

static void test_timezone_open_odd_names_are_refused(void **state)
{
    static const char *const invalid[] = {
        "",  "/etc/passwd", "../zoneinfo/UTC", "Europe/../UTC", "Europe//Berlin", "Europe/",
        ".", "Europe/.x",   "Europe Berlin",   "a%2e",          "UTC\n",          "\xc3\xa9"};
    const struct timezone *zone = NULL;
    char longest[200];

    (void)state;
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++)
        if (timezone_open(invalid[i], &zone, NULL) != STATUS_INVALID)
            fail_msg("'%s' was not refused", invalid[i]);
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(timezone_open(longest, &zone, NULL), STATUS_INVALID);
    assert_int_equal(timezone_open("Europe/Atlantis", &zone, NULL), STATUS_NOT_FOUND);
    assert_int_equal(timezone_open("Europe", &zone, NULL), STATUS_NOT_FOUND);
    assert_int_equal(timezone_open("tzdata.zi", &zone, NULL),
                     access("/usr/share/zoneinfo/tzdata.zi", R_OK) == 0 ? STATUS_INVALID : STATUS_NOT_FOUND);
    assert_null(zone);
}

static void test_timezone_open_twice_gives_the_same_zone(void **state)
{
    (void)state;
    assert_ptr_equal(zone_of("Europe/Paris"), zone_of("Europe/Paris"));
    assert_string_equal(timezone_name(zone_of("Europe/Paris")), "Europe/Paris");
}

/* metrics.md section 2: its examples, and sessions that open the evening before. */
static void test_trading_day_follows_the_session(void **state)
{
    static const struct {
        int start;
        const char *utc, *day;
    } cases[] = {
        {0, "2025-03-10T03:30:00Z", "2025-03-09"},  {0, "2025-03-08T04:30:00Z", "2025-03-07"},
        {4, "2025-06-10T07:59:59Z", "2025-06-09"},  {4, "2025-06-10T08:00:00Z", "2025-06-10"},
        {11, "2025-06-10T14:59:59Z", "2025-06-09"}, {12, "2025-06-10T15:59:59Z", "2025-06-10"},
        {12, "2025-06-10T16:00:00Z", "2025-06-11"}, {18, "2025-06-10T21:59:59.999999Z", "2025-06-10"},
        {18, "2025-06-10T22:00:00Z", "2025-06-11"}, {23, "2025-06-11T03:00:00Z", "2025-06-11"},
    };
    const struct timezone *zone = zone_of("America/New_York");

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char day[DATE_TEXT_SIZE];
        date_format(trading_day(zone, cases[i].start, instant_of(cases[i].utc)), day);
        if (strcmp(day, cases[i].day) != 0)
            fail_msg("case %zu: %s, expected %s", i, day, cases[i].day);
    }
}

static void test_trading_day_begin_known_days(void **state)
{
    static const struct {
        const char *zone;
        int start;
        const char *day, *utc;
    } cases[] = {
        {"America/New_York", 0, "2025-04-11", "2025-04-11T04:00:00Z"},
        {"America/New_York", 0, "2025-01-12", "2025-01-12T05:00:00Z"},
        {"America/New_York", 18, "2025-04-11", "2025-04-10T22:00:00Z"},
        {"America/New_York", 2, "2025-03-09", "2025-03-09T07:00:00Z"}, /* 02:00 does not exist */
        {"America/New_York", 1, "2025-11-02", "2025-11-02T05:00:00Z"}, /* 01:00 comes twice */
        {"Pacific/Apia", 0, "2011-12-30", "2011-12-30T10:00:00Z"},     /* the day does not exist */
        {"Pacific/Apia", 0, "2011-12-31", "2011-12-30T10:00:00Z"},
        {"America/Sao_Paulo", 0, "2018-11-04", "2018-11-04T03:00:00Z"}, /* midnight does not exist */
        {"America/St_Johns", 0, "2010-11-07", "2010-11-07T02:30:00Z"},  /* 00:01 went back to 23:01 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[INSTANT_TEXT_SIZE];
        instant_format(trading_day_begin(zone_of(cases[i].zone), cases[i].start, date_of(cases[i].day)), text);
        if (strcmp(text, cases[i].utc) != 0)
            fail_msg("case %zu: %s, expected %s", i, text, cases[i].utc);
    }
}

static void test_trading_day_begin_is_the_first_second_of_its_day(void **state)
{
    static const char *const names[] = {"America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kolkata"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct timezone *zone = zone_of(names[i]);
        for (int start = 0; start < 24; start++) {
            for (int days = 17000; days < 21000; days += 1) {
                struct instant begin = trading_day_begin(zone, start, (struct date){days});
                assert_int_equal(trading_day(zone, start, begin).days, days);
                begin.us--;
                assert_true(trading_day(zone, start, begin).days < days);
            }
        }
    }
}

/* --- files of our own under TZDIR --------------------------------------------------------------- */

static char folder[] = "/tmp/test_timezone_XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static enum status open_bytes(const char *name, const void *bytes, size_t len, const struct timezone **zone)
{
    char path[128];
    enum status status;
    FILE *f;

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    (void)setenv("TZDIR", folder, 1);
    status = timezone_open(name, zone, NULL);
    (void)unsetenv("TZDIR");
    (void)unlink(path);
    return status;
}

/* A version 3 file without transitions: one type, UTC, and the footer. */
static size_t put_file(unsigned char *out, const char *footer)
{
    static const unsigned char header[44] = {'T', 'Z', 'i', 'f', '3', [39] = 1, [43] = 4};
    static const unsigned char type_and_name[10] = {0, 0, 0, 0, 0, 0, 'U', 'T', 'C', 0};
    size_t len = 0;

    for (int block = 0; block < 2; block++) {
        memcpy(out + len, header, sizeof header);
        memcpy(out + len + sizeof header, type_and_name, sizeof type_and_name);
        len += sizeof header + sizeof type_and_name;
    }
    return len + (size_t)sprintf((char *)out + len, "\n%s\n", footer);
}

static void test_timezone_footer_forms(void **state)
{
    static const struct {
        const char *footer, *utc;
        int32_t offset;
    } cases[] = {
        {"", "2025-01-01T00:00:00Z", 0},
        {"XXX-1", "2025-01-01T00:00:00Z", 3600},
        {"<+0530>-5:30", "2025-01-01T00:00:00Z", 19800},
        {"AAA3:15:30", "2025-01-01T00:00:00Z", -11730},
        {"EST5EDT,0/0,J365/25", "2025-01-01T05:00:00Z", -14400}, /* DST all year: RFC 8536 section 3.3.1 */
        {"EST5EDT,0/0,J365/25", "2025-07-01T00:00:00Z", -14400},
        {"EST5EDT,0/0,J365/25", "2024-12-31T23:59:59Z", -14400},
        {"AAA0BBB,J60/0,J300/0", "2024-03-01T00:00:00Z", 3600}, /* J60 is 1 March, leap year or not */
        {"AAA0BBB,J60/0,J300/0", "2024-02-29T23:59:59Z", 0},
        {"AAA0BBB,J60/0,J300/0", "2025-03-01T00:00:00Z", 3600},
        {"AAA0BBB,59/0,300/0", "2024-02-29T00:00:00Z", 3600},
        {"AAA0BBB,59/0,300/0", "2025-02-28T23:59:59Z", 0},
        {"IST-2IDT,M3.4.4/26,M10.5.0", "2025-03-27T23:59:59Z", 7200}, /* Thursday 26:00 is Friday 02:00 */
        {"IST-2IDT,M3.4.4/26,M10.5.0", "2025-03-28T00:00:00Z", 10800},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2025-03-30T01:00:00Z", -3600},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2025-03-30T00:59:59Z", -7200},
        {"AAA-10BBB-10:30,M10.1.0,M4.1.0", "2025-12-31T23:00:00Z", 37800}, /* southern: DST over the new year */
        {"AAA-10BBB-10:30,M10.1.0,M4.1.0", "2026-01-01T23:00:00Z", 37800},
        {"AAA-10BBB-10:30,M10.1.0,M4.1.0", "2026-07-01T00:00:00Z", 36000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned char file[512];
        size_t len = put_file(file, cases[i].footer);
        const struct timezone *zone = NULL;
        char name[32];
        int32_t offset;
        (void)snprintf(name, sizeof name, "good%zu", i);
        assert_int_equal(open_bytes(name, file, len, &zone), STATUS_OK);
        offset = timezone_to_local(zone, instant_of(cases[i].utc)).utc_offset_seconds;
        if (offset != cases[i].offset)
            fail_msg("case %zu %s: %d, expected %d", i, cases[i].footer, (int)offset, (int)cases[i].offset);
    }
}

static void test_timezone_bad_footer_is_refused(void **state)
{
    static const char *const footers[] = {"X",
                                          "XXX",
                                          "XXX25",
                                          "XXX5:60",
                                          "XXX5YYY",
                                          "XXX5YYY,M3",
                                          "XXX5YYY,M13.1.0,M1.1.0",
                                          "XXX5YYY,M3.6.0,M1.1.0",
                                          "XXX5YYY,M3.1.7,M1.1.0",
                                          "XXX5YYY,J0,J1",
                                          "XXX5YYY,1,366",
                                          "XXX5YYY,1/168,2",
                                          "<XXX5",
                                          "XXX5YYY,1,2,3"};
    const struct timezone *zone = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof footers / sizeof footers[0]; i++) {
        unsigned char file[512];
        size_t len = put_file(file, footers[i]);
        if (open_bytes("bad", file, len, &zone) != STATUS_INVALID)
            fail_msg("footer '%s' was not refused", footers[i]);
    }
}

/* Every prefix of a real file, and every single damaged byte, is refused or read, never read past its end. */
static void test_timezone_damaged_file_never_reads_out_of_bounds(void **state)
{
    unsigned char file[4096], copy[4096];
    FILE *f = fopen("/usr/share/zoneinfo/America/Sao_Paulo", "rb");
    const struct timezone *zone = NULL;
    size_t len;

    (void)state;
    assert_non_null(f);
    len = fread(file, 1, sizeof file, f);
    (void)fclose(f);
    assert_true(len > 100 && len < sizeof file);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(open_bytes("cut", file, i, &zone), STATUS_INVALID);
    for (size_t i = 0; i < len; i++) {
        char name[32];
        memcpy(copy, file, len);
        copy[i] ^= 0xFF;
        (void)snprintf(name, sizeof name, "flip%zu", i);
        zone = NULL;
        if (open_bytes(name, copy, len, &zone) == STATUS_OK)
            (void)timezone_to_local(zone, instant_of("2025-01-01T00:00:00Z"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timezone_to_local_known_facts),
        cmocka_unit_test(test_timezone_before_the_epoch_a_microsecond_rounds_down),
        cmocka_unit_test(test_timezone_span_at_any_instant_holds_it_and_joins_the_next),
        cmocka_unit_test(test_timezone_1900_to_2100_agrees_with_localtime_r),
        cmocka_unit_test(test_timezone_open_odd_names_are_refused),
        cmocka_unit_test(test_timezone_open_twice_gives_the_same_zone),
        cmocka_unit_test(test_trading_day_follows_the_session),
        cmocka_unit_test(test_trading_day_begin_known_days),
        cmocka_unit_test(test_trading_day_begin_is_the_first_second_of_its_day),
        cmocka_unit_test(test_timezone_footer_forms),
        cmocka_unit_test(test_timezone_bad_footer_is_refused),
        cmocka_unit_test(test_timezone_damaged_file_never_reads_out_of_bounds),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
