/* The settings both programs run with: file, then environment, then defaults (design section 7). */
#ifndef PNLCACHE_BASE_SETTINGS_H
#define PNLCACHE_BASE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

struct settings {
#define SETTING_FIELD_TEXT(field) char *field;
#define SETTING_FIELD_SECRET(field) char *field;
#define SETTING_FIELD_INTEGER(field) int64_t field;
#define SETTING_FIELD_SECONDS(field) int64_t field;
#define SETTING_FIELD_MILLISECONDS(field) int64_t field;
#define SETTING_FIELD_BYTES(field) int64_t field;
#define SETTING_FIELD_BOOLEAN(field) bool field;
#define SETTING(kind, name, field, value, min, max, help) SETTING_FIELD_##kind(field)
#include "lib/base/settings_table.h"
#undef SETTING
};

/* Reads PNLCACHE_CONF (default /etc/pnlcache/pnlcache.conf; a missing default file is no error, a
 * missing named one is), lets the environment override, NAME_FILE and credentials supply secrets,
 * and checks every value. The result is owned by the caller (settings_free). STATUS_INVALID: the
 * text names the setting, the value (never a secret's) and what was expected. Unknown names in the
 * file are refused with their line. Other spellings of design section 7 are accepted. */
enum status settings_load(struct settings **ret_settings, struct err *err) MUST_CHECK;
void settings_free(struct settings **settings);

/* Appends the names, separated by blanks, of the settings that differ between the two, but for those of `except`, a list
 * that NULL ends. */
void settings_append_differences(const struct settings *a, const struct settings *b, const char *const *except,
                                 struct buf *out);

/* AUTH_MODE as a set; 0: the text names something else, or nothing. */
enum { AUTH_JWT = 1, AUTH_SESSION = 2, AUTH_REMOTE_USER = 4 };
unsigned auth_modes_parse(const char *text);

/* Generated documentation. */
void settings_append_help(struct buf *out);    /* for --help */
void settings_append_example(struct buf *out); /* a commented configuration file */
void settings_append_markdown(struct buf *out);
void settings_append_man(struct buf *out); /* mdoc list for the man page */
/* Settings in force, one NAME=value a line, secrets as "(set)" or "(not set)". */
void settings_append_effective(const struct settings *settings, struct buf *out);

/* For a program that starts another one with the settings it runs with itself: all of them, secrets included, as a
 * file for PNLCACHE_CONF. The other's environment must hold none of them, see settings_is_name(). */
void settings_append_file(const struct settings *settings, struct buf *out);
/* Whether the first `len` bytes name something settings_load() reads from the environment. */
bool settings_is_name(const char *name, size_t len);

#endif
