/* Two passes: a recursive-descent check of RFC 8259 plus our own refusals, then cJSON builds the
 * tree, which is searched for duplicate names once escapes are decoded. cJSON reads numbers with
 * strtod(), so it runs under the C locale of this thread. */
#include "lib/json/json_reader.h"

#include <cjson/cJSON.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse_number.h"
#include "lib/base/text.h"

/* cJSON copies a number into 64 bytes and reads on behind them; no number of ours is that long. */
enum { NUMBER_MAX_BYTES = 63 };

struct json_document {
    cJSON *root;
};

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

struct checker {
    const char *text;
    size_t len, at;
    const char *reason; /* of the first refusal */
};

static bool refuse(struct checker *c, const char *reason)
{
    if (c->reason == NULL)
        c->reason = reason;
    return false;
}

/* The byte at the position, or -1 at the end. */
static int peek(const struct checker *c)
{
    return c->at < c->len ? (unsigned char)c->text[c->at] : -1;
}

static bool take(struct checker *c, char expected)
{
    if (peek(c) != expected)
        return false;
    c->at++;
    return true;
}

static void skip_space(struct checker *c)
{
    while (peek(c) == ' ' || peek(c) == '\t' || peek(c) == '\n' || peek(c) == '\r')
        c->at++;
}

static bool take_digits(struct checker *c)
{
    size_t start = c->at;

    while (peek(c) >= '0' && peek(c) <= '9')
        c->at++;
    return c->at > start;
}

static bool number_is_finite(const char *text, size_t len)
{
    char copy[NUMBER_MAX_BYTES + 1];

    memcpy(copy, text, len);
    copy[len] = '\0';
    return isfinite(strtod_l(copy, NULL, c_locale));
}

static bool check_number(struct checker *c)
{
    size_t start = c->at, first_digit;

    (void)take(c, '-');
    first_digit = c->at;
    if (!take_digits(c))
        return refuse(c, "expected a value");
    if (c->text[first_digit] == '0' && c->at > first_digit + 1)
        return refuse(c, "number with a leading zero");
    if (take(c, '.') && !take_digits(c))
        return refuse(c, "expected a digit after the point");
    if (take(c, 'e') || take(c, 'E')) {
        if (!take(c, '+'))
            (void)take(c, '-');
        if (!take_digits(c))
            return refuse(c, "expected a digit in the exponent");
    }
    if (c->at - start > NUMBER_MAX_BYTES)
        return refuse(c, "number longer than 63 bytes");
    if (!number_is_finite(c->text + start, c->at - start))
        return refuse(c, "number out of range");
    return true;
}

/* The four digits behind \u; the position is on the first of them. */
static bool check_hex4(struct checker *c, unsigned *ret_unit)
{
    uint64_t unit;

    if (c->len - c->at < 4 || parse_hex64(c->text + c->at, 4, &unit) != STATUS_OK)
        return refuse(c, "\\u needs four hexadecimal digits");
    c->at += 4;
    *ret_unit = (unsigned)unit;
    return true;
}

static bool check_unicode_escape(struct checker *c)
{
    unsigned unit, low;

    if (!check_hex4(c, &unit))
        return false;
    if (unit == 0)
        return refuse(c, "\\u0000 is not accepted");
    if (unit < 0xD800 || unit > 0xDFFF)
        return true;
    if (unit > 0xDBFF || !take(c, '\\') || !take(c, 'u'))
        return refuse(c, "lone surrogate");
    if (!check_hex4(c, &low))
        return false;
    return (low >= 0xDC00 && low <= 0xDFFF) || refuse(c, "lone surrogate");
}

static bool check_string(struct checker *c)
{
    if (!take(c, '"'))
        return refuse(c, "expected a string");
    for (;;) {
        int byte = peek(c);
        size_t used;
        if (byte < 0)
            return refuse(c, "string without an end");
        if (byte < 0x20)
            return refuse(c, "control character in a string");
        if (byte == '"') {
            c->at++;
            return true;
        }
        if (byte == '\\') {
            c->at++;
            if (take(c, 'u')) {
                if (!check_unicode_escape(c))
                    return false;
                continue;
            }
            if (peek(c) <= 0 || strchr("\"\\/bfnrt", peek(c)) == NULL)
                return refuse(c, "unknown escape");
            c->at++;
            continue;
        }
        used = utf8_sequence_length(c->text + c->at, c->len - c->at);
        if (used == 0)
            return refuse(c, "invalid UTF-8");
        c->at += used;
    }
}

static bool check_word(struct checker *c, const char *word)
{
    size_t len = strlen(word);

    if (c->len - c->at < len || memcmp(c->text + c->at, word, len) != 0)
        return refuse(c, "expected a value");
    c->at += len;
    return true;
}

static bool check_value(struct checker *c, int depth);

/* The inside of an object or array, from behind its opening bracket. */
static bool check_children(struct checker *c, int depth, bool named, char closing)
{
    if (depth > JSON_MAX_DEPTH)
        return refuse(c, "nested too deeply");
    skip_space(c);
    if (take(c, closing))
        return true;
    do {
        skip_space(c);
        if (named) {
            if (!check_string(c))
                return false;
            skip_space(c);
            if (!take(c, ':'))
                return refuse(c, "expected ':'");
            skip_space(c);
        }
        if (!check_value(c, depth))
            return false;
        skip_space(c);
    } while (take(c, ','));
    return take(c, closing) || refuse(c, named ? "expected ',' or '}'" : "expected ',' or ']'");
}

static bool check_value(struct checker *c, int depth)
{
    switch (peek(c)) {
    case '{': c->at++; return check_children(c, depth + 1, true, '}');
    case '[': c->at++; return check_children(c, depth + 1, false, ']');
    case '"': return check_string(c);
    case 't': return check_word(c, "true");
    case 'f': return check_word(c, "false");
    case 'n': return check_word(c, "null");
    default: return check_number(c);
    }
}

static bool check_document(struct checker *c)
{
    skip_space(c);
    if (!check_value(c, 0))
        return false;
    skip_space(c);
    return c->at == c->len || refuse(c, "bytes after the value");
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, not compared pairwise: a body of many short names must not cost its square. */
static enum status check_names(const cJSON *object, struct err *err)
{
    size_t n = 0, i = 0;
    const char **names;
    enum status status = STATUS_OK;

    for (const cJSON *child = object->child; child != NULL; child = child->next)
        n++;
    if (n < 2)
        return STATUS_OK;
    names = malloc(n * sizeof *names);
    if (names == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    for (const cJSON *child = object->child; child != NULL; child = child->next)
        names[i++] = child->string;
    qsort(names, n, sizeof *names, compare_names);
    for (i = 1; i < n && status == STATUS_OK; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            status = err_fail(err, STATUS_INVALID, "invalid JSON: duplicate member \"%.64s\"", names[i]);
    free(names);
    return status;
}

static enum status check_all_names(const cJSON *value, struct err *err)
{
    enum status status = cJSON_IsObject(value) ? check_names(value, err) : STATUS_OK;

    for (const cJSON *child = value->child; child != NULL && status == STATUS_OK; child = child->next)
        status = check_all_names(child, err);
    return status;
}

static cJSON *build_tree(const char *text, size_t len)
{
    locale_t before = uselocale(c_locale);
    cJSON *root = cJSON_ParseWithLength(text, len);

    (void)uselocale(before);
    return root;
}

enum status json_parse(const char *text, size_t len, struct json_document **ret_document, struct err *err)
{
    struct checker checker = {.text = text, .len = len};
    struct json_document *document;
    enum status status;

    (void)pthread_once(&c_locale_once, make_c_locale);
    if (c_locale == (locale_t)0)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    if (!check_document(&checker))
        return err_fail(err, STATUS_INVALID, "invalid JSON at byte %zu: %s", checker.at + 1, checker.reason);
    document = calloc(1, sizeof *document);
    if (document == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    document->root = build_tree(text, len);
    if (document->root == NULL)
        status = err_fail(err, STATUS_NO_MEMORY, "out of memory");
    else
        status = check_all_names(document->root, err);
    if (status == STATUS_OK)
        *ret_document = document;
    else
        json_document_free(&document);
    return status;
}

void json_document_free(struct json_document **document)
{
    if (*document == NULL)
        return;
    cJSON_Delete((*document)->root);
    free(*document);
    *document = NULL;
}

static const cJSON *node_of(const struct json_value *value)
{
    return (const cJSON *)(const void *)value;
}

static const struct json_value *value_of(const cJSON *node)
{
    return (const struct json_value *)(const void *)node;
}

const struct json_value *json_root(const struct json_document *document)
{
    return value_of(document->root);
}

enum json_type json_type_of(const struct json_value *value)
{
    const cJSON *node = node_of(value);

    if (cJSON_IsObject(node))
        return JSON_OBJECT;
    if (cJSON_IsArray(node))
        return JSON_ARRAY;
    if (cJSON_IsString(node))
        return JSON_STRING;
    if (cJSON_IsNumber(node))
        return JSON_NUMBER;
    return cJSON_IsBool(node) ? JSON_BOOL : JSON_NULL;
}

const struct json_value *json_member(const struct json_value *object, const char *name)
{
    if (object == NULL || json_type_of(object) != JSON_OBJECT)
        return NULL;
    return value_of(cJSON_GetObjectItemCaseSensitive(node_of(object), name));
}

size_t json_length(const struct json_value *array_or_object)
{
    size_t n = 0;

    for (const struct json_value *v = json_first_child(array_or_object); v != NULL; v = json_next_sibling(v))
        n++;
    return n;
}

const struct json_value *json_first_child(const struct json_value *array_or_object)
{
    return array_or_object == NULL ? NULL : value_of(node_of(array_or_object)->child);
}

const struct json_value *json_next_sibling(const struct json_value *value)
{
    return value_of(node_of(value)->next);
}

const char *json_child_name(const struct json_value *value)
{
    return node_of(value)->string;
}

const char *json_get_string(const struct json_value *value)
{
    return value != NULL && cJSON_IsString(node_of(value)) ? node_of(value)->valuestring : NULL;
}

enum status json_get_int(const struct json_value *value, int64_t *ret_value)
{
    double number;

    if (json_get_double(value, &number) != STATUS_OK || fabs(number) >= 0x1p53 || number != floor(number))
        return STATUS_INVALID;
    *ret_value = (int64_t)number;
    return STATUS_OK;
}

enum status json_get_double(const struct json_value *value, double *ret_value)
{
    if (value == NULL || !cJSON_IsNumber(node_of(value)))
        return STATUS_INVALID;
    *ret_value = node_of(value)->valuedouble;
    return STATUS_OK;
}

enum status json_get_bool(const struct json_value *value, bool *ret_value)
{
    if (value == NULL || !cJSON_IsBool(node_of(value)))
        return STATUS_INVALID;
    *ret_value = cJSON_IsTrue(node_of(value)) != 0;
    return STATUS_OK;
}
