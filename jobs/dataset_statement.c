/* The statement of a dataset file. It is scanned as PostgreSQL would, only so far as to tell text and comments from code:
 * `:name` becomes a typed $n, a second statement or an unbalanced parenthesis is refused. Then it becomes the sub-select of
 * a statement that makes one JSON text of its rows: so PostgreSQL itself sees to it that it is one SELECT that changes nothing. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "jobs/dataset.h"
#include "jobs/dataset_indicators.h"
#include "jobs/dataset_value.h"

struct scanner {
    struct dataset *d;
    const char *at, *end;
    int line;
    int depth;     /* of parentheses */
    bool ended;    /* by a semicolon */
    size_t n_code; /* bytes that are neither white space nor comment */
    bool used[DATASET_MAX_VALUES];
    struct buf out;
    struct err *err;
};

#define FAIL(s, ...) fail_at((s), err_fail((s)->err, STATUS_INVALID, __VA_ARGS__))

static enum status fail_at(const struct scanner *s, enum status status)
{
    err_prefix(s->err, "%s:%d", s->d->file, s->line);
    return status;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static bool starts(const struct scanner *s, const char *text)
{
    size_t len = strlen(text);

    return (size_t)(s->end - s->at) >= len && memcmp(s->at, text, len) == 0;
}

static void copy(struct scanner *s, size_t n)
{
    for (size_t i = 0; i < n && s->at < s->end; i++) {
        s->line += *s->at == '\n';
        buf_append_char(&s->out, *s->at++);
    }
}

/* --- what is not code ------------------------------------------------------------------------ */

static enum status copy_quoted(struct scanner *s, bool escapes)
{
    char quote = *s->at;

    copy(s, 1);
    while (s->at < s->end) {
        bool doubled = s->at[0] == quote && s->at + 1 < s->end && s->at[1] == quote;
        if (*s->at == quote && !doubled) {
            copy(s, 1);
            return STATUS_OK;
        }
        copy(s, doubled || (escapes && *s->at == '\\') ? 2 : 1);
    }
    return FAIL(s, "a text that begins with %c does not end", quote);
}

static enum status copy_dollar_quoted(struct scanner *s, size_t tag_len)
{
    const char *tag = s->at;

    copy(s, tag_len);
    while ((size_t)(s->end - s->at) >= tag_len) {
        if (memcmp(s->at, tag, tag_len) == 0) {
            copy(s, tag_len);
            return STATUS_OK;
        }
        copy(s, 1);
    }
    return FAIL(s, "a text that begins with %.*s does not end", (int)tag_len, tag);
}

static enum status copy_block_comment(struct scanner *s)
{
    int depth = 0;

    while (s->at < s->end) {
        if (starts(s, "/*"))
            depth++, copy(s, 2);
        else if (starts(s, "*/"))
            depth--, copy(s, 2);
        else
            copy(s, 1);
        if (depth == 0)
            return STATUS_OK;
    }
    return FAIL(s, "a comment does not end");
}

/* --- parameters ------------------------------------------------------------------------------ */

static int bind(struct dataset *d, int param)
{
    for (size_t i = 0; i < d->n_bound; i++)
        if (d->bound[i] == param)
            return (int)i + 1;
    d->bound[d->n_bound++] = param;
    return (int)d->n_bound;
}

static enum status replace_param(struct scanner *s)
{
    const char *name = s->at + 1;
    size_t len = 0;
    int param = DATASET_USER;

    while (name + len < s->end && is_word(name[len]))
        len++;
    if (len != 4 || memcmp(name, "user", 4) != 0) {
        param = dataset_param_find(s->d, name, len);
        if (param < 0)
            return FAIL(s, "':%.*s' names no parameter", (int)len, name);
        s->used[param] = true;
    } else if (s->d->shared) {
        return FAIL(s, "':user' in a shared dataset");
    }
    buf_append_format(&s->out, "($%d::%s)", bind(s->d, param),
                      param == DATASET_USER ? "text" : dataset_param_cast(&s->d->params[param]));
    s->at += len + 1;
    return STATUS_OK;
}

/* --- scanning -------------------------------------------------------------------------------- */

/* The length of "$tag$" here; 0: it is none. */
static size_t dollar_tag(const struct scanner *s)
{
    const char *c = s->at + 1;

    if (c < s->end && isdigit((unsigned char)*c))
        return 0;
    while (c < s->end && is_word(*c))
        c++;
    return c < s->end && *c == '$' ? (size_t)(c + 1 - s->at) : 0;
}

static enum status scan_code(struct scanner *s, char before)
{
    char next = s->at + 1 < s->end ? s->at[1] : '\0';

    s->n_code++;
    if (s->ended)
        return FAIL(s, "more than one statement");
    switch (*s->at) {
    case ':':
        if (next == ':')
            copy(s, 2);
        else if (isalpha((unsigned char)next))
            return replace_param(s);
        else
            copy(s, 1);
        return STATUS_OK;
    case '$': return FAIL(s, "'$': parameters are written as :name");
    case ';':
        s->ended = true;
        s->at++;
        return STATUS_OK;
    case '(':
    case ')':
        s->depth += *s->at == '(' ? 1 : -1;
        if (s->depth < 0)
            return FAIL(s, "')' without '('");
        break;
    case '\'': return copy_quoted(s, before == 'E' || before == 'e');
    case '"': return copy_quoted(s, false);
    default: break;
    }
    copy(s, 1);
    return STATUS_OK;
}

static enum status scan(struct scanner *s)
{
    enum status status = STATUS_OK;
    char before = ' ';

    while (s->at < s->end && status == STATUS_OK) {
        char c = *s->at;
        size_t tag = c == '$' && !is_word(before) ? dollar_tag(s) : 0;
        if (starts(s, "--")) {
            while (s->at < s->end && *s->at != '\n')
                copy(s, 1);
        } else if (starts(s, "/*")) {
            status = copy_block_comment(s);
        } else if (isspace((unsigned char)c)) {
            copy(s, 1);
        } else if (tag > 0) {
            status = copy_dollar_quoted(s, tag);
        } else {
            status = scan_code(s, before);
        }
        before = c;
    }
    return status;
}

/* The first word of code in the text. */
static bool begins_with_select(const char *text)
{
    for (;;) {
        text += strspn(text, " \t\r\n(");
        if (strncmp(text, "--", 2) != 0)
            break;
        text += strcspn(text, "\n");
    }
    return (strncasecmp(text, "select", 6) == 0 && !is_word(text[6])) ||
           (strncasecmp(text, "with", 4) == 0 && !is_word(text[4]));
}

static enum status judge(struct scanner *s)
{
    const struct dataset *d = s->d;
    bool has_user = false;

    if (s->n_code == 0)
        return FAIL(s, "there is no statement");
    if (!begins_with_select(s->out.data))
        return FAIL(s, "expected one SELECT");
    if (s->depth > 0)
        return FAIL(s, "'(' without ')'");
    for (size_t i = 0; i < d->n_bound; i++)
        has_user = has_user || d->bound[i] == DATASET_USER;
    if (!d->shared && !has_user)
        return FAIL(s, "scope is user, but the statement does not use :user: everybody would see the same rows");
    for (size_t i = 0; i < d->n_params; i++)
        if (!s->used[i] && !(d->indicators && dataset_indicators_take(d->params[i].name)))
            return FAIL(s, "parameter '%s' is declared and not used", d->params[i].name);
    return STATUS_OK;
}

/* The values of the last row's cursor columns as a JSON array, when the page is full. Not for limit=all, which has no next page. */
static void append_position(struct dataset *d, struct buf *sql)
{
    int limit_param = dataset_param_find(d, "limit", 5), limit = bind(d, limit_param);
    const char *comma = "";

    buf_append_format(sql, ", CASE WHEN count(*) = ($%d::bigint) THEN (array_agg(json_build_array(", limit);
    for (size_t i = 0; i < d->n_params; i++) {
        const struct dataset_param *p = &d->params[i];
        if (!p->of_cursor)
            continue;
        buf_append_format(sql, "%sr.\"%s\"%s", comma, p->name + strlen(DATASET_AFTER),
                          p->type == DATASET_TIME || p->type == DATASET_DATE ? "" : "::text");
        comma = ", ";
    }
    buf_append_format(sql, ")::text) FILTER (WHERE ($%d::bigint) <= %lld))[count(*)::integer] END", limit,
                      (long long)d->params[limit_param].max);
}

/* An expression beside the rows, with the statement's own parameters. */
static enum status append_until(struct dataset *d, struct buf *sql, struct err *err)
{
    struct scanner s = {
        .d = d, .at = d->until, .end = d->until + strlen(d->until), .line = d->until_line, .out = BUF_INIT, .err = err};
    enum status status = scan(&s);

    if (status == STATUS_OK && (s.ended || s.depth > 0 || s.n_code == 0))
        status = FAIL(&s, "valid-until: expected one expression");
    if (status == STATUS_OK && buf_status(&s.out) != STATUS_OK)
        status = err_fail(err, STATUS_NO_MEMORY, "out of memory");
    if (status == STATUS_OK)
        buf_append_format(sql, ", (%s\n)::timestamptz", s.out.data);
    buf_release(&s.out);
    return status;
}

static enum status append_result(struct dataset *d, struct buf *sql, struct err *err)
{
    enum status status = STATUS_OK;

    buf_append_string(sql, d->one_row
                               ? "SELECT row_to_json(r)::text, 1::bigint, statement_timestamp()"
                               : "SELECT '[' || coalesce(string_agg(row_to_json(r)::text, ','), '') || ']', count(*), "
                                 "statement_timestamp()");
    if (d->n_cursor > 0)
        append_position(d, sql);
    if (d->until != NULL)
        status = append_until(d, sql, err);
    buf_append_string(sql, " FROM (\n");
    return status;
}

static enum status wrap(struct dataset *d, const struct buf *select, struct err *err)
{
    struct buf sql = BUF_INIT;
    enum status status = STATUS_OK;
    size_t len;

    if (d->indicators)
        buf_append_string(&sql, DATASET_INDICATORS_SELECT);
    else
        status = append_result(d, &sql, err);
    d->select_at = sql.len;
    d->select_len = select->len;
    buf_append(&sql, select->data, select->len);
    buf_append_string(&sql, d->indicators ? "\n) AS r ORDER BY 1" : d->one_row ? "\n) AS r LIMIT 1" : "\n) AS r");
    d->sql = buf_take_data(&sql, &len);
    buf_release(&sql);
    return status != STATUS_OK || d->sql != NULL ? status : err_fail(err, STATUS_NO_MEMORY, "out of memory");
}

enum status dataset_compile(struct dataset *d, const char *select, size_t len, int first_line, struct err *err)
{
    struct scanner s = {.d = d, .at = select, .end = select + len, .line = first_line, .out = BUF_INIT, .err = err};
    enum status status = scan(&s);

    s.line = d->select_line = first_line;
    if (status == STATUS_OK)
        status = buf_status(&s.out) == STATUS_OK ? judge(&s) : err_fail(err, STATUS_NO_MEMORY, "out of memory");
    if (status == STATUS_OK)
        status = wrap(d, &s.out, err);
    buf_release(&s.out);
    return status;
}
