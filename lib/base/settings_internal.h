/* The table of settings as data; for settings.c and settings_doc.c only. */
#ifndef PNLCACHE_BASE_SETTINGS_INTERNAL_H
#define PNLCACHE_BASE_SETTINGS_INTERNAL_H

#include "lib/base/settings.h"

enum setting_kind {
    SETTING_TEXT,
    SETTING_SECRET,
    SETTING_INTEGER,
    SETTING_SECONDS,
    SETTING_MILLISECONDS,
    SETTING_BYTES,
    SETTING_BOOLEAN,
};

struct setting_definition {
    enum setting_kind kind;
    const char *name;
    size_t offset; /* of the field in struct settings */
    const char *default_text;
    int64_t min, max;
    const char *help;
};

extern const struct setting_definition setting_definitions[];
extern const size_t n_setting_definitions;

#endif
