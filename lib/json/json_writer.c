/* The documents of a precompute run are hundreds of megabytes of numbers and fixed keys, so numbers
 * are formatted by hand and text is copied in runs between the bytes that need an escape. */
#include "lib/json/json_writer.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/text.h"

enum { MAX_DECIMALS = 18 };

void json_init(struct json_writer *w, struct buf *out)
{
    *w = (struct json_writer){.out = out};
}

/* Room for `extra` bytes, and the comma before a value that is not the first. Callers write the
 * bytes themselves and account for them in `len`. NULL after a failure. */
static char *begin_value(struct json_writer *w, size_t extra)
{
    struct buf *out = w->out;

    if (!buf_reserve(out, extra + 1))
        return NULL;
    if (w->need_comma)
        out->data[out->len++] = ',';
    w->need_comma = true;
    return out->data + out->len;
}

static void end_value(struct json_writer *w, size_t len)
{
    w->out->len += len;
    w->out->data[w->out->len] = '\0';
}

static void put_value(struct json_writer *w, const char *bytes, size_t len)
{
    char *at = begin_value(w, len);

    if (at == NULL)
        return;
    memcpy(at, bytes, len);
    end_value(w, len);
}

static void open_level(struct json_writer *w, char bracket)
{
    put_value(w, &bracket, 1);
    w->need_comma = false;
}

static void close_level(struct json_writer *w, char bracket)
{
    buf_append_char(w->out, bracket);
    w->need_comma = true;
}

void json_object_begin(struct json_writer *w)
{
    open_level(w, '{');
}

void json_object_end(struct json_writer *w)
{
    close_level(w, '}');
}

void json_array_begin(struct json_writer *w)
{
    open_level(w, '[');
}

void json_array_end(struct json_writer *w)
{
    close_level(w, ']');
}

void json_key(struct json_writer *w, const char *key)
{
    size_t len = strlen(key);
    char *at = begin_value(w, len + 3);

    if (at == NULL)
        return;
    at[0] = '"';
    memcpy(at + 1, key, len);
    at[len + 1] = '"';
    at[len + 2] = ':';
    end_value(w, len + 3);
    w->need_comma = false;
}

static void append_control(struct buf *out, unsigned char c)
{
    static const char short_names[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    char escape[6] = {'\\', 'u', '0', '0', "0123456789abcdef"[c >> 4], "0123456789abcdef"[c & 15]};

    if (c < sizeof short_names && short_names[c] != '\0') {
        escape[1] = short_names[c];
        buf_append(out, escape, 2);
    } else {
        buf_append(out, escape, sizeof escape);
    }
}

/* Length of the part of `bytes` that can be copied as it is. */
static size_t plain_run(const char *bytes, size_t len)
{
    size_t at = 0;

    while (at < len) {
        unsigned char c = (unsigned char)bytes[at];
        size_t used = 1;
        if (c < 0x20 || c == '"' || c == '\\')
            break;
        if (c >= 0x80 && (used = utf8_sequence_length(bytes + at, len - at)) == 0)
            break;
        at += used;
    }
    return at;
}

static void append_quoted(struct buf *out, const char *bytes, size_t len)
{
    buf_append_char(out, '"');
    while (len > 0) {
        size_t run = plain_run(bytes, len);
        buf_append(out, bytes, run);
        bytes += run;
        len -= run;
        if (len == 0)
            break;
        if (*bytes == '"' || *bytes == '\\') {
            char escape[2] = {'\\', *bytes};
            buf_append(out, escape, 2);
        } else if ((unsigned char)*bytes < 0x20) {
            append_control(out, (unsigned char)*bytes);
        } else {
            buf_append(out, "\xEF\xBF\xBD", 3);
        }
        bytes++;
        len--;
    }
    buf_append_char(out, '"');
}

void json_key_text(struct json_writer *w, const char *key, size_t len)
{
    put_value(w, "", 0);
    append_quoted(w->out, key, len);
    buf_append_char(w->out, ':');
    w->need_comma = false;
}

void json_string(struct json_writer *w, const char *text)
{
    if (text == NULL)
        json_null(w);
    else
        json_string_bytes(w, text, strlen(text));
}

void json_string_bytes(struct json_writer *w, const char *bytes, size_t len)
{
    put_value(w, "", 0);
    append_quoted(w->out, bytes, len);
}

/* value x 10^-decimals of a 64-bit magnitude, trailing zeros left out. */
static void put_number(struct json_writer *w, bool negative, uint64_t value, int decimals)
{
    char text[24], *end = text + sizeof text, *start = end;

    for (; decimals > 0 && value % 10 == 0; decimals--)
        value /= 10;
    negative = negative && value != 0;
    if (decimals > 0) {
        for (; decimals > 0; decimals--) {
            *--start = (char)('0' + value % 10);
            value /= 10;
        }
        *--start = '.';
    }
    do {
        *--start = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    if (negative)
        *--start = '-';
    put_value(w, start, (size_t)(end - start));
}

void json_int(struct json_writer *w, int64_t value)
{
    put_number(w, value < 0, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 0);
}

void json_bool(struct json_writer *w, bool value)
{
    put_value(w, value ? "true" : "false", value ? 4 : 5);
}

void json_null(struct json_writer *w)
{
    put_value(w, "null", 4);
}

void json_null_number(struct json_writer *w)
{
    if (w->null_as_zero)
        put_value(w, "0", 1);
    else
        json_null(w);
}

void json_decimal(struct json_writer *w, wide_int value, int scale, int decimals)
{
    put_value(w, "", 0);
    decimal_append_short(w->out, value, scale, decimals);
}

void json_ratio(struct json_writer *w, wide_int numerator, wide_int denominator, int decimals)
{
    if (denominator == 0) {
        json_null_number(w);
        return;
    }
    put_value(w, "", 0);
    ratio_append(w->out, numerator, denominator, decimals, false);
}

static const double powers_of_ten[MAX_DECIMALS + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8, 1e9,
                                                       1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18};

/* Values too large for the fast way. They are at least 2^51 / 10^18 > 2^-9 in size, so that the
 * mantissa times 10^decimals (below 2^113) over a power of two (at most 2^61) is exact in 128 bits. */
static void put_large_double(struct json_writer *w, double value, int decimals)
{
    char digits[320];
    int exponent;
    int64_t mantissa = (int64_t)ldexp(frexp(value, &exponent), 53);

    exponent -= 53;
    if (exponent >= 0) {
        /* An integer: the C library prints it exactly, and no decimal point that a locale could change. */
        int len = snprintf(digits, sizeof digits, "%.0f", value);
        put_value(w, digits, (size_t)len);
        return;
    }
    put_value(w, "", 0);
    decimal_append_short(
        w->out, wide_divide_round((wide_int)mantissa * (int64_t)powers_of_ten[decimals], (wide_int)1 << -exponent),
        decimals, decimals);
}

void json_double(struct json_writer *w, double value, int decimals)
{
    double size = fabs(value), scaled, whole, over_half;

    assert(decimals >= 0 && decimals <= MAX_DECIMALS);
    if (!isfinite(value)) {
        json_null_number(w);
        return;
    }
    scaled = size * powers_of_ten[decimals];
    if (scaled >= 0x1p51) {
        put_large_double(w, value, decimals);
        return;
    }
    /* `scaled` is the product rounded to a double. Below 2^51 the subtractions are exact, and the
     * rounding error can decide only when `scaled` looks like a tie; then fma() tells its sign. */
    whole = (double)(int64_t)scaled;
    over_half = scaled - whole - 0.5;
    if (over_half > 0 || (over_half == 0 && fma(size, powers_of_ten[decimals], -scaled) >= 0))
        whole += 1;
    put_number(w, value < 0, (uint64_t)whole, decimals);
}
