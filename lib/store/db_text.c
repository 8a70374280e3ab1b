/* Values and names as SQL text. */
#include "lib/store/db_internal.h"

#include <string.h>

void db_append_identifier(struct buf *out, const char *name)
{
    buf_append_char(out, '"');
    for (; *name != '\0'; name++) {
        if (*name == '"')
            buf_append_char(out, '"');
        buf_append_char(out, *name);
    }
    buf_append_char(out, '"');
}

void db_append_literal(struct buf *out, const char *text)
{
    /* E'' reads the same whatever standard_conforming_strings is. */
    buf_append_string(out, strchr(text, '\\') != NULL ? "E'" : "'");
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            buf_append_char(out, *text);
        buf_append_char(out, *text);
    }
    buf_append_char(out, '\'');
}

void db_append_text_array(struct buf *out, size_t n, const char *const *texts)
{
    buf_append_char(out, '{');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        if (texts[i] == NULL) {
            buf_append_string(out, "NULL");
            continue;
        }
        buf_append_char(out, '"');
        for (const char *c = texts[i]; *c != '\0'; c++) {
            if (*c == '"' || *c == '\\')
                buf_append_char(out, '\\');
            buf_append_char(out, *c);
        }
        buf_append_char(out, '"');
    }
    buf_append_char(out, '}');
}
