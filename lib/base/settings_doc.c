/* The table of settings as documentation: help, example file, Markdown, manual page. */
#include <string.h>

#include "lib/base/settings.h"
#include "lib/base/settings_internal.h"

static const char *kind_text(enum setting_kind kind)
{
    static const char *const texts[] = {
        [SETTING_TEXT] = "text",
        [SETTING_SECRET] = "secret",
        [SETTING_INTEGER] = "number",
        [SETTING_SECONDS] = "seconds",
        [SETTING_MILLISECONDS] = "milliseconds",
        [SETTING_BYTES] = "bytes",
        [SETTING_BOOLEAN] = "true or false",
    };

    return texts[kind];
}

static bool has_range(const struct setting_definition *d)
{
    return d->kind == SETTING_INTEGER || d->kind == SETTING_SECONDS || d->kind == SETTING_MILLISECONDS ||
           d->kind == SETTING_BYTES;
}

/* "seconds, 1 to 604800" */
static void append_type(struct buf *out, const struct setting_definition *d)
{
    buf_append_string(out, kind_text(d->kind));
    if (has_range(d))
        buf_append_format(out, ", %lld to %lld", (long long)d->min, (long long)d->max);
}

void settings_append_help(struct buf *out)
{
    for (size_t i = 0; i < n_setting_definitions; i++) {
        const struct setting_definition *d = &setting_definitions[i];

        buf_append_format(out, "  %s (", d->name);
        append_type(out, d);
        if (d->default_text[0] != '\0')
            buf_append_format(out, "; default %s", d->default_text);
        buf_append_format(out, ")\n      %s\n", d->help);
    }
}

void settings_append_example(struct buf *out)
{
    buf_append_string(out,
                      "# Settings of pnlcache: one NAME=value a line, in the syntax of a systemd EnvironmentFile.\n"
                      "# A variable in the environment overrides its line. A secret may come from a file instead:\n"
                      "# NAME_FILE=/path, or a systemd credential called NAME. Commented lines show the defaults.\n");
    for (size_t i = 0; i < n_setting_definitions; i++) {
        const struct setting_definition *d = &setting_definitions[i];

        buf_append_format(out, "\n# %s\n# (", d->help);
        append_type(out, d);
        buf_append_format(out, ")\n#%s=%s\n", d->name, d->default_text);
    }
}

/* '|' would end a table's cell. */
static void append_cell(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            buf_append_char(out, '\\');
        buf_append_char(out, *text);
    }
}

void settings_append_markdown(struct buf *out)
{
    buf_append_string(
        out,
        "# Settings\n\n"
        "Generated from the table in `lib/base/settings_table.h` by `pnlcache-worker settings --markdown`.\n\n"
        "Lines `NAME=value` of one file (`PNLCACHE_CONF`, default `/etc/pnlcache/pnlcache.conf`, the syntax of a\n"
        "systemd `EnvironmentFile`), read at start and on SIGHUP. A variable in the environment overrides its line; an\n"
        "empty value means the default. A secret may also come from a file (`NAME_FILE`) or a systemd credential called\n"
        "`NAME`. A bad value stops the program at start; on SIGHUP it keeps the old set.\n\n"
        "`REDIS_PRIVATE_URL`, `UPSTASH_REDIS_URL` with `UPSTASH_REDIS_TOKEN`, and `UPSTASH_REDIS_REST_URL` with\n"
        "`UPSTASH_REDIS_REST_TOKEN` are accepted in place of `REDIS_URL` (the last two become `rediss://`).\n\n"
        "| setting | type | default | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < n_setting_definitions; i++) {
        const struct setting_definition *d = &setting_definitions[i];

        buf_append_format(out, "| `%s` | ", d->name);
        append_type(out, d);
        if (d->default_text[0] != '\0')
            buf_append_format(out, " | `%s` | ", d->default_text);
        else
            buf_append_string(out, " | | ");
        append_cell(out, d->help);
        buf_append_string(out, " |\n");
    }
}

/* A backslash or a leading dot or quote would be a command to the formatter. */
static void append_man_text(struct buf *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        buf_append_string(out, "\\&");
    for (; *text != '\0'; text++)
        buf_append_string(out, *text == '\\' ? "\\e" : (char[]){*text, '\0'});
}

void settings_append_man(struct buf *out)
{
    buf_append_string(out, ".Bl -tag -width Ds\n");
    for (size_t i = 0; i < n_setting_definitions; i++) {
        const struct setting_definition *d = &setting_definitions[i];

        buf_append_format(out, ".It Ev %s\n", d->name);
        append_man_text(out, d->help);
        buf_append_string(out, "\n(");
        append_type(out, d);
        if (d->default_text[0] != '\0') {
            buf_append_string(out, "; default ");
            append_man_text(out, d->default_text);
        }
        buf_append_string(out, ").\n");
    }
    buf_append_string(out, ".El\n");
}

static void append_value(const struct settings *settings, const struct setting_definition *d, struct buf *out)
{
    const void *field = (const char *)settings + d->offset;

    if (d->kind == SETTING_TEXT || d->kind == SETTING_SECRET)
        buf_append_string(out, *(char *const *)field);
    else if (d->kind == SETTING_BOOLEAN)
        buf_append_string(out, *(const bool *)field ? "true" : "false");
    else
        buf_append_int(out, *(const int64_t *)field);
}

void settings_append_effective(const struct settings *settings, struct buf *out)
{
    for (size_t i = 0; i < n_setting_definitions; i++) {
        const struct setting_definition *d = &setting_definitions[i];
        const void *field = (const char *)settings + d->offset;

        buf_append_format(out, "%s=", d->name);
        if (d->kind == SETTING_SECRET)
            buf_append_string(out, (*(char *const *)field)[0] != '\0' ? "(set)" : "(not set)");
        else
            append_value(settings, d, out);
        buf_append_char(out, '\n');
    }
}

void settings_append_file(const struct settings *settings, struct buf *out)
{
    for (size_t i = 0; i < n_setting_definitions; i++) {
        struct buf value = BUF_INIT;

        append_value(settings, &setting_definitions[i], &value);
        buf_append_format(out, "%s=\"", setting_definitions[i].name);
        for (size_t j = 0; j < value.len; j++) {
            if (strchr("\"\\`$", value.data[j]) != NULL)
                buf_append_char(out, '\\');
            buf_append_char(out, value.data[j]);
        }
        buf_append_string(out, "\"\n");
        out->failed = out->failed || value.failed;
        buf_release(&value);
    }
}
