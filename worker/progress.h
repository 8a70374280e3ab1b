/* How a long job shows where it is: a bar on a terminal, a log line every few seconds otherwise. */
#ifndef PNLCACHE_WORKER_PROGRESS_H
#define PNLCACHE_WORKER_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"

/* What is shown. total 0: not known. */
struct progress_view {
    const char *title; /* "precompute" */
    const char *noun;  /* "users" */
    size_t done, total;
    int64_t elapsed_ms;
};

/* One line of at most `columns` columns, without line end:
 * "precompute [#########-----------]  45 %  450/1000 users  212/s  0:03 left". */
void progress_append_bar(struct buf *out, const struct progress_view *view, size_t columns);
/* "h:mm:ss", or "m:ss" under an hour. */
void progress_append_duration(struct buf *out, int64_t seconds);

struct progress {
    const char *title, *noun;
    bool terminal;
    int64_t began_ms, shown_ms;
    size_t line_length; /* of the bar on the screen */
};

/* Standard error is looked at once. The texts must live as long as the progress. */
void progress_begin(struct progress *p, const char *title, const char *noun);
/* Call as often as you like; it shows something at most every tenth of a second (terminal) or five seconds. */
void progress_update(struct progress *p, size_t done, size_t total);
/* Wipes the bar. */
void progress_end(struct progress *p);
int64_t progress_elapsed_ms(const struct progress *p);

#endif
