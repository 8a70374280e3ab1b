/* The header line: read and written by hand, because every hit reads one and a precompute run writes one for each
 * document. The layout is fixed, so the reader is a row of "this literal, then so many digits"; it allocates nothing
 * and stops at the first odd byte. */
#include <assert.h>
#include <string.h>
#include <xxhash.h>

#include "lib/base/text.h"
#include "lib/store/cache.h"
#include "lib/store/cache_internal.h"

#define DIGITS_17_MAX INT64_C(99999999999999999) /* the year 5138; stands for "never" */
#define COST_MAX 99999999

struct cursor {
    const char *at, *end;
};

static bool take_literal(struct cursor *c, const char *literal, size_t len)
{
    if ((size_t)(c->end - c->at) < len || memcmp(c->at, literal, len) != 0)
        return false;
    c->at += len;
    return true;
}
#define TAKE(c, literal) take_literal((c), (literal), sizeof(literal) - 1)

static bool take_decimal(struct cursor *c, size_t digits, int64_t *ret_value)
{
    int64_t value = 0;

    if ((size_t)(c->end - c->at) < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (c->at[i] < '0' || c->at[i] > '9')
            return false;
        value = value * 10 + (c->at[i] - '0');
    }
    c->at += digits;
    *ret_value = value;
    return true;
}

/* -1: it is none. A hit looks at 150 of them. */
static int hex_digit(char c)
{
    static const signed char value_and_one[256] = {['0'] = 1, 2,  3,          4,  5,  6,  7,  8,
                                                   9,         10, ['a'] = 11, 12, 13, 14, 15, 16};

    return value_and_one[(unsigned char)c] - 1;
}

static bool take_hex_text(struct cursor *c, size_t digits, char *text)
{
    if ((size_t)(c->end - c->at) < digits)
        return false;
    for (size_t i = 0; i < digits; i++)
        if (hex_digit(c->at[i]) < 0)
            return false;
    memcpy(text, c->at, digits);
    text[digits] = '\0';
    c->at += digits;
    return true;
}

bool cache_parse_epoch(const char *text, size_t len, uint64_t *ret_epoch)
{
    uint64_t value = 0;

    if (len != CACHE_EPOCH_DIGITS)
        return false;
    for (size_t i = 0; i < CACHE_EPOCH_DIGITS; i++) {
        int digit = hex_digit(text[i]);

        if (digit < 0)
            return false;
        value = value << 4 | (uint64_t)digit;
    }
    *ret_epoch = value;
    return true;
}

static bool take_hex(struct cursor *c, uint64_t *ret_value)
{
    if (c->end - c->at < CACHE_EPOCH_DIGITS || !cache_parse_epoch(c->at, CACHE_EPOCH_DIGITS, ret_value))
        return false;
    c->at += CACHE_EPOCH_DIGITS;
    return true;
}

static bool take_instant(struct cursor *c, struct instant *ret_instant)
{
    if (!take_decimal(c, 17, &ret_instant->us))
        return false;
    if (ret_instant->us == DIGITS_17_MAX)
        *ret_instant = INSTANT_NEVER;
    return true;
}

/* In the order of enum cache_encoding. */
static const char encoding_letters[] = "ign";

static bool take_encoding(struct cursor *c, enum cache_encoding *ret_encoding)
{
    const char *letter = c->at == c->end || *c->at == '\0' ? NULL : strchr(encoding_letters, *c->at);

    if (letter == NULL)
        return false;
    *ret_encoding = (enum cache_encoding)(letter - encoding_letters);
    c->at++;
    return true;
}

static bool is_tag_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

static bool take_tag(struct cursor *c, struct cache_header *h)
{
    size_t i = h->n_epochs, len = 0;

    if (i == CACHE_MAX_TAGS)
        return false;
    h->epochs[i].shared = TAKE(c, "@");
    while (c->at < c->end && is_tag_byte(*c->at)) {
        if (len == CACHE_TAG_MAX - 1)
            return false;
        h->epochs[i].tag[len++] = *c->at++;
    }
    h->epochs[i].tag[len] = '\0';
    h->n_epochs++;
    return len > 0 && TAKE(c, ":") && take_hex(c, &h->epochs[i].epoch);
}

static bool take_epochs(struct cursor *c, struct cache_header *h)
{
    h->n_epochs = 0;
    if (TAKE(c, "\n"))
        return true;
    do {
        if (!take_tag(c, h))
            return false;
    } while (TAKE(c, ","));
    return TAKE(c, "\n");
}

bool cache_header_take(const char *value, size_t len, struct cache_header *h, size_t *ret_width)
{
    struct cursor c = {value, value + len};
    int64_t size;

    if (!(TAKE(&c, "PNLC1 etag=") && take_hex_text(&c, 32, h->etag) && TAKE(&c, " content=") &&
          take_hex_text(&c, 32, h->content) && TAKE(&c, " instance=") &&
          take_hex_text(&c, REDIS_INSTANCE_SIZE - 1, h->instance) && TAKE(&c, " computed=") &&
          take_instant(&c, &h->computed_at) && TAKE(&c, " until=") && take_instant(&c, &h->valid_until) &&
          TAKE(&c, " expires=") && take_instant(&c, &h->expires_at) && TAKE(&c, " cost=") &&
          take_decimal(&c, 8, &h->cost_us) && TAKE(&c, " enc=") && take_encoding(&c, &h->encoding) &&
          TAKE(&c, " size=") && take_decimal(&c, 9, &size) && TAKE(&c, " sum=") && take_hex(&c, &h->body_sum) &&
          TAKE(&c, " epochs=") && take_epochs(&c, h)))
        return false;
    h->body_size = (size_t)size;
    *ret_width = (size_t)(c.at - value);
    return true;
}

enum status cache_value_parse(const char *value, size_t len, struct cache_header *ret_header, const char **ret_body,
                              struct err *err)
{
    struct cache_header header;
    size_t width;

    if (!cache_header_take(value, len, &header, &width))
        return err_fail(err, STATUS_INVALID, "the value has no header of this version");
    if (len - width != header.body_size)
        return err_fail(err, STATUS_INVALID, "the value's body has %zu bytes instead of %zu", len - width,
                        header.body_size);
    if (XXH3_64bits(value + width, header.body_size) != header.body_sum)
        return err_fail(err, STATUS_INVALID, "the value's body does not match its sum");
    *ret_header = header;
    *ret_body = value + width;
    return STATUS_OK;
}

static void append_text(struct buf *out, const char *name, const char *value)
{
    buf_append_string(out, name);
    buf_append_string(out, value);
}

/* Exactly `digits` digits; what does not fit becomes the smallest or largest number that does. */
static void append_decimal(struct buf *out, const char *name, int64_t value, size_t digits, int64_t max)
{
    char text[18] = "";
    int64_t rest = value < 0 ? 0 : value > max ? max : value;

    for (size_t i = digits; i > 0; i--, rest /= 10)
        text[i - 1] = (char)('0' + rest % 10);
    append_text(out, name, text);
}

static void append_hex(struct buf *out, const char *name, uint64_t value)
{
    char text[17];

    hex64_format(value, text);
    append_text(out, name, text);
}

void cache_header_append(struct buf *out, const struct cache_header *h)
{
    assert(strlen(h->etag) == 32 && strlen(h->content) == 32 && strlen(h->instance) == REDIS_INSTANCE_SIZE - 1);
    assert(h->body_size <= CACHE_BODY_MAX && h->n_epochs <= CACHE_MAX_TAGS);
    append_text(out, "PNLC1 etag=", h->etag);
    append_text(out, " content=", h->content);
    append_text(out, " instance=", h->instance);
    append_decimal(out, " computed=", h->computed_at.us, 17, DIGITS_17_MAX);
    append_decimal(out, " until=", h->valid_until.us, 17, DIGITS_17_MAX);
    append_decimal(out, " expires=", h->expires_at.us, 17, DIGITS_17_MAX);
    append_decimal(out, " cost=", h->cost_us, 8, COST_MAX);
    append_text(out, " enc=", (const char[]){encoding_letters[h->encoding], '\0'});
    append_decimal(out, " size=", (int64_t)h->body_size, 9, CACHE_BODY_MAX);
    append_hex(out, " sum=", h->body_sum);
    append_text(out, " epochs=", "");
    for (size_t i = 0; i < h->n_epochs; i++) {
        append_text(out, i > 0 ? "," : "", h->epochs[i].shared ? "@" : "");
        append_text(out, h->epochs[i].tag, ":");
        append_hex(out, "", h->epochs[i].epoch);
    }
    buf_append_char(out, '\n');
}
