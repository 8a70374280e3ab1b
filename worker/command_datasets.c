/* pnlcache-worker datasets: what the files in DATASET_DIR say, for operators. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/dataset.h"
#include "jobs/event.h"
#include "lib/store/db_field.h"
#include "worker/command.h"
#include "worker/connections.h"
#include "worker/dataset_json.h"

#define BIG_TABLE_ROWS 10000

static const char usage[] =
    "Usage: pnlcache-worker datasets [--markdown | --json | --check DIR | --explain NAME [--user ID]]\n\n"
    "Lists the datasets of DATASET_DIR.\n"
    "  --markdown      the same as a table for documentation\n"
    "  --json          the same for programs, with the columns of the rows as the database tells them\n"
    "  --check DIR     loads the files of DIR and has the database plan each statement\n"
    "  --explain NAME  shows the plan of one, with made-up values for what must be given, and warns of reading a whole\n"
    "                  table of 10,000 rows or more\n"
    "  --user ID       whose rows --explain is about\n";

struct request {
    bool markdown, json;
    const char *check, *explain, *user;
};

/* --- listing ------------------------------------------------------------------------------------- */

static void append_key(const struct dataset *d, struct buf *out)
{
    if (d->key != NULL)
        buf_append_string(out, d->key);
    else
        buf_append_format(out, "data:%s:%s$H", d->name, d->shared ? "" : "{U}:");
}

/* As in a header: the tags of rows stand for themselves. */
static void append_tags(const struct dataset *d, struct buf *out)
{
    const char *comma = "";

    for (size_t i = 0; i < d->tags.n; i++) {
        const struct cache_tag *tag = &d->tags.tags[i];
        if (event_tag_whole(tag->name) != tag->name)
            continue;
        buf_append_format(out, "%s%s%s", comma, tag->shared ? "@" : "", tag->name);
        for (size_t k = 0; k < d->n_row_tags; k++)
            if (strcmp(d->row_tags[k].name, tag->name) == 0)
                buf_append_format(out, ":$%s", d->params[d->row_tags[k].param].name);
        comma = ", ";
    }
}

static const char *refresh_name(enum dataset_refresh_kind kind)
{
    return kind == REFRESH_MARKET ? "market" : kind == REFRESH_REFERENCE ? "reference" : "-";
}

static void append_line(const struct dataset *d, struct buf *out)
{
    buf_append_format(out, "%-20s %-6s %7lld  ", d->name, d->shared ? "shared" : "user", (long long)d->ttl_s);
    append_tags(d, out);
    buf_append_format(out, "  %s  ", refresh_name(d->refresh));
    append_key(d, out);
    for (size_t i = 0; i < d->n_paths; i++)
        buf_append_format(out, "  %s", d->paths[i]);
    buf_append_char(out, '\n');
}

static void append_param(const struct dataset_param *p, struct buf *out)
{
    struct buf type = BUF_INIT;

    dataset_param_describe(p, &type);
    buf_append_format(out, "`%s` ", p->name);
    for (const char *c = type.data; *c != '\0'; c++) {
        if (*c == '|') /* ends a cell */
            buf_append_char(out, '\\');
        buf_append_char(out, *c);
    }
    buf_release(&type);
}

static void append_params(const struct dataset *d, struct buf *out)
{
    const char *separator = "";

    for (size_t i = 0; i < d->n_params; i++) {
        if (d->params[i].of_cursor)
            continue;
        buf_append_string(out, separator);
        append_param(&d->params[i], out);
        separator = "; ";
    }
    if (d->n_cursor > 0)
        buf_append_format(out, "%s`cursor`", separator);
}

static void append_row(const struct dataset *d, struct buf *out)
{
    for (size_t i = 0; i < d->n_paths; i++)
        buf_append_format(out, "%s`%s`", i > 0 ? ", " : "| ", d->paths[i]);
    buf_append_string(out, " | ");
    append_params(d, out);
    buf_append_format(out, " | %s | `", d->one_row ? "row" : "list");
    append_key(d, out);
    if (d->collection != NULL)
        buf_append_format(out, "`, whole `%s", d->collection);
    buf_append_format(out, "` | %lld | ", (long long)d->ttl_s);
    append_tags(d, out);
    buf_append_format(out, " | %s |\n", refresh_name(d->refresh));
}

static int print(const struct dataset_set *set, bool markdown)
{
    struct buf out = BUF_INIT;

    if (markdown)
        buf_append_string(
            &out,
            "# Datasets: every endpoint\n\nGenerated from `sql/datasets/` by `make docs`. What each column means is in "
            "[datasets.md](datasets.md); any of the tags invalidates, `@` marks shared ones.\n\n"
            "| path | parameters | returns | key | TTL | tags | refresh |\n|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < dataset_set_count(set); i++)
        (markdown ? append_row : append_line)(dataset_set_at(set, i), &out);
    if (buf_status(&out) == STATUS_OK)
        fputs(out.data, stdout);
    buf_release(&out);
    return EXIT_DONE;
}

static int print_json(const struct settings *settings, const struct dataset_set *set)
{
    struct buf out = BUF_INIT;
    struct json_writer w;
    struct db *db = NULL;
    struct err err = {""};
    enum status status = open_db(settings, true, settings->database_timeout_ms, &db, &err);

    json_init(&w, &out);
    if (status == STATUS_OK)
        status = dataset_json_write(set, db, &w, &err);
    if (status == STATUS_OK)
        status = buf_status(&out);
    if (status == STATUS_OK)
        puts(out.data);
    db_free(&db);
    buf_release(&out);
    return status == STATUS_OK ? EXIT_DONE : command_fail(status, &err);
}

/* --- checking ------------------------------------------------------------------------------------ */

static int check(const struct settings *settings, const struct dataset_set *set)
{
    struct db *db = NULL;
    struct err err = {""};
    enum status status = open_db(settings, true, settings->database_timeout_ms, &db, &err);

    if (status == STATUS_OK)
        status = dataset_set_check(set, db, &err);
    db_free(&db);
    if (status != STATUS_OK)
        return command_fail(status, &err);
    printf("%zu datasets are good\n", dataset_set_count(set));
    return EXIT_DONE;
}

/* --- explaining ---------------------------------------------------------------------------------- */

/* Something that a parameter takes, for a plan that is not about nothing. */
static enum status make_up(struct dataset_request *r, size_t i, struct err *err)
{
    static const char *const values[DATASET_TYPES] = {[DATASET_DATE] = "2025-01-02",
                                                      [DATASET_TIME] = "2025-01-02T15:00:00Z",
                                                      [DATASET_TEXT] = "x",
                                                      [DATASET_BOOLEAN] = "true",
                                                      [DATASET_SYMBOL] = "AAPL"};
    const struct dataset_param *p = &r->dataset->params[i];
    struct buf value = BUF_INIT;
    enum status status;

    if (p->type == DATASET_CHOICE)
        buf_append(&value, p->choices, strcspn(p->choices, "|"));
    else if (p->type == DATASET_INTEGER || p->type == DATASET_DECIMAL)
        buf_append_int(&value, p->min == INT64_MIN ? 1 : p->type == DATASET_DECIMAL ? p->min / 100000000 : p->min);
    else
        buf_append_string(&value, values[p->type]);
    status = dataset_request_put(r, i, value.data, err);
    buf_release(&value);
    return status;
}

/* The table that a line of a plan reads from end to end; false: it does not. */
static bool scanned_table(const char *line, size_t len, char *table, size_t size)
{
    static const char words[] = "Seq Scan on ";
    const char *at = memmem(line, len, words, sizeof words - 1);
    size_t n;

    if (at == NULL)
        return false;
    at += sizeof words - 1;
    n = (size_t)(line + len - at);
    for (size_t i = 0; i < n; i++)
        if (at[i] == ' ')
            n = i;
    if (n == 0 || n >= size)
        return false;
    memcpy(table, at, n);
    table[n] = '\0';
    return true;
}

static enum status warn_of_scan(struct db *db, const char *table, struct err *err)
{
    const char *params[] = {table};
    struct db_result *result = NULL;
    int64_t rows = 0;
    enum status status =
        db_query(db, "", "SELECT coalesce(max(reltuples), 0)::bigint FROM pg_class WHERE oid = to_regclass($1::text)",
                 1, params, &result, err);

    if (status == STATUS_OK)
        status = db_field_int64(db_result_field(result, 0, 0), &rows);
    if (status == STATUS_OK && rows >= BIG_TABLE_ROWS)
        printf("warning: reads all of %s, about %lld rows\n", table, (long long)rows);
    db_result_free(&result);
    return status;
}

static enum status print_plan(struct db *db, const struct db_result *plan, struct err *err)
{
    enum status status = STATUS_OK;
    char table[256];

    for (size_t i = 0; i < db_result_rows(plan); i++) {
        struct db_field line = db_result_field(plan, i, 0);
        printf("%.*s\n", (int)line.len, (const char *)line.bytes);
    }
    for (size_t i = 0; i < db_result_rows(plan) && status == STATUS_OK; i++) {
        struct db_field line = db_result_field(plan, i, 0);
        if (scanned_table((const char *)line.bytes, line.len, table, sizeof table))
            status = warn_of_scan(db, table, err);
    }
    return status;
}

static enum status explain(const struct settings *settings, const struct dataset *d, const char *user, struct err *err)
{
    struct dataset_request r = {.dataset = NULL};
    struct db_result *plan = NULL;
    struct db *db = NULL;
    const char *field;
    enum status status = open_db(settings, true, settings->database_timeout_ms, &db, err);

    dataset_request_begin(&r, d);
    for (size_t i = 0; i < d->n_params && status == STATUS_OK; i++)
        if (d->params[i].required)
            status = make_up(&r, i, err);
    if (status == STATUS_OK)
        status = dataset_request_complete(&r, &field, err);
    if (status == STATUS_OK)
        status = dataset_explain(db, &r, user != NULL ? user : "nobody", &plan, err);
    if (status == STATUS_OK)
        status = print_plan(db, plan, err);
    db_result_free(&plan);
    dataset_request_release(&r);
    db_free(&db);
    return status;
}

static int explain_named(const struct settings *settings, const struct dataset_set *set, const struct request *request)
{
    const struct dataset *d = dataset_set_find(set, request->explain);
    struct err err = {""};
    enum status status;

    if (d == NULL)
        return command_misused("there is no dataset '%s'; see 'pnlcache-worker datasets'", request->explain);
    status = explain(settings, d, request->user, &err);
    return status == STATUS_OK ? EXIT_DONE : command_fail(status, &err);
}

/* --- the command --------------------------------------------------------------------------------- */

static int carry_out(struct settings *settings, const struct request *request)
{
    struct dataset_set *set = NULL;
    struct settings view = *settings;
    struct buf directory = BUF_INIT;
    struct err err = {""};
    enum status status;
    int exit_status;

    if (request->check != NULL) {
        buf_append_string(&directory, request->check);
        view.dataset_dir = directory.data;
    }
    status = dataset_set_load(&view, &set, &err);
    if (status != STATUS_OK)
        exit_status = command_fail(status, &err);
    else if (request->check != NULL)
        exit_status = check(settings, set);
    else if (request->explain != NULL)
        exit_status = explain_named(settings, set, request);
    else if (request->json)
        exit_status = print_json(settings, set);
    else
        exit_status = print(set, request->markdown);
    dataset_set_release(&set);
    buf_release(&directory);
    return exit_status;
}

int command_datasets(int argc, char *const *argv)
{
    struct request request = {.markdown = false};
    const struct cli_option options[] = {{"--markdown", CLI_FLAG, {.flag = &request.markdown}},
                                         {"--json", CLI_FLAG, {.flag = &request.json}},
                                         {"--check", CLI_TEXT, {.text = &request.check}},
                                         {"--explain", CLI_TEXT, {.text = &request.explain}},
                                         {"--user", CLI_TEXT, {.text = &request.user}}};
    struct settings *settings = NULL;
    int exit_status;

    if (!command_parse("pnlcache-worker datasets", usage, argc, argv, options, sizeof options / sizeof options[0],
                       &exit_status))
        return exit_status;
    if (request.markdown + request.json + (request.check != NULL) + (request.explain != NULL) > 1)
        return command_misused("datasets takes one of --markdown, --json, --check and --explain");
    if (!command_load_settings(&settings, &exit_status))
        return exit_status;
    exit_status = carry_out(settings, &request);
    settings_free(&settings);
    return exit_status;
}
