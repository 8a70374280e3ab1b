/* A line is built in a fixed buffer and written with one call. A sink that has no room is never
 * waited for: sockets (the journal) are sent to without waiting, anything else is asked with poll()
 * first. O_NONBLOCK is not set, because standard error is shared with other processes. A pipe that
 * poll() calls writable takes PIPE_BUF (4 KiB) at once, which is more than a line. */
#include "lib/base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/text.h"

enum { LINE_MAX_BYTES = 2048 };

static const struct {
    const char *name;
    char priority; /* syslog severity */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", '3'},
    [LOG_LEVEL_WARN] = {"warn", '4'},
    [LOG_LEVEL_INFO] = {"info", '6'},
    [LOG_LEVEL_DEBUG] = {"debug", '7'},
};

static const char *program_name = "pnlcache";
static _Atomic int threshold = LOG_LEVEL_INFO;
static bool as_text, sink_is_socket;
static _Atomic uint64_t n_dropped;
static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER;

void log_init(const char *program, enum log_level level, const char *format)
{
    struct stat sink;

    program_name = program;
    as_text = strcmp(format, "text") == 0 || (strcmp(format, "logfmt") != 0 && isatty(STDERR_FILENO) == 1);
    sink_is_socket = fstat(STDERR_FILENO, &sink) == 0 && S_ISSOCK(sink.st_mode);
    atomic_store(&threshold, (int)level);
}

void log_set_level(enum log_level level)
{
    atomic_store(&threshold, (int)level);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

bool log_is_first_this_second(_Atomic int64_t *last_s)
{
    int64_t now_s = clock_monotonic_ms() / 1000;

    return atomic_exchange_explicit(last_s, now_s, memory_order_relaxed) != now_s;
}

uint64_t log_dropped(void)
{
    return atomic_load(&n_dropped);
}

struct line {
    char text[LINE_MAX_BYTES];
    size_t len;
    bool cut;
};

/* Adds the whole piece or nothing, keeping room for the "...\n" of a cut line. */
static void add(struct line *line, const char *bytes, size_t len)
{
    if (line->cut || len > sizeof line->text - 4 - line->len) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->len, bytes, len);
    line->len += len;
}

static void add_string(struct line *line, const char *text)
{
    for (; *text != '\0'; text++)
        add(line, text, 1);
}

/* Adds one character of a value; returns the bytes it took from `text`. */
static size_t add_escaped(struct line *line, const char *text, size_t len, bool quoted)
{
    unsigned char c = (unsigned char)text[0];
    size_t used = utf8_sequence_length(text, len);
    char escape[8];

    if (c == '\n' || c == '\t' || c == '\r' || c == '\\' || (quoted && c == '"')) {
        char letter = c == '\n' ? 'n' : c == '\t' ? 't' : c == '\r' ? 'r' : (char)c;
        (void)snprintf(escape, sizeof escape, "\\%c", letter);
        add(line, escape, 2);
        return 1;
    }
    /* C1 controls are two bytes of UTF-8 (C2 80..9F); some terminals obey them. */
    if (used == 0 || c < 0x20 || c == 0x7F || (c == 0xC2 && (unsigned char)text[1] < 0xA0)) {
        (void)snprintf(escape, sizeof escape, "\\x%02x", c);
        add(line, escape, 4);
        for (size_t i = 1; i < used; i++) {
            (void)snprintf(escape, sizeof escape, "\\x%02x", (unsigned char)text[i]);
            add(line, escape, 4);
        }
        return used == 0 ? 1 : used;
    }
    add(line, text, used);
    return used;
}

static void add_value(struct line *line, const char *text, bool quoted)
{
    size_t len = strnlen(text, LINE_MAX_BYTES + 1);

    if (quoted)
        add(line, "\"", 1);
    for (size_t at = 0; at < len && !line->cut;)
        at += add_escaped(line, text + at, len - at, quoted);
    if (quoted)
        add(line, "\"", 1);
}

static bool needs_quotes(const char *text)
{
    if (*text == '\0')
        return true;
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c <= ' ' || c >= 0x7F || c == '"' || c == '=' || c == '\\')
            return true;
    }
    return false;
}

static void add_fields(struct line *line, const struct log_field *fields)
{
    char number[24];

    for (; fields->key != NULL; fields++) {
        add(line, " ", 1);
        add_string(line, fields->key);
        add(line, "=", 1);
        if (fields->text != NULL) {
            add_value(line, fields->text, needs_quotes(fields->text));
        } else {
            (void)snprintf(number, sizeof number, "%lld", (long long)fields->number);
            add_string(line, number);
        }
    }
}

static void begin_line(struct line *line, enum log_level level, const char *message)
{
    char when[INSTANT_TEXT_SIZE], head[64];
    struct timespec now;

    /* Not clock_now(): a line says when it was written, whatever --as-of pretends. */
    (void)clock_gettime(CLOCK_REALTIME, &now);
    instant_format((struct instant){(int64_t)now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000000 * 1000}, when);
    if (as_text) {
        (void)snprintf(head, sizeof head, "%.10s %.8s %-5s ", when, when + 11, levels[level].name);
        add_string(line, head);
        add_value(line, message, false);
        return;
    }
    (void)snprintf(head, sizeof head, "<%c>time=%s level=%s program=", levels[level].priority, when,
                   levels[level].name);
    add_string(line, head);
    add_value(line, program_name, needs_quotes(program_name));
    add_string(line, " msg=");
    add_value(line, message, needs_quotes(message));
}

static bool write_without_waiting(const char *bytes, size_t len)
{
    struct pollfd sink = {.fd = STDERR_FILENO, .events = POLLOUT};
    ssize_t written;

    do {
        if (sink_is_socket) {
            written = send(STDERR_FILENO, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        } else {
            if (poll(&sink, 1, 0) != 1 || (sink.revents & POLLOUT) == 0)
                return false;
            written = write(STDERR_FILENO, bytes, len);
        }
    } while (written < 0 && errno == EINTR);
    return written == (ssize_t)len;
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
    struct line line;
    int saved_errno = errno;
    bool written;

    line.len = 0;
    line.cut = false;
    begin_line(&line, level, message);
    add_fields(&line, fields);
    if (line.cut) {
        memcpy(line.text + line.len, "...", 3);
        line.len += 3;
    }
    line.text[line.len++] = '\n';
    (void)pthread_mutex_lock(&write_lock);
    written = write_without_waiting(line.text, line.len);
    (void)pthread_mutex_unlock(&write_lock);
    if (!written)
        atomic_fetch_add(&n_dropped, 1);
    errno = saved_errno;
}
