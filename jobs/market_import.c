#include "jobs/market_import.h"

#include <string.h>
#include <strings.h>

#include "jobs/dataset_value.h"
#include "lib/base/csv.h"
#include "lib/store/db_copy.h"
#include "lib/store/db_field.h"

#define BATCH_LINES 5000

/* --- a run ----------------------------------------------------------------------------------- */

struct run {
    struct market_import *m;
    struct csv_reader csv;
    size_t n_columns;                     /* of the kind */
    size_t n_cells;                       /* of the header */
    size_t column_of_cell[CSV_MAX_CELLS]; /* index into the kind's columns */
    bool present[IMPORT_MAX_COLUMNS];     /* the header has it, or it is an IMPORT_TIME */
    char now[INSTANT_TEXT_SIZE];
    struct buf values; /* of the line at hand, each with its NUL */
    struct buf rows;   /* of the batch, for COPY */
    int64_t n_rows;
    struct buf create, into, upsert;
};

static enum status no_memory(struct err *err)
{
    return err_fail(err, STATUS_NO_MEMORY, "out of memory");
}

/* --- the header ------------------------------------------------------------------------------ */

static enum status fail_unknown(const struct run *r, const char *name, struct err *err)
{
    struct buf names = BUF_INIT;
    enum status status;

    for (size_t i = 0; i < r->n_columns; i++)
        buf_append_format(&names, "%s%s", i > 0 ? ", " : "", r->m->kind->columns[i].name);
    status = err_fail(err, STATUS_INVALID, "line %lld: column '%.60s': %s has %s", (long long)r->csv.line, name,
                      r->m->kind->name, names.data);
    buf_release(&names);
    return status;
}

static enum status take_heading(struct run *r, size_t cell, struct err *err)
{
    const struct import_column *columns = r->m->kind->columns;

    for (size_t i = 0; i < r->n_columns; i++) {
        if (strcasecmp(columns[i].name, r->csv.cells[cell]) != 0)
            continue;
        if (r->present[i])
            return err_fail(err, STATUS_INVALID, "line %lld: there are two columns '%s'", (long long)r->csv.line,
                            columns[i].name);
        r->present[i] = true;
        r->column_of_cell[cell] = i;
        return STATUS_OK;
    }
    return fail_unknown(r, r->csv.cells[cell], err);
}

static enum status read_header(struct run *r, struct err *err)
{
    const struct import_column *columns = r->m->kind->columns;
    enum status status = csv_next(&r->csv, err);

    if (status == STATUS_NOT_FOUND)
        return err_fail(err, STATUS_INVALID, "the file is empty: a header line with the columns' names is needed");
    if (status == STATUS_INVALID)
        err_prefix(err, "line %lld", (long long)r->csv.line);
    r->n_cells = r->csv.n_cells;
    for (size_t i = 0; i < r->n_cells && status == STATUS_OK; i++)
        status = take_heading(r, i, err);
    for (size_t i = 0; i < r->n_columns && status == STATUS_OK; i++) {
        if (columns[i].need == IMPORT_NEEDED && !r->present[i])
            status = err_fail(err, STATUS_INVALID, "line %lld: column '%s' is missing", (long long)r->csv.line,
                              columns[i].name);
        r->present[i] = r->present[i] || columns[i].need == IMPORT_TIME;
    }
    return status;
}

/* --- statements ------------------------------------------------------------------------------ */

static bool is_key(const struct import_target *target, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = target->keys; (at = strstr(at, name)) != NULL; at += len)
        if ((at == target->keys || at[-1] == ' ') && (at[len] == ',' || at[len] == '\0'))
            return true;
    return false;
}

/* The columns the file has, each with `prefix`, by commas; without `without`'s keys. */
static size_t append_columns(const struct run *r, const char *prefix, const struct import_target *without,
                             struct buf *sql)
{
    size_t n = 0;

    for (size_t i = 0; i < r->n_columns; i++) {
        const char *name = r->m->kind->columns[i].name;
        if (r->present[i] && (without == NULL || !is_key(without, name)))
            buf_append_format(sql, "%s%s%s", n++ > 0 ? ", " : "", prefix, name);
    }
    return n;
}

/* Of several lines with one key the newest counts, or the last. */
static void append_upsert(const struct run *r, const struct import_target *target, struct buf *sql)
{
    const struct import_kind *kind = r->m->kind;
    struct buf names = BUF_INIT;
    size_t n;

    buf_append_format(sql, "INSERT INTO %s AS t (", kind->table);
    append_columns(r, "", NULL, sql);
    buf_append_string(sql, ") SELECT ");
    append_columns(r, "", NULL, sql);
    buf_append_format(sql, " FROM (SELECT DISTINCT ON (%s) * FROM pnlcache_import WHERE %s ORDER BY %s, ", target->keys,
                      target->lines ? target->lines : "true", target->keys);
    if (kind->newer)
        buf_append_format(sql, "%s DESC, ", kind->newer);
    buf_append_format(sql, "line DESC) AS s ON CONFLICT (%s) ", target->keys);
    if (target->predicate)
        buf_append_format(sql, "WHERE %s ", target->predicate);
    n = append_columns(r, "", target, &names);
    if (n == 0) {
        buf_append_string(sql, "DO NOTHING");
    } else {
        buf_append_format(sql, "DO UPDATE SET (%s) = ROW(", names.data);
        append_columns(r, "excluded.", target, sql);
        buf_append_string(sql, ") WHERE ROW(");
        append_columns(r, "t.", target, sql);
        buf_append_string(sql, ") IS DISTINCT FROM ROW(");
        append_columns(r, "excluded.", target, sql);
        buf_append_char(sql, ')');
        if (kind->newer)
            buf_append_format(sql, " AND t.%s <= excluded.%s", kind->newer, kind->newer);
    }
    buf_append_string(sql, " RETURNING 1");
    sql->failed = sql->failed || names.failed;
    buf_release(&names);
}

static enum status write_statements(struct run *r, struct err *err)
{
    const struct import_kind *kind = r->m->kind;

    buf_append_string(&r->create, "CREATE TEMP TABLE pnlcache_import ON COMMIT DROP AS SELECT ");
    for (size_t i = 0; i < r->n_columns; i++)
        buf_append_format(&r->create, "%s, ", kind->columns[i].name);
    buf_append_format(&r->create, "0::bigint AS line FROM %s WITH NO DATA", kind->table);
    buf_append_string(&r->into, "pnlcache_import (");
    append_columns(r, "", NULL, &r->into);
    buf_append_string(&r->into, ", line)");
    buf_append_string(&r->upsert, "WITH a AS (");
    append_upsert(r, &kind->targets[0], &r->upsert);
    if (kind->targets[1].keys) {
        buf_append_string(&r->upsert, "), b AS (");
        append_upsert(r, &kind->targets[1], &r->upsert);
    }
    buf_append_string(&r->upsert, ") SELECT (SELECT count(*) FROM a)");
    buf_append_string(&r->upsert, kind->targets[1].keys ? " + (SELECT count(*) FROM b)" : "");
    return buf_status(&r->create) == STATUS_OK && buf_status(&r->into) == STATUS_OK &&
                   buf_status(&r->upsert) == STATUS_OK
               ? STATUS_OK
               : no_memory(err);
}

/* Before anything is read: the role of DATABASE_URL normally may not write. */
static enum status check_right(const struct run *r, struct err *err)
{
    const char *params[] = {r->m->kind->table};
    struct db_result *result = NULL;
    bool may = false;
    enum status status = db_query(
        r->m->db, "", "SELECT has_table_privilege($1::text, 'INSERT') AND has_table_privilege($1::text, 'UPDATE')", 1,
        params, &result, err);

    if (status == STATUS_OK)
        status = db_field_bool(db_result_field(result, 0, 0), &may);
    if (status == STATUS_OK && !may)
        status = err_fail(
            err, STATUS_INVALID,
            "the database role may not write %s: name a connection of its owner with --database or IMPORT_DATABASE_URL",
            r->m->kind->table);
    db_result_free(&result);
    return status;
}

/* --- batches --------------------------------------------------------------------------------- */

static enum status write_batch(struct run *r, int64_t *ret_changed, struct err *err)
{
    struct db_result *result = NULL;
    enum status status = db_execute(r->m->db, r->create.data, err);

    if (status == STATUS_OK)
        status = db_copy_in(r->m->db, r->into.data, r->rows.data, r->rows.len, err);
    if (status == STATUS_OK)
        status = db_query(r->m->db, "", r->upsert.data, 0, NULL, &result, err);
    if (status == STATUS_OK)
        status = db_field_int64(db_result_field(result, 0, 0), ret_changed);
    db_result_free(&result);
    return status;
}

static enum status commit_batch(struct run *r, struct err *err)
{
    struct market_import *m = r->m;
    int64_t changed = 0;
    enum status status = STATUS_OK;

    if (buf_status(&r->rows) != STATUS_OK)
        return no_memory(err);
    if (r->n_rows > 0) {
        status = db_begin(m->db, err);
        if (status == STATUS_OK)
            status = write_batch(r, &changed, err);
        if (status == STATUS_OK)
            status = db_commit(m->db, err);
        else
            db_end(m->db);
    }
    if (status != STATUS_OK)
        return status;
    m->rows += changed;
    m->done_lines = r->csv.line;
    buf_clear(&r->rows);
    r->n_rows = 0;
    m->on_progress(m->context, r->csv.offset);
    return STATUS_OK;
}

/* --- lines ----------------------------------------------------------------------------------- */

static enum status take_value(struct run *r, size_t column, const char *cell, struct err *err)
{
    const struct import_column *c = &r->m->kind->columns[column];
    char text[INSTANT_TEXT_SIZE];
    struct instant t;
    struct err why;
    enum status status = STATUS_OK;

    if (*cell == '\0' && c->need == IMPORT_NEEDED)
        return err_fail(err, STATUS_INVALID, "%s is empty", c->name);
    if (c->need == IMPORT_TIME && *cell == '\0') {
        buf_append_string(&r->values, r->now);
    } else if (c->need == IMPORT_TIME) {
        if (instant_parse(cell, &t) != STATUS_OK)
            return err_fail(err, STATUS_INVALID, "%s must be a time, YYYY-MM-DDTHH:MM:SS with Z or an offset", c->name);
        instant_format(t, text);
        buf_append_string(&r->values, text);
    } else if (*cell != '\0') {
        status = dataset_value_parse(&c->value, cell, &r->values, &why);
        if (status != STATUS_OK)
            return err_fail(err, status, "%s %s", c->name, why.text);
    }
    buf_append_char(&r->values, '\0');
    return STATUS_OK;
}

/* All columns of the kind in their order, "" for what the line does not have. */
static enum status take_values(struct run *r, const char *ret_values[IMPORT_MAX_COLUMNS], struct err *err)
{
    const char *cells[IMPORT_MAX_COLUMNS];
    size_t at[IMPORT_MAX_COLUMNS] = {0};
    enum status status = STATUS_OK;

    for (size_t i = 0; i < IMPORT_MAX_COLUMNS; i++)
        cells[i] = ret_values[i] = "";
    if (r->csv.n_cells != r->n_cells)
        return err_fail(err, STATUS_INVALID, "it has %zu cells, the header %zu", r->csv.n_cells, r->n_cells);
    for (size_t i = 0; i < r->n_cells; i++)
        cells[r->column_of_cell[i]] = r->csv.cells[i];
    buf_clear(&r->values);
    for (size_t i = 0; i < r->n_columns && status == STATUS_OK; i++) {
        at[i] = r->values.len;
        status = take_value(r, i, cells[i], err);
    }
    if (status == STATUS_OK && buf_status(&r->values) != STATUS_OK)
        status = no_memory(err);
    for (size_t i = 0; i < r->n_columns && status == STATUS_OK; i++)
        ret_values[i] = r->values.data + at[i];
    return status;
}

static enum status take_line(struct run *r, struct err *err)
{
    const struct import_kind *kind = r->m->kind;
    const char *values[IMPORT_MAX_COLUMNS], *reason;
    enum status status = take_values(r, values, err);

    if (status != STATUS_OK)
        return status;
    reason = kind->judge ? kind->judge(values) : NULL;
    if (reason)
        return err_fail(err, STATUS_INVALID, "%s", reason);
    for (size_t i = 0; i < r->n_columns; i++) {
        if (!r->present[i])
            continue;
        db_append_copy_text(&r->rows, *values[i] != '\0' ? values[i] : NULL);
        buf_append_char(&r->rows, '\t');
    }
    buf_append_format(&r->rows, "%lld\n", (long long)r->csv.line);
    r->n_rows++;
    return STATUS_OK;
}

static enum status note_bad_line(struct run *r, struct err *err)
{
    struct market_import *m = r->m;

    m->bad_lines++;
    m->on_bad_line(m->context, r->csv.line, err->text);
    return m->bad_lines <= m->max_errors
               ? STATUS_OK
               : err_fail(err, STATUS_LIMIT, "more than %lld bad lines", (long long)m->max_errors);
}

/* STATUS_NOT_FOUND: the file has ended. */
static enum status read_line(struct run *r, struct err *err)
{
    enum status status = csv_next(&r->csv, err);

    if (status != STATUS_OK && status != STATUS_INVALID)
        return status;
    r->m->lines++;
    if (status == STATUS_OK)
        status = take_line(r, err);
    return status == STATUS_INVALID ? note_bad_line(r, err) : status;
}

static enum status read_lines(struct run *r, struct err *err)
{
    enum status status = STATUS_OK;

    while (status == STATUS_OK && !atomic_load(r->m->stop)) {
        status = read_line(r, err);
        if (status == STATUS_OK && r->n_rows == BATCH_LINES)
            status = commit_batch(r, err);
    }
    if (status == STATUS_NOT_FOUND || status == STATUS_OK || status == STATUS_LIMIT) {
        struct err why;
        enum status last = commit_batch(r, &why);
        if (last != STATUS_OK)
            return err_fail(err, last, "%s", why.text);
    }
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status market_import_run(struct market_import *m, struct err *err)
{
    struct run r = {.m = m,
                    .n_columns = import_kind_columns(m->kind),
                    .values = BUF_INIT,
                    .rows = BUF_INIT,
                    .create = BUF_INIT,
                    .into = BUF_INIT,
                    .upsert = BUF_INIT};
    enum status status;

    instant_format(clock_now(), r.now);
    csv_begin(&r.csv, m->file);
    status = check_right(&r, err);
    if (status == STATUS_OK)
        status = read_header(&r, err);
    if (status == STATUS_OK)
        status = write_statements(&r, err);
    if (status == STATUS_OK)
        status = read_lines(&r, err);
    csv_release(&r.csv);
    buf_release(&r.values);
    buf_release(&r.rows);
    buf_release(&r.create);
    buf_release(&r.into);
    buf_release(&r.upsert);
    return status;
}
