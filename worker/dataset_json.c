#include "worker/dataset_json.h"

#include <stdio.h>
#include <string.h>

#include "jobs/dataset_value.h"
#include "jobs/event.h"
#include "lib/store/db_field.h"

#define KEY_STRING(w, key, value) (json_key((w), (key)), json_string((w), (value)))
#define KEY_INT(w, key, value) (json_key((w), (key)), json_int((w), (int64_t)(value)))
#define KEY_BOOL(w, key, value) (json_key((w), (key)), json_bool((w), (value)))

static void write_bound(struct json_writer *w, const struct dataset_param *p, int64_t bound)
{
    if (p->type == DATASET_DECIMAL)
        json_decimal(w, bound, 8, 8);
    else
        json_int(w, bound);
}

static void write_choices(struct json_writer *w, const char *choices)
{
    json_key(w, "choices");
    json_array_begin(w);
    for (const char *c = choices; *c != '\0'; c += *c == '|') {
        json_string_bytes(w, c, strcspn(c, "|"));
        c += strcspn(c, "|");
    }
    json_array_end(w);
}

static void write_param(struct json_writer *w, const struct dataset_param *p)
{
    json_object_begin(w);
    KEY_STRING(w, "name", p->name);
    KEY_STRING(w, "type", dataset_type_name(p->type));
    KEY_BOOL(w, "in_path", p->in_path);
    KEY_BOOL(w, "required", p->required);
    KEY_BOOL(w, "or_all", p->or_all);
    if (p->list_max > 0)
        KEY_INT(w, "list_max", p->list_max);
    if (p->min != INT64_MIN) {
        json_key(w, "min");
        write_bound(w, p, p->min);
    }
    if (p->type == DATASET_SYMBOL) {
        KEY_INT(w, "max", DATASET_SYMBOL_MAX);
    } else if (p->max != INT64_MAX || p->min != INT64_MIN) {
        json_key(w, "max");
        write_bound(w, p, p->max);
    }
    if (p->choices != NULL)
        write_choices(w, p->choices);
    KEY_STRING(w, "default", p->fallback);
    json_object_end(w);
}

static enum status write_column(struct json_writer *w, struct db *db, const struct db_result *columns, size_t i,
                                struct err *err)
{
    char oid[16];
    const char *params[] = {oid};
    struct db_result *result = NULL;
    enum status status;

    snprintf(oid, sizeof oid, "%u", db_result_column_type(columns, i));
    status = db_query(db, "", "SELECT format_type($1::oid, NULL)", 1, params, &result, err);
    if (status != STATUS_OK)
        return status;
    struct db_field type = db_result_field(result, 0, 0);
    json_object_begin(w);
    KEY_STRING(w, "name", db_result_column_name(columns, i));
    json_key(w, "type");
    json_string_bytes(w, (const char *)type.bytes, type.len);
    json_object_end(w);
    db_result_free(&result);
    return STATUS_OK;
}

static enum status write_columns(struct json_writer *w, struct db *db, const struct dataset *d, struct err *err)
{
    struct db_result *columns = NULL;
    enum status status = dataset_describe(db, d, &columns, err);

    if (status != STATUS_OK)
        return status;
    json_key(w, "columns");
    json_array_begin(w);
    for (size_t i = 0; i < db_result_columns(columns) && status == STATUS_OK; i++)
        status = write_column(w, db, columns, i, err);
    json_array_end(w);
    db_result_free(&columns);
    return status;
}

static void write_methods(struct json_writer *w, const struct dataset *d)
{
    json_key(w, "methods");
    json_array_begin(w);
    json_string(w, "get");
    if (d->takes_post)
        json_string(w, "post");
    json_array_end(w);
}

static enum status write_dataset(struct json_writer *w, struct db *db, const struct dataset *d, struct err *err)
{
    enum status status;

    json_object_begin(w);
    KEY_STRING(w, "name", d->name);
    KEY_STRING(w, "scope", d->shared ? "shared" : "user");
    KEY_STRING(w, "returns", d->one_row ? "row" : "list");
    KEY_INT(w, "ttl", d->ttl_s);
    json_key(w, "paths");
    json_array_begin(w);
    for (size_t i = 0; i < d->n_paths; i++)
        json_string(w, d->paths[i]);
    json_array_end(w);
    write_methods(w, d);
    json_key(w, "tags");
    json_array_begin(w);
    for (size_t i = 0; i < d->tags.n; i++)
        if (event_tag_whole(d->tags.tags[i].name) == d->tags.tags[i].name)
            json_string(w, d->tags.tags[i].name);
    json_array_end(w);
    json_key(w, "params");
    json_array_begin(w);
    for (size_t i = 0; i < d->n_params; i++)
        if (!d->params[i].of_cursor)
            write_param(w, &d->params[i]);
    json_array_end(w);
    KEY_BOOL(w, "has_cursor", d->n_cursor > 0);
    status = write_columns(w, db, d, err);
    json_object_end(w);
    return status;
}

enum status dataset_json_write(const struct dataset_set *set, struct db *db, struct json_writer *w, struct err *err)
{
    enum status status = STATUS_OK;

    json_array_begin(w);
    for (size_t i = 0; i < dataset_set_count(set) && status == STATUS_OK; i++)
        status = write_dataset(w, db, dataset_set_at(set, i), err);
    json_array_end(w);
    return status;
}
