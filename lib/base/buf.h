/* A growing byte buffer. Running out of memory is remembered (`failed`) instead of being returned
 * by every append, so that code that builds text stays readable: append freely, then check once
 * with buf_status(). After a failure the contents are incomplete and appends do nothing.
 * The bytes are always followed by a NUL that does not count, so `data` is also a C string. */
#ifndef PNLCACHE_BASE_BUF_H
#define PNLCACHE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/status.h"

struct buf {
    char *data; /* never NULL; points to an empty string before the first append */
    size_t len; /* bytes in use */
    size_t cap; /* bytes owned; 0: nothing was allocated yet */
    bool failed;
};

#define BUF_INIT                                                                                                       \
    {                                                                                                                  \
        .data = buf_empty_data, .len = 0, .cap = 0, .failed = false                                                    \
    }
extern char buf_empty_data[1];

void buf_init(struct buf *b);
/* Frees the bytes; the buffer is empty and usable again. */
void buf_release(struct buf *b);
/* Empties the buffer, keeps its memory, forgets a failure. */
void buf_clear(struct buf *b);
/* Cuts to the first `len` bytes, at most what it holds; a failure stays. */
void buf_truncate(struct buf *b, size_t len);

/* Makes room for `extra` more bytes (and the NUL). False: out of memory, `failed` is set. */
bool buf_reserve(struct buf *b, size_t extra);

/* In the header, because every answer is made of dozens of these, most of a length that the compiler knows. */
static inline void buf_append(struct buf *b, const void *bytes, size_t len)
{
    if (len == 0 || ((b->failed || b->cap - b->len <= len) && !buf_reserve(b, len)))
        return;
    if (b->data == NULL)
        __builtin_unreachable(); /* the analyser cannot know */
    memcpy(b->data + b->len, bytes, len);
    b->len += len;
    b->data[b->len] = '\0';
}
static inline void buf_append_string(struct buf *b, const char *text)
{
    buf_append(b, text, strlen(text));
}
static inline void buf_append_char(struct buf *b, char c)
{
    buf_append(b, &c, 1);
}
/* A whole number in decimal; without printf, for hot paths. */
void buf_append_int(struct buf *b, int64_t value);
void buf_append_format(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* STATUS_OK, or STATUS_NO_MEMORY when an append failed since init or clear. */
enum status buf_status(const struct buf *b) MUST_CHECK;

/* Hands the bytes over to the caller, who frees them with free(); the buffer is empty again.
 * NULL after a failure. */
char *buf_take_data(struct buf *b, size_t *ret_len);

#endif
