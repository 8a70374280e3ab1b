/* Strict JSON input. cJSON builds the tree, but only after our own check has refused what it would
 * let pass: duplicate members, invalid UTF-8, lone surrogates, \u0000, leading zeros, trailing bytes,
 * numbers beyond a double's range, nesting over JSON_MAX_DEPTH. Member names are case-sensitive.
 * The only module that includes cJSON. */
#ifndef PNLCACHE_JSON_READER_H
#define PNLCACHE_JSON_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

#define JSON_MAX_DEPTH 32

struct json_value; /* a node of a parsed document, borrowed from its struct json_document */
struct json_document;

/* Parses `len` bytes (need not be NUL-terminated). STATUS_INVALID with position and reason. */
enum status json_parse(const char *text, size_t len, struct json_document **ret_document, struct err *err) MUST_CHECK;
void json_document_free(struct json_document **document);
const struct json_value *json_root(const struct json_document *document);

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
enum json_type json_type_of(const struct json_value *value);

/* NULL when `object` is NULL, is not an object or has no such member. */
const struct json_value *json_member(const struct json_value *object, const char *name);
size_t json_length(const struct json_value *array_or_object);
const struct json_value *json_first_child(const struct json_value *array_or_object);
const struct json_value *json_next_sibling(const struct json_value *value);
const char *json_child_name(const struct json_value *value); /* of an object's member */

/* NULL when it is not a string. Borrowed until the document is freed. */
const char *json_get_string(const struct json_value *value);
/* STATUS_INVALID unless it is a number with an integral value below 2^53 in size (2^53 itself may be 2^53+1,
 * rounded). */
enum status json_get_int(const struct json_value *value, int64_t *ret_value) MUST_CHECK;
enum status json_get_double(const struct json_value *value, double *ret_value) MUST_CHECK;
enum status json_get_bool(const struct json_value *value, bool *ret_value) MUST_CHECK;

#endif
