#include "lib/base/env_file.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"

struct parser {
    const char *file_name;
    const char *at, *end;
    int line;
    struct err *err;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_name_byte(char c, bool first)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || (!first && c >= '0' && c <= '9');
}

static enum status fail_at(const struct parser *p, int line, const char *reason)
{
    return err_fail(p->err, STATUS_INVALID, "%s:%d: %s", p->file_name, line, reason);
}

static void skip_line(struct parser *p)
{
    while (p->at < p->end && *p->at != '\n')
        p->at++;
}

/* To the next line that holds an entry; false at the file's end. */
static bool find_entry(struct parser *p)
{
    for (; p->at < p->end; p->at++) {
        if (*p->at == '#' || *p->at == ';')
            skip_line(p);
        if (p->at == p->end)
            return false;
        if (*p->at == '\n')
            p->line++;
        else if (!is_blank(*p->at))
            return true;
    }
    return false;
}

static enum status parse_name(struct parser *p, struct buf *name)
{
    while (p->at < p->end && is_name_byte(*p->at, name->len == 0))
        buf_append_char(name, *p->at++);
    while (p->at < p->end && is_blank(*p->at))
        p->at++;
    if (name->len == 0 || p->at == p->end || *p->at != '=')
        return fail_at(p, p->line, "expected NAME=value");
    p->at++;
    return STATUS_OK;
}

/* A backslash: joins lines, else stands for the byte behind it. */
static void parse_escape(struct parser *p, struct buf *value)
{
    p->at++;
    if (p->at == p->end)
        return;
    if (*p->at == '\n')
        p->line++;
    else
        buf_append_char(value, *p->at);
    p->at++;
}

static enum status parse_quoted(struct parser *p, struct buf *value)
{
    char quote = *p->at++;
    int opened = p->line;

    while (p->at < p->end && *p->at != quote) {
        if (*p->at == '\\' && quote == '"' && p->at + 1 < p->end && strchr("\"\\`$\n", p->at[1]) != NULL) {
            parse_escape(p, value);
            continue;
        }
        if (*p->at == '\n')
            p->line++;
        buf_append_char(value, *p->at++);
    }
    if (p->at == p->end)
        return fail_at(p, opened, "the quote is not closed");
    p->at++;
    return STATUS_OK;
}

static void parse_bare(struct parser *p, struct buf *value)
{
    size_t kept = value->len; /* trailing blanks are not part of the value */

    while (p->at < p->end && *p->at != '\n') {
        bool blank = is_blank(*p->at);

        if (*p->at == '\\')
            parse_escape(p, value);
        else
            buf_append_char(value, *p->at++);
        if (!blank)
            kept = value->len;
    }
    if (!value->failed && value->len > kept) {
        value->len = kept;
        value->data[kept] = '\0';
    }
}

static enum status parse_value(struct parser *p, struct buf *value)
{
    enum status status;

    for (;;) {
        while (p->at < p->end && is_blank(*p->at))
            p->at++;
        if (p->at == p->end || *p->at == '\n')
            return STATUS_OK;
        if (*p->at != '"' && *p->at != '\'') {
            parse_bare(p, value);
            return STATUS_OK;
        }
        status = parse_quoted(p, value);
        if (status != STATUS_OK)
            return status;
    }
}

static enum status add_entry(struct env_file *file, struct buf *name, struct buf *value, int line)
{
    struct env_entry *entries = realloc(file->entries, (file->n + 1) * sizeof *entries);
    struct env_entry *entry;
    size_t len;

    if (entries == NULL)
        return STATUS_NO_MEMORY;
    file->entries = entries;
    entry = &entries[file->n];
    entry->line = line;
    entry->name = buf_take_data(name, &len);
    entry->value = buf_take_data(value, &len);
    if (entry->name == NULL || entry->value == NULL) {
        free(entry->name);
        free(entry->value);
        return STATUS_NO_MEMORY;
    }
    file->n++;
    return STATUS_OK;
}

enum status env_file_parse(const char *file_name, const char *text, size_t len, struct env_file *ret_file,
                           struct err *err)
{
    struct parser p = {.file_name = file_name, .at = text, .end = text + len, .line = 1, .err = err};
    struct env_file file = {0};
    struct buf name = BUF_INIT, value = BUF_INIT;
    enum status status = STATUS_OK;

    if (memchr(text, '\0', len) != NULL)
        return err_fail(err, STATUS_INVALID, "%s: holds a NUL byte; it is not a text file", file_name);
    while (status == STATUS_OK && find_entry(&p)) {
        int line = p.line;

        status = parse_name(&p, &name);
        if (status == STATUS_OK)
            status = parse_value(&p, &value);
        if (status == STATUS_OK)
            status = add_entry(&file, &name, &value, line);
    }
    buf_release(&name);
    buf_release(&value);
    if (status != STATUS_OK) {
        env_file_release(&file);
        return status == STATUS_NO_MEMORY ? err_fail(err, status, "out of memory") : status;
    }
    *ret_file = file;
    return STATUS_OK;
}

void env_file_release(struct env_file *file)
{
    for (size_t i = 0; i < file->n; i++) {
        free(file->entries[i].name);
        free(file->entries[i].value);
    }
    free(file->entries);
    *file = (struct env_file){0};
}

const char *env_file_get(const struct env_file *file, const char *name)
{
    for (size_t i = file->n; i > 0; i--)
        if (strcmp(file->entries[i - 1].name, name) == 0)
            return file->entries[i - 1].value;
    return NULL;
}
