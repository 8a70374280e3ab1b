#include "fcgi/cache_order.h"

#include <string.h>

#include "jobs/dataset_value.h"
#include "jobs/event.h"

static const char *const names[ORDER_KINDS] = {
    [ORDER_USER] = "user_id", [ORDER_SYMBOL] = "symbol",   [ORDER_SYMBOLS] = "symbols",
    [ORDER_TAG] = "tag",      [ORDER_DATASET] = "dataset", [ORDER_ALL] = "all",
};

const char *cache_order_name(enum cache_order_kind kind)
{
    return names[kind];
}

/* ORDER_KINDS: none of the allowed ones. */
static enum cache_order_kind find_kind(const char *name, unsigned allowed)
{
    for (enum cache_order_kind kind = 0; kind < ORDER_KINDS; kind++)
        if ((allowed & ORDER_BIT(kind)) && strcmp(names[kind], name) == 0)
            return kind;
    return ORDER_KINDS;
}

/* --- values --------------------------------------------------------------------------------- */

/* NULL: it is good; else what it must be. */
static const char *judge_text(enum cache_order_kind kind, const char *text, const struct dataset_set *datasets)
{
    struct cache_tag tag;

    switch (kind) {
    case ORDER_USER: return user_id_is_valid(text) ? NULL : "is not a user id";
    case ORDER_TAG: return event_tag_find(text, &tag) ? NULL : "is not a known tag";
    case ORDER_DATASET: return datasets && dataset_set_find(datasets, text) ? NULL : "is not a dataset";
    case ORDER_SYMBOL:
    case ORDER_SYMBOLS:
    case ORDER_ALL:
    case ORDER_KINDS: break;
    }
    return NULL;
}

/* Symbols as a dataset's parameter takes them: a list of texts by commas. */
static void take_symbols(const char *name, const char *list, size_t max, struct buf *out,
                         struct problem_fields *problems)
{
    struct dataset_param param = {.type = DATASET_SYMBOL, .list_max = max};
    struct err err;

    if (dataset_value_parse(&param, list, out, &err) != STATUS_OK)
        problem_add(problems, name, "%s", err.text);
}

static void take_list(const struct json_value *value, struct cache_order *order, struct problem_fields *problems)
{
    struct buf list = BUF_INIT;
    bool good = json_type_of(value) == JSON_ARRAY && json_length(value) > 0;

    for (const struct json_value *v = good ? json_first_child(value) : NULL; v; v = json_next_sibling(v)) {
        const char *text = json_get_string(v);
        good = good && text && !strchr(text, ',');
        if (good)
            buf_append_format(&list, "%s%s", list.len > 0 ? "," : "", text);
    }
    if (good && buf_status(&list) == STATUS_OK)
        take_symbols(names[ORDER_SYMBOLS], list.data, ORDER_MAX_SYMBOLS, &order->text, problems);
    else
        problem_add(problems, names[ORDER_SYMBOLS], "must be a list of symbols");
    buf_release(&list);
}

static void take_value(const struct json_value *value, const struct dataset_set *datasets, struct cache_order *order,
                       struct problem_fields *problems)
{
    const char *name = names[order->kind], *text = json_get_string(value), *problem;
    bool all = false;

    if (order->kind == ORDER_SYMBOLS) {
        take_list(value, order, problems);
    } else if (order->kind == ORDER_ALL) {
        if (json_get_bool(value, &all) != STATUS_OK || !all)
            problem_add(problems, name, "must be true");
    } else if (!text) {
        problem_add(problems, name, "must be a text");
    } else if (order->kind == ORDER_SYMBOL) {
        take_symbols(name, text, 0, &order->text, problems);
    } else if ((problem = judge_text(order->kind, text, datasets))) {
        problem_add(problems, name, "%s", problem);
    } else {
        buf_append_string(&order->text, text);
    }
}

/* --- the object ----------------------------------------------------------------------------- */

static void list_names(unsigned allowed, struct buf *out)
{
    for (enum cache_order_kind kind = 0; kind < ORDER_KINDS; kind++)
        if (allowed & ORDER_BIT(kind))
            buf_append_format(out, "%s%s", out->len > 0 ? ", " : "", names[kind]);
}

static void take_members(const struct json_value *object, unsigned allowed, const struct dataset_set *datasets,
                         struct cache_order *order, struct problem_fields *problems)
{
    struct buf expected = BUF_INIT;
    size_t n = 0;

    list_names(allowed, &expected);
    for (const struct json_value *v = json_first_child(object); v; v = json_next_sibling(v)) {
        enum cache_order_kind kind = find_kind(json_child_name(v), allowed);
        if (kind == ORDER_KINDS) {
            problem_add(problems, json_child_name(v), "is not one of %s", expected.data);
        } else if (n++ > 0) {
            problem_add(problems, names[kind], "is too much: only one of %s", expected.data);
        } else {
            order->kind = kind;
            take_value(v, datasets, order, problems);
        }
    }
    if (n == 0 && problems->n == 0)
        problem_add(problems, "", "one of %s is needed", expected.data);
    buf_release(&expected);
}

enum status cache_order_read(const struct buf *body, unsigned allowed, const struct dataset_set *datasets,
                             struct cache_order *ret_order, struct problem_fields *problems, struct err *err)
{
    struct json_document *document = NULL;

    *ret_order = (struct cache_order){.kind = ORDER_KINDS, .text = BUF_INIT};
    enum status status = json_parse(body->len > 0 ? body->data : "", body->len, &document, err);
    if (status == STATUS_OK && json_type_of(json_root(document)) != JSON_OBJECT)
        status = err_fail(err, STATUS_INVALID, "the body is not a JSON object");
    if (status == STATUS_OK)
        take_members(json_root(document), allowed, datasets, ret_order, problems);
    json_document_free(&document);
    return status == STATUS_OK ? buf_status(&ret_order->text) : status;
}

void cache_order_release(struct cache_order *order)
{
    buf_release(&order->text);
}
