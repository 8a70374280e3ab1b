#include "jobs/dataset_value.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/calendar.h"
#include "lib/base/clock.h"
#include "lib/base/money.h"
#include "lib/base/parse_number.h"
#include "lib/base/text.h"

static const struct {
    const char *name, *cast, *list_cast;
} types[DATASET_TYPES] = {
    [DATASET_INTEGER] = {"integer", "bigint", "bigint[]"},
    [DATASET_DECIMAL] = {"decimal", "numeric", "numeric[]"},
    [DATASET_DATE] = {"date", "date", "date[]"},
    [DATASET_TIME] = {"time", "timestamptz", "timestamptz[]"},
    [DATASET_TEXT] = {"text", "text", "text[]"},
    [DATASET_CHOICE] = {"choice", "text", "text[]"},
    [DATASET_BOOLEAN] = {"boolean", "boolean", "boolean[]"},
    [DATASET_SYMBOL] = {"symbol", "text", "text[]"},
};

const char *dataset_type_name(enum dataset_type type)
{
    return types[type].name;
}

const char *dataset_param_cast(const struct dataset_param *param)
{
    return param->list_max > 0 ? types[param->type].list_cast : types[param->type].cast;
}

void dataset_param_set_bounds(struct dataset_param *param)
{
    param->min = INT64_MIN;
    param->max = param->type == DATASET_TEXT ? 200 : INT64_MAX;
}

enum status dataset_bound_parse(enum dataset_type type, const char *text, int64_t *ret_bound)
{
    return type == DATASET_DECIMAL ? money_parse(text, ret_bound) : parse_int64(text, INT64_MIN, INT64_MAX, ret_bound);
}

static void append_bound(const struct dataset_param *p, int64_t bound, struct buf *out)
{
    if (p->type == DATASET_DECIMAL)
        decimal_append_short(out, bound, 8, 8);
    else
        buf_append_int(out, bound);
}

void dataset_param_describe(const struct dataset_param *p, struct buf *out)
{
    if (p->list_max > 0)
        buf_append_format(out, "list %zu ", p->list_max);
    buf_append_string(out, types[p->type].name);
    if (p->type == DATASET_CHOICE)
        buf_append_format(out, " %s", p->choices);
    if (p->type == DATASET_TEXT)
        buf_append_format(out, " %lld", (long long)p->max);
    if ((p->type == DATASET_INTEGER || p->type == DATASET_DECIMAL) && p->min != INT64_MIN) {
        buf_append_char(out, ' ');
        append_bound(p, p->min, out);
        buf_append_string(out, "..");
        append_bound(p, p->max, out);
        if (p->or_all)
            buf_append_string(out, "|all");
    }
    if (p->fallback != NULL)
        buf_append_format(out, " = %s", p->fallback);
    else if (p->required)
        buf_append_string(out, " required");
}

/* --- one value ------------------------------------------------------------------------------- */

static enum status parse_number(const struct dataset_param *p, const char *text, struct buf *out, struct err *err)
{
    bool whole = p->type == DATASET_INTEGER;
    int64_t value;
    enum status status = dataset_bound_parse(p->type, text, &value);
    struct buf bounds = BUF_INIT;

    if (status == STATUS_OK && value >= p->min && value <= p->max) {
        append_bound(p, value, out);
        return STATUS_OK;
    }
    if (p->or_all && strcasecmp(text, DATASET_ALL) == 0) {
        buf_append_string(out, DATASET_ALL);
        return STATUS_OK;
    }
    if (p->min == INT64_MIN)
        return err_fail(err, STATUS_INVALID, whole ? "must be a whole number" : "must be a decimal number");
    append_bound(p, p->min, &bounds);
    buf_append_string(&bounds, " to ");
    append_bound(p, p->max, &bounds);
    status = err_fail(err, STATUS_INVALID, "must be a %s from %s%s", whole ? "whole number" : "decimal number",
                      bounds.data, p->or_all ? ", or all" : "");
    buf_release(&bounds);
    return status;
}

static enum status parse_date(const char *text, struct buf *out, struct err *err)
{
    struct date date;

    if (date_parse(text, &date) != STATUS_OK)
        return err_fail(err, STATUS_INVALID, "must be a date, YYYY-MM-DD");
    buf_append_string(out, text);
    return STATUS_OK;
}

static enum status parse_time(const char *text, struct buf *out, struct err *err)
{
    char canonical[INSTANT_TEXT_SIZE];
    struct instant instant;
    struct date date;
    enum status status = date_parse(text, &date);

    if (status == STATUS_OK)
        buf_append_format(out, "%sT00:00:00Z", text);
    else if (instant_parse(text, &instant) == STATUS_OK) {
        instant_format(instant, canonical);
        buf_append_string(out, canonical);
    } else {
        return err_fail(err, STATUS_INVALID, "must be a time, as 2025-01-02T15:00:00Z, or a date");
    }
    return STATUS_OK;
}

static enum status parse_text(const struct dataset_param *p, const char *text, struct buf *out, struct err *err)
{
    size_t len = strlen(text);
    bool plain = utf8_is_valid(text, len);

    if (p->of_cursor && plain) { /* what a row holds, whatever it is */
        buf_append(out, text, len);
        return STATUS_OK;
    }
    for (size_t i = 0; i < len && plain; i++)
        plain = (unsigned char)text[i] >= ' ' && text[i] != 127;
    if (!plain || len == 0 || len > (size_t)p->max)
        return err_fail(err, STATUS_INVALID, "must be 1 to %lld bytes of UTF-8 without control characters",
                        (long long)p->max);
    buf_append(out, text, len);
    return STATUS_OK;
}

static enum status parse_choice(const struct dataset_param *p, const char *text, struct buf *out, struct err *err)
{
    size_t len = strlen(text);

    for (const char *c = p->choices; *c; c += *c == '|') {
        size_t n = strcspn(c, "|");
        if (n == len && n > 0 && strncasecmp(c, text, n) == 0) {
            buf_append(out, c, n);
            return STATUS_OK;
        }
        c += n;
    }
    return err_fail(err, STATUS_INVALID, "must be one of %s", p->choices);
}

static enum status parse_boolean(const char *text, struct buf *out, struct err *err)
{
    bool yes = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;

    if (!yes && strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
        return err_fail(err, STATUS_INVALID, "must be true or false");
    buf_append_string(out, yes ? "true" : "false");
    return STATUS_OK;
}

static enum status parse_symbol(const char *text, struct buf *out, struct err *err)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && strchr("._-/^=:+", text[i]) == NULL)
            len = 0;
    if (len == 0 || len > DATASET_SYMBOL_MAX)
        return err_fail(err, STATUS_INVALID, "must be a symbol: 1 to %d letters, digits and . _ - / ^ = : +",
                        DATASET_SYMBOL_MAX);
    for (size_t i = 0; i < len; i++)
        buf_append_char(out, (char)toupper((unsigned char)text[i]));
    return STATUS_OK;
}

static enum status parse_one(const struct dataset_param *p, const char *text, struct buf *out, struct err *err)
{
    switch (p->type) {
    case DATASET_INTEGER:
    case DATASET_DECIMAL: return parse_number(p, text, out, err);
    case DATASET_DATE: return parse_date(text, out, err);
    case DATASET_TIME: return parse_time(text, out, err);
    case DATASET_TEXT: return parse_text(p, text, out, err);
    case DATASET_CHOICE: return parse_choice(p, text, out, err);
    case DATASET_BOOLEAN: return parse_boolean(text, out, err);
    case DATASET_SYMBOL:
    case DATASET_TYPES: break;
    }
    return parse_symbol(text, out, err);
}

/* --- lists ----------------------------------------------------------------------------------- */

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void append_set(char **items, size_t n, struct buf *out)
{
    qsort(items, n, sizeof *items, compare_texts);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && strcmp(items[i], items[i - 1]) == 0)
            continue;
        if (i > 0)
            buf_append_char(out, ',');
        buf_append_string(out, items[i]);
    }
}

/* The canonical elements, each with its NUL, at most list_max of them. */
static enum status parse_items(const struct dataset_param *p, const char *text, struct buf *items, size_t *ret_n,
                               struct err *err)
{
    struct buf one = BUF_INIT;
    enum status status = STATUS_OK;
    size_t n = 0;

    for (const char *at = text; at != NULL && status == STATUS_OK; n++) {
        size_t len = strcspn(at, ",");
        if (n == p->list_max) {
            status = err_fail(err, STATUS_INVALID, "must be at most %zu values", p->list_max);
            break;
        }
        buf_clear(&one);
        buf_append(&one, at, len);
        status = parse_one(p, one.data, items, err);
        buf_append_char(items, '\0');
        at = at[len] != '\0' ? at + len + 1 : NULL;
    }
    if (status == STATUS_OK && (buf_status(items) != STATUS_OK || buf_status(&one) != STATUS_OK))
        status = err_fail(err, STATUS_NO_MEMORY, "out of memory");
    buf_release(&one);
    *ret_n = n;
    return status;
}

static enum status parse_list(const struct dataset_param *p, const char *text, struct buf *out, struct err *err)
{
    char *sorted[DATASET_LIST_MAX] = {NULL};
    struct buf items = BUF_INIT;
    size_t n, offset = 0;
    enum status status = parse_items(p, text, &items, &n, err);

    if (status == STATUS_OK) {
        for (size_t i = 0; i < n; i++) {
            sorted[i] = items.data + offset;
            offset += strlen(sorted[i]) + 1;
        }
        append_set(sorted, n, out);
    }
    buf_release(&items);
    return status;
}

enum status dataset_value_parse(const struct dataset_param *p, const char *text, struct buf *out, struct err *err)
{
    return p->list_max > 0 ? parse_list(p, text, out, err) : parse_one(p, text, out, err);
}
