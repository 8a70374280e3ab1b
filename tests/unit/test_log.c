/* Standard error is replaced by a pipe or socket of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/log.h"

static int saved_stderr, read_end;

static void capture(const int ends[2])
{
    saved_stderr = dup(STDERR_FILENO);
    assert_true(saved_stderr >= 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    (void)close(ends[1]);
    read_end = ends[0];
    assert_int_equal(fcntl(read_end, F_SETFL, O_NONBLOCK), 0);
}

static void capture_pipe(void)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    capture(ends);
}

static void restore(void)
{
    (void)dup2(saved_stderr, STDERR_FILENO);
    (void)close(saved_stderr);
    (void)close(read_end);
}

/* What was written since the last call. */
static const char *captured(void)
{
    static char text[8192];
    ssize_t n = read(read_end, text, sizeof text - 1);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void test_log_logfmt_line_is_quoted_and_escaped(void **state)
{
    const char *line, *after_time;

    (void)state;
    capture_pipe();
    log_init("unit test", LOG_LEVEL_INFO, "logfmt");
    log_warn("two words", LOG_STR("plain", "abc"), LOG_STR("empty", ""), LOG_STR("quote", "a\"b\\c"),
             LOG_STR("control", "x\n\r\t\x1b[31m\x7f"), LOG_STR("bytes", "\xff\xc3\xa9\xc2\x9b"),
             LOG_STR("equals", "a=b"), LOG_INT("n", INT64_MIN));
    line = captured();
    restore();
    assert_true(strncmp(line, "<4>time=", 8) == 0);
    after_time = strchr(line, ' ');
    assert_non_null(after_time);
    assert_string_equal(after_time, " level=warn program=\"unit test\" msg=\"two words\" plain=abc empty=\"\" "
                                    "quote=\"a\\\"b\\\\c\" control=\"x\\n\\r\\t\\x1b[31m\\x7f\" "
                                    "bytes=\"\\xff\xc3\xa9\\xc2\\x9b\" equals=\"a=b\" n=-9223372036854775808\n");
}

static void test_log_text_line_is_readable(void **state)
{
    const char *line;

    (void)state;
    capture_pipe();
    log_init("test", LOG_LEVEL_DEBUG, "text");
    log_debug("hello there\nforged", LOG_INT("n", 1));
    line = captured();
    restore();
    assert_string_equal(line + 20, "debug hello there\\nforged n=1\n");
}

static void test_log_levels_below_the_threshold_are_silent(void **state)
{
    static const char priorities[] = "346";
    const char *line;

    (void)state;
    capture_pipe();
    log_init("test", LOG_LEVEL_INFO, "auto");
    log_debug("hidden");
    assert_string_equal(captured(), "");
    for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_INFO; level++) {
        LOG_AT((enum log_level)level, "shown");
        line = captured();
        assert_int_equal(line[1], priorities[level]);
    }
    restore();
    assert_false(log_enabled(LOG_LEVEL_DEBUG));
    assert_true(log_enabled(LOG_LEVEL_ERROR));
}

static void test_log_long_line_is_cut_between_characters(void **state)
{
    char value[5000];
    const char *line;
    size_t len;

    (void)state;
    for (int shift = 0; shift < 3; shift++) {
        memset(value, 'x', sizeof value);
        for (size_t i = (size_t)shift; i + 3 <= sizeof value; i += 3)
            memcpy(value + i, "\xe2\x82\xac", 3);
        value[sizeof value - 1] = '\0';
        capture_pipe();
        log_init("test", LOG_LEVEL_INFO, "logfmt");
        log_info("long", LOG_STR("v", value), LOG_STR("lost", "lost"));
        line = captured();
        restore();
        len = strlen(line);
        assert_in_range(len, 2040, 2048);
        assert_string_equal(line + len - 4, "...\n");
        assert_int_equal((unsigned char)line[len - 5], 0xAC);
        assert_null(strstr(line, "lost"));
    }
}

/* alarm() ends the test by a signal, should a write wait for ever. */
static void check_full_sink_drops(void)
{
    uint64_t before = log_dropped();

    (void)alarm(20);
    log_init("test", LOG_LEVEL_INFO, "logfmt");
    for (int i = 0; i < 20000; i++)
        log_info("filling the sink until it is full", LOG_INT("i", i));
    (void)alarm(0);
    assert_true(log_dropped() > before);
    while (captured()[0] != '\0')
        continue;
    before = log_dropped();
    log_info("room again");
    assert_true(log_dropped() == before);
    assert_non_null(strstr(captured(), "room again"));
    assert_int_equal(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
}

static void test_log_full_pipe_drops_and_counts(void **state)
{
    (void)state;
    capture_pipe();
    check_full_sink_drops();
    restore();
}

static void test_log_full_socket_drops_and_counts(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    capture(ends);
    check_full_sink_drops();
    restore();
}

static void test_log_closed_stderr_is_counted(void **state)
{
    uint64_t before = log_dropped();

    (void)state;
    capture_pipe();
    (void)close(STDERR_FILENO);
    log_init("test", LOG_LEVEL_INFO, "logfmt");
    log_info("nobody listens");
    restore();
    assert_true(log_dropped() == before + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_logfmt_line_is_quoted_and_escaped),
        cmocka_unit_test(test_log_text_line_is_readable),
        cmocka_unit_test(test_log_levels_below_the_threshold_are_silent),
        cmocka_unit_test(test_log_long_line_is_cut_between_characters),
        cmocka_unit_test(test_log_full_pipe_drops_and_counts),
        cmocka_unit_test(test_log_full_socket_drops_and_counts),
        cmocka_unit_test(test_log_closed_stderr_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
