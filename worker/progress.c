#include "worker/progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"

#define BAR_MAX 30
#define BAR_MIN 5
#define BAR_EVERY_MS 100
#define LOG_EVERY_MS 5000
#define DEFAULT_COLUMNS 80

static int64_t rate_per_s(const struct progress_view *v)
{
    return v->elapsed_ms <= 0 ? 0 : (int64_t)v->done * 1000 / v->elapsed_ms;
}

/* -1: nothing to go by yet. */
static int64_t seconds_left(const struct progress_view *v)
{
    if (v->done == 0 || v->total < v->done)
        return -1;
    return (int64_t)((double)v->elapsed_ms * (double)(v->total - v->done) / (double)v->done / 1000.0 + 0.5);
}

void progress_append_duration(struct buf *out, int64_t seconds)
{
    if (seconds >= 3600)
        buf_append_format(out, "%lld:%02d:%02d", (long long)(seconds / 3600), (int)(seconds / 60 % 60),
                          (int)(seconds % 60));
    else
        buf_append_format(out, "%d:%02d", (int)(seconds / 60), (int)(seconds % 60));
}

static void append_figures(struct buf *out, const struct progress_view *v)
{
    int64_t left = seconds_left(v);

    if (v->total > 0)
        buf_append_format(out, " %3d %%  %zu/%zu %s", (int)((double)v->done * 100.0 / (double)v->total), v->done,
                          v->total, v->noun);
    else
        buf_append_format(out, " %zu %s", v->done, v->noun);
    buf_append_format(out, "  %lld/s", (long long)rate_per_s(v));
    if (v->total > 0 && left >= 0) {
        buf_append_string(out, "  ");
        progress_append_duration(out, left);
        buf_append_string(out, " left");
    }
}

void progress_append_bar(struct buf *out, const struct progress_view *v, size_t columns)
{
    struct buf figures = BUF_INIT;
    size_t start = out->len, title = strlen(v->title), room, filled;

    append_figures(&figures, v);
    buf_append_string(out, v->title);
    room = columns > title + figures.len + 3 ? columns - title - figures.len - 3 : 0;
    if (v->total > 0 && room >= BAR_MIN) {
        room = room > BAR_MAX ? BAR_MAX : room;
        filled = v->done >= v->total ? room : (size_t)((double)room * (double)v->done / (double)v->total);
        buf_append_string(out, " [");
        for (size_t i = 0; i < room; i++)
            buf_append_char(out, i < filled ? '#' : '-');
        buf_append_char(out, ']');
    }
    buf_append(out, figures.data, figures.len);
    if (out->len - start > columns) {
        out->len = start + columns;
        out->data[out->len] = '\0';
    }
    buf_release(&figures);
}

static size_t terminal_columns(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20)
        return DEFAULT_COLUMNS;
    return size.ws_col;
}

void progress_begin(struct progress *p, const char *title, const char *noun)
{
    int64_t now_ms = clock_monotonic_ms();

    *p = (struct progress){
        .title = title, .noun = noun, .terminal = isatty(STDERR_FILENO) != 0, .began_ms = now_ms, .shown_ms = now_ms};
}

int64_t progress_elapsed_ms(const struct progress *p)
{
    return clock_monotonic_ms() - p->began_ms;
}

static void show_bar(struct progress *p, const struct progress_view *view)
{
    struct buf line = BUF_INIT;

    /* One column less than there are: some terminals wrap when the last one is written. */
    progress_append_bar(&line, view, terminal_columns() - 1);
    fprintf(stderr, "\r%s\033[K", line.data);
    p->line_length = line.len;
    buf_release(&line);
}

void progress_update(struct progress *p, size_t done, size_t total)
{
    int64_t now_ms = clock_monotonic_ms();
    struct progress_view view = {p->title, p->noun, done, total, now_ms - p->began_ms};

    if (now_ms - p->shown_ms < (p->terminal ? BAR_EVERY_MS : LOG_EVERY_MS))
        return;
    p->shown_ms = now_ms;
    if (p->terminal)
        show_bar(p, &view);
    else
        log_info("progress", LOG_STR("job", p->title), LOG_INT("done", (int64_t)done), LOG_INT("total", (int64_t)total),
                 LOG_INT("per_second", rate_per_s(&view)), LOG_INT("seconds_left", seconds_left(&view)));
}

void progress_end(struct progress *p)
{
    if (p->terminal && p->line_length > 0)
        fputs("\r\033[K", stderr);
    p->line_length = 0;
}
