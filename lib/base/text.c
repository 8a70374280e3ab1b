#include "lib/base/text.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

size_t utf8_sequence_length(const char *bytes, size_t len)
{
    unsigned first, second;
    size_t need;

    if (len == 0)
        return 0;
    first = (unsigned char)bytes[0];
    if (first < 0x80)
        return 1;
    if (first < 0xC2 || first > 0xF4)
        return 0;
    need = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (len < need)
        return 0;
    for (size_t i = 1; i < need; i++)
        if (!is_continuation(bytes[i]))
            return 0;
    second = (unsigned char)bytes[1];
    if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) || (first == 0xF0 && second < 0x90) ||
        (first == 0xF4 && second > 0x8F))
        return 0; /* overlong, surrogate, beyond U+10FFFF */
    return need;
}

bool utf8_is_valid(const char *bytes, size_t len)
{
    while (len > 0) {
        size_t used = (unsigned char)*bytes < 0x80 ? 1 : utf8_sequence_length(bytes, len);
        if (used == 0)
            return false;
        bytes += used;
        len -= used;
    }
    return true;
}

static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* The six bits of a character, -1 when it is not of the alphabet, whose last two are given. */
static int sextet_of(char c, const char *alphabet)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == alphabet[62])
        return 62;
    return c == alphabet[63] ? 63 : -1;
}

static enum status decode_sextets(const char *text, size_t len, const char *alphabet, struct buf *out)
{
    unsigned bits = 0, n_bits = 0;

    if (len % 4 == 1)
        return STATUS_INVALID;
    if (!buf_reserve(out, len / 4 * 3 + 3))
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < len; i++) {
        int sextet = sextet_of(text[i], alphabet);
        if (sextet < 0)
            return STATUS_INVALID;
        bits = (bits << 6 | (unsigned)sextet) & 0xFFFF;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            buf_append_char(out, (char)(bits >> n_bits & 0xFF));
        }
    }
    return (bits & ((1u << n_bits) - 1)) == 0 ? STATUS_OK : STATUS_INVALID;
}

enum status base64_decode(const char *text, size_t len, struct buf *out)
{
    size_t padding = 0;

    if (len % 4 != 0)
        return STATUS_INVALID;
    while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
        padding++;
    return decode_sextets(text, len - padding, base64_alphabet, out);
}

enum status base64url_decode(const char *text, size_t len, struct buf *out)
{
    return decode_sextets(text, len, base64url_alphabet, out);
}

void base64url_append(struct buf *out, const void *bytes, size_t len)
{
    const unsigned char *in = bytes;

    for (size_t i = 0; i < len; i += 3) {
        size_t have = len - i < 3 ? len - i : 3;
        unsigned group =
            (unsigned)in[i] << 16 | (have > 1 ? (unsigned)in[i + 1] << 8 : 0) | (have > 2 ? in[i + 2] : 0u);
        char text[4] = {base64url_alphabet[group >> 18], base64url_alphabet[group >> 12 & 63],
                        base64url_alphabet[group >> 6 & 63], base64url_alphabet[group & 63]};
        buf_append(out, text, have + 1);
    }
}

uint64_t text_hash(const char *bytes, size_t len)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
    return hash;
}

/* All eight digits at once, one in each byte of a word. */
static void format_digits(uint32_t value, char text[8])
{
    uint64_t digits = value;

    digits = (digits << 16 | digits) & UINT64_C(0x0000ffff0000ffff);
    digits = (digits << 8 | digits) & UINT64_C(0x00ff00ff00ff00ff);
    digits = (digits << 4 | digits) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    /* 6 more than a digit from 10 on reaches the bit of 16 */
    uint64_t letters = (digits + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    digits = htobe64(digits + letters * ('a' - '0' - 10) + UINT64_C(0x3030303030303030));
    memcpy(text, &digits, sizeof digits);
}

void hex64_format(uint64_t value, char text[17])
{
    format_digits((uint32_t)(value >> 32), text);
    format_digits((uint32_t)value, text + 8);
    text[16] = '\0';
}

static int hex_digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Length of the part of `text` that stands for itself. */
static size_t literal_run(const char *text, size_t len, bool plus_is_space)
{
    size_t at = 0;

    while (at < len && text[at] != '%' && text[at] != '\0' && (text[at] != '+' || !plus_is_space))
        at++;
    return at;
}

enum status percent_decode(const char *text, size_t len, bool plus_is_space, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        size_t run = literal_run(text + i, len - i, plus_is_space);
        char c = ' ';

        buf_append(out, text + i, run);
        i += run;
        if (i == len)
            break;
        if (text[i] != '+') {
            int high = i + 2 < len ? hex_digit_of(text[i + 1]) : -1;
            int low = i + 2 < len ? hex_digit_of(text[i + 2]) : -1;
            if (text[i] == '\0' || high < 0 || low < 0)
                return STATUS_INVALID;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0')
            return STATUS_INVALID;
        buf_append_char(out, c);
    }
    return buf_status(out);
}

void text_array_free(char **texts, size_t n)
{
    for (size_t i = 0; texts != NULL && i < n; i++)
        free(texts[i]);
    free(texts);
}
