/* Writes JSON straight into a buffer: no tree, no allocation but the buffer's growth. The writer
 * puts the commas; callers give keys and values in order. Numbers are exact decimals (base/money.h);
 * a double is printed with fixed decimals, rounded half away from zero on its exact binary value
 * (so 1.005, which is a little less, becomes 1 and not 1.01; 0.125 becomes 0.13); NaN and infinity
 * become an undefined number, because they can never reach a client. Independent of locale.
 * Invalid UTF-8 in strings is replaced by U+FFFD. Memory failure is remembered in the buffer. */
#ifndef PNLCACHE_JSON_WRITER_H
#define PNLCACHE_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/money.h"

struct json_writer {
    struct buf *out;   /* borrowed until the document is finished */
    bool need_comma;   /* a value was written at this level */
    bool null_as_zero; /* json_null_number() writes 0 (metrics.md 4.4) */
};

void json_init(struct json_writer *w, struct buf *out);

void json_object_begin(struct json_writer *w);
void json_object_end(struct json_writer *w);
void json_array_begin(struct json_writer *w);
void json_array_end(struct json_writer *w);

/* A key that is a string literal of plain ASCII: copied, not escaped. */
void json_key(struct json_writer *w, const char *key);
/* A key that comes from data: escaped like a string. */
void json_key_text(struct json_writer *w, const char *key, size_t len);

void json_string(struct json_writer *w, const char *text); /* NULL writes null */
void json_string_bytes(struct json_writer *w, const char *bytes, size_t len);
void json_int(struct json_writer *w, int64_t value);
void json_bool(struct json_writer *w, bool value);
void json_null(struct json_writer *w);
/* An undefined number: null, or 0 under null_as_zero. */
void json_null_number(struct json_writer *w);
/* value x 10^-scale with at most `decimals` decimals, trailing zeros left out. */
void json_decimal(struct json_writer *w, wide_int value, int scale, int decimals);
/* numerator/denominator, rounded once; denominator 0 is an undefined number. */
void json_ratio(struct json_writer *w, wide_int numerator, wide_int denominator, int decimals);
/* Class F values of metrics.md 4.2; decimals 0..18. */
void json_double(struct json_writer *w, double value, int decimals);

#endif
