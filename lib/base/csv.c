#include "lib/base/csv.h"

#include <errno.h>
#include <string.h>

#include "lib/base/text.h"

void csv_begin(struct csv_reader *r, FILE *file)
{
    *r = (struct csv_reader){.file = file, .text = BUF_INIT};
}

void csv_release(struct csv_reader *r)
{
    buf_release(&r->text);
}

/* --- lines ----------------------------------------------------------------------------------- */

/* A line without its end. STATUS_LIMIT: it is too long, and was skipped. */
static enum status read_line(struct csv_reader *r, struct err *err)
{
    bool too_long = false;
    int c;

    buf_clear(&r->text);
    while ((c = getc_unlocked(r->file)) != EOF && c != '\n') {
        r->offset++;
        too_long = too_long || r->text.len == CSV_MAX_LINE;
        if (!too_long)
            buf_append_char(&r->text, (char)c);
    }
    if (c == EOF && ferror_unlocked(r->file))
        return err_fail(err, STATUS_UNAVAILABLE, "line %lld cannot be read: %s", (long long)r->line + 1,
                        strerror(errno));
    if (c == EOF && r->text.len == 0)
        return STATUS_NOT_FOUND;
    r->offset += c != EOF;
    r->line++;
    if (r->text.len > 0 && r->text.data[r->text.len - 1] == '\r')
        buf_truncate(&r->text, r->text.len - 1);
    if (buf_status(&r->text) != STATUS_OK)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    return too_long ? err_fail(err, STATUS_INVALID, "it has more than %d bytes", CSV_MAX_LINE) : STATUS_OK;
}

static char *skip_mark(struct csv_reader *r)
{
    bool marked = r->line == 1 && strncmp(r->text.data, "\xEF\xBB\xBF", 3) == 0;

    return r->text.data + (marked ? 3 : 0);
}

/* --- cells ----------------------------------------------------------------------------------- */

static char *trim_end(char *from, char *end)
{
    while (end > from && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return end;
}

/* Unquotes in place; *ret_end is behind the closing quote and the blanks that follow. */
static bool take_quoted(char *at, char **ret_end)
{
    char *to = at;

    for (at++; *at != '\0'; at++) {
        if (*at == '"' && at[1] != '"') {
            *to = '\0';
            at++;
            *ret_end = at + strspn(at, " \t");
            return true;
        }
        at += *at == '"';
        *to++ = *at;
    }
    return false;
}

static enum status take_cell(struct csv_reader *r, char **cursor, struct err *err)
{
    char *cell = *cursor + strspn(*cursor, " \t"), *end = cell + strcspn(cell, ",");
    bool quoted = *cell == '"';

    if (r->n_cells == CSV_MAX_CELLS)
        return err_fail(err, STATUS_INVALID, "it has more than %d cells", CSV_MAX_CELLS);
    if (quoted) {
        if (!take_quoted(cell, &end))
            return err_fail(err, STATUS_INVALID, "cell %zu: its quote does not end on this line", r->n_cells + 1);
        if (*end != ',' && *end != '\0')
            return err_fail(err, STATUS_INVALID, "cell %zu: there is more behind its closing quote", r->n_cells + 1);
    }
    *cursor = *end == ',' ? end + 1 : NULL;
    if (!quoted)
        *trim_end(cell, end) = '\0';
    r->cells[r->n_cells++] = cell;
    return STATUS_OK;
}

static enum status split(struct csv_reader *r, char *text, struct err *err)
{
    enum status status = STATUS_OK;

    r->n_cells = 0;
    if (strlen(text) != r->text.len - (size_t)(text - r->text.data) || !utf8_is_valid(text, strlen(text)))
        return err_fail(err, STATUS_INVALID, "it is not UTF-8 text");
    for (char *cursor = text; cursor != NULL && status == STATUS_OK;)
        status = take_cell(r, &cursor, err);
    return status;
}

enum status csv_next(struct csv_reader *r, struct err *err)
{
    for (;;) {
        enum status status = read_line(r, err);
        char *text = skip_mark(r);
        if (status != STATUS_OK)
            return status;
        if (text[strspn(text, " \t")] != '\0' || strlen(text) != r->text.len - (size_t)(text - r->text.data))
            return split(r, text, err);
    }
}
