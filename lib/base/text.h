/* Small encodings: UTF-8 checks, base64, hexadecimal, percent-encoding; lists of texts. */
#ifndef PNLCACHE_BASE_TEXT_H
#define PNLCACHE_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/status.h"

/* Length (1..4) of the valid UTF-8 sequence at `bytes` (shortest form, no surrogates, at most
 * U+10FFFF), 0 when there is none. */
size_t utf8_sequence_length(const char *bytes, size_t len);
bool utf8_is_valid(const char *bytes, size_t len);

/* Strict base64 (RFC 4648 section 4, with padding) and base64url (section 5, without padding):
 * wrong alphabet, wrong padding and non-zero trailing bits are STATUS_INVALID. Output is appended. */
enum status base64_decode(const char *text, size_t len, struct buf *out) MUST_CHECK;
enum status base64url_decode(const char *text, size_t len, struct buf *out) MUST_CHECK;
void base64url_append(struct buf *out, const void *bytes, size_t len);

/* FNV-1a, for tables. The parts of tags (jobs/event.h) are numbered by it in every program, so its values stay. */
uint64_t text_hash(const char *bytes, size_t len);
void hex64_format(uint64_t value, char text[17]); /* 16 lower-case digits and a NUL */

/* Percent-decodes `len` bytes ('+' means space when `plus_is_space`). STATUS_INVALID: a '%' that is
 * not followed by two hexadecimal digits, or a decoded NUL. Output is appended. */
enum status percent_decode(const char *text, size_t len, bool plus_is_space, struct buf *out) MUST_CHECK;

/* Frees n texts on the heap and their array; NULL is an empty list. */
void text_array_free(char **texts, size_t n);

#endif
