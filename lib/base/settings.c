/* Loading: for every setting the first of environment, file, systemd credential and default that names
 * it. An empty value counts as not given. Everything is checked before anything is handed out, so a
 * program either starts with a whole set or says what is wrong. */
#include "lib/base/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/env_file.h"
#include "lib/base/file.h"
#include "lib/base/parse_number.h"
#include "lib/base/rate_limit.h"
#include "lib/base/settings_internal.h"

#define DEFAULT_FILE "/etc/pnlcache/pnlcache.conf"

const struct setting_definition setting_definitions[] = {
#define SETTING(kind, name, field, value, min, max, help)                                                              \
    {SETTING_##kind, #name, offsetof(struct settings, field), value, min, max, help},
#include "lib/base/settings_table.h"
#undef SETTING
};
const size_t n_setting_definitions = sizeof setting_definitions / sizeof setting_definitions[0];

/* --- texts that are more than free text ------------------------------------------------------------ */

static bool is_log_level(const char *text)
{
    return strcmp(text, "error") == 0 || strcmp(text, "warn") == 0 || strcmp(text, "info") == 0 ||
           strcmp(text, "debug") == 0;
}

static bool is_log_format(const char *text)
{
    return strcmp(text, "auto") == 0 || strcmp(text, "text") == 0 || strcmp(text, "logfmt") == 0;
}

unsigned auth_modes_parse(const char *text)
{
    static const struct {
        const char *name;
        unsigned mode;
    } names[] = {{"jwt", AUTH_JWT}, {"session", AUTH_SESSION}, {"remote_user", AUTH_REMOTE_USER}};
    enum { N_NAMES = sizeof names / sizeof names[0] };
    static const char separators[] = ", \t";
    unsigned modes = 0;

    for (text += strspn(text, separators); *text != '\0'; text += strspn(text, separators)) {
        size_t len = strcspn(text, separators), i = 0;

        while (i < N_NAMES && (strlen(names[i].name) != len || strncmp(names[i].name, text, len) != 0))
            i++;
        if (i == N_NAMES)
            return 0;
        modes |= names[i].mode;
        text += len;
    }
    return modes;
}

#define RATE_LIMIT_EXPECTED "off, or sliding, bucket or fixed with a number and seconds: sliding:600/60"

static bool is_rate_limit(const char *text)
{
    struct rate_policy ignored;

    return rate_policy_parse(text, &ignored);
}

static bool is_auth_mode(const char *text)
{
    return auth_modes_parse(text) != 0;
}

static bool is_cookie_name(const char *text)
{
    size_t len = strlen(text);

    return len >= 1 && len <= 64 &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

static bool is_same_site(const char *text)
{
    return strcmp(text, "Lax") == 0 || strcmp(text, "Strict") == 0 || strcmp(text, "None") == 0;
}

static bool is_key_prefix(const char *text)
{
    return strlen(text) <= 64 &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-") == strlen(text);
}

static bool is_octal_mode(const char *text)
{
    size_t len = strlen(text);

    return len >= 3 && len <= 4 && strspn(text, "01234567") == len;
}

static const struct {
    const char *name;
    bool (*accepts)(const char *text);
    const char *expected;
} text_rules[] = {
    {"LOG_LEVEL", is_log_level, "error, warn, info or debug"},
    {"LOG_FORMAT", is_log_format, "auto, text or logfmt"},
    {"AUTH_MODE", is_auth_mode, "a list of jwt, session and remote_user"},
    {"SESSION_COOKIE", is_cookie_name, "1 to 64 of A-Z a-z 0-9 . _ -"},
    {"SESSION_COOKIE_SAMESITE", is_same_site, "Lax, Strict or None"},
    {"RATE_LIMIT_READS", is_rate_limit, RATE_LIMIT_EXPECTED},
    {"RATE_LIMIT_ADDRESS", is_rate_limit, RATE_LIMIT_EXPECTED},
    {"RATE_LIMIT_WEBHOOKS", is_rate_limit, RATE_LIMIT_EXPECTED},
    {"RATE_LIMIT_LOGINS", is_rate_limit, RATE_LIMIT_EXPECTED},
    {"KEY_PREFIX", is_key_prefix, "at most 64 of A-Z a-z 0-9 . _ : -"},
    {"LISTEN_MODE", is_octal_mode, "an octal mode such as 0660"},
};

/* --- one value ------------------------------------------------------------------------------------- */

static enum status fail_value(const struct setting_definition *d, const char *text, const char *expected,
                              struct err *err)
{
    if (d->kind == SETTING_SECRET)
        return err_fail(err, STATUS_INVALID, "setting %s: expected %s", d->name, expected);
    return err_fail(err, STATUS_INVALID, "setting %s: '%s' is not %s", d->name, text, expected);
}

static enum status set_text(const struct setting_definition *d, const char *text, char **field, struct err *err)
{
    for (size_t i = 0; i < sizeof text_rules / sizeof text_rules[0]; i++)
        if (strcmp(text_rules[i].name, d->name) == 0 && !text_rules[i].accepts(text))
            return fail_value(d, text, text_rules[i].expected, err);
    free(*field);
    *field = strdup(text);
    return *field != NULL ? STATUS_OK : err_fail(err, STATUS_NO_MEMORY, "out of memory");
}

static enum status set_boolean(const struct setting_definition *d, const char *text, bool *field, struct err *err)
{
    static const char *const yes[] = {"true", "1", "yes", "on"}, *const no[] = {"false", "0", "no", "off"};

    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *field = strcasecmp(text, yes[i]) == 0;
            return STATUS_OK;
        }
    }
    return fail_value(d, text, "true or false", err);
}

/* The factor of a size's suffix; *len loses the suffix. */
static int64_t take_suffix(const char *text, size_t *len)
{
    if (*len == 0)
        return 1;
    switch (text[*len - 1]) {
    case 'k':
    case 'K': (*len)--; return 1024;
    case 'm':
    case 'M': (*len)--; return 1024 * 1024;
    case 'g':
    case 'G': (*len)--; return 1024 * 1024 * 1024;
    default: return 1;
    }
}

static const char *unit_text(enum setting_kind kind)
{
    switch (kind) {
    case SETTING_SECONDS: return " seconds";
    case SETTING_MILLISECONDS: return " milliseconds";
    case SETTING_BYTES: return " bytes (suffixes k, m, g)";
    default: return "";
    }
}

static enum status set_number(const struct setting_definition *d, const char *text, int64_t *field, struct err *err)
{
    size_t len = strlen(text);
    int64_t factor = d->kind == SETTING_BYTES ? take_suffix(text, &len) : 1;
    int64_t value;
    char expected[128];

    if (parse_int64_bytes(text, len, INT64_MIN, INT64_MAX, &value) == STATUS_OK &&
        !__builtin_mul_overflow(value, factor, &value) && value >= d->min && value <= d->max) {
        *field = value;
        return STATUS_OK;
    }
    (void)snprintf(expected, sizeof expected, "a whole number from %lld to %lld%s", (long long)d->min,
                   (long long)d->max, unit_text(d->kind));
    return fail_value(d, text, expected, err);
}

static enum status set_value(struct settings *s, const struct setting_definition *d, const char *text, struct err *err)
{
    void *field = (char *)s + d->offset;

    switch (d->kind) {
    case SETTING_TEXT:
    case SETTING_SECRET: return set_text(d, text, field, err);
    case SETTING_BOOLEAN: return set_boolean(d, text, field, err);
    default: return set_number(d, text, field, err);
    }
}

/* --- where values come from ------------------------------------------------------------------------ */

/* A secret's file: its contents without the line end. */
static enum status read_secret(const char *path, struct buf *out, struct err *err)
{
    enum status status = file_read(path, out, err);

    while (status == STATUS_OK && out->len > 0 && strchr("\r\n", out->data[out->len - 1]) != NULL)
        out->data[--out->len] = '\0';
    return status;
}

static const char *non_empty(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static const char *file_value(const void *file, const char *name)
{
    return non_empty(env_file_get(file, name));
}

static const char *environment_value(const void *unused, const char *name)
{
    (void)unused;
    return non_empty(getenv(name));
}

/* A place to look: the environment, or the file. */
struct source {
    const char *(*get)(const void *context, const char *name);
    const void *context;
};

/* Appends the value of `name` from this source, directly or by NAME_FILE. STATUS_NOT_FOUND: not there. */
static enum status source_value(const struct source *source, const char *name, bool secret, struct buf *out,
                                struct err *err)
{
    const char *direct = source->get(source->context, name), *path = NULL;
    char file_name[64];
    enum status status;

    if (secret) {
        (void)snprintf(file_name, sizeof file_name, "%s_FILE", name);
        path = source->get(source->context, file_name);
    }
    if (direct != NULL && path != NULL)
        return err_fail(err, STATUS_INVALID, "%s and %s_FILE are both set; keep one", name, name);
    if (path != NULL) {
        status = read_secret(path, out, err);
        if (status != STATUS_OK)
            err_prefix(err, "setting %s_FILE", name);
        return status == STATUS_NOT_FOUND ? STATUS_INVALID : status;
    }
    if (direct == NULL)
        return STATUS_NOT_FOUND;
    buf_append_string(out, direct);
    return STATUS_OK;
}

static enum status credential_value(const char *name, struct buf *out, struct err *err)
{
    const char *directory = non_empty(getenv("CREDENTIALS_DIRECTORY"));
    char path[4096];

    if (directory == NULL || snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
        return STATUS_NOT_FOUND;
    return read_secret(path, out, err);
}

/* Environment, then file, then credential. */
static enum status find_value(const struct env_file *file, const char *name, bool secret, struct buf *out,
                              struct err *err)
{
    const struct source sources[] = {{environment_value, NULL}, {file_value, file}};
    enum status status = STATUS_NOT_FOUND;

    for (size_t i = 0; status == STATUS_NOT_FOUND && i < sizeof sources / sizeof sources[0]; i++)
        status = source_value(&sources[i], name, secret, out, err);
    if (status == STATUS_NOT_FOUND && secret)
        status = credential_value(name, out, err);
    return status;
}

/* --- other spellings of REDIS_URL (design section 7) -------------------------------------------------- */

static const char *const upstash_urls[] = {"UPSTASH_REDIS_URL", "UPSTASH_REDIS_REST_URL"};
static const char *const upstash_tokens[] = {"UPSTASH_REDIS_TOKEN", "UPSTASH_REDIS_REST_TOKEN"};

static void append_percent_encoded(struct buf *out, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (; *text != '\0'; text++) {
        if (strchr(plain, *text) != NULL)
            buf_append_char(out, *text);
        else
            buf_append_format(out, "%%%02X", (unsigned char)*text);
    }
}

/* Any URL of the service and its token -> rediss://default:TOKEN@HOST:PORT. */
static void append_upstash_url(struct buf *out, const char *url, const char *token)
{
    const char *scheme_end = strstr(url, "://"), *host = scheme_end != NULL ? scheme_end + 3 : url;
    size_t len = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', len);

    if (at != NULL) {
        len -= (size_t)(at + 1 - host);
        host = at + 1;
    }
    buf_append_string(out, "rediss://default:");
    append_percent_encoded(out, token);
    buf_append_char(out, '@');
    buf_append(out, host, len);
    if (memchr(host, ':', len) == NULL)
        buf_append_string(out, ":6379");
}

static enum status find_upstash(const struct env_file *file, size_t i, struct buf *out, struct err *err)
{
    struct buf url = BUF_INIT, token = BUF_INIT;
    enum status status = find_value(file, upstash_urls[i], true, &url, err);

    if (status == STATUS_OK) {
        status = find_value(file, upstash_tokens[i], true, &token, err);
        if (status == STATUS_NOT_FOUND)
            status = err_fail(err, STATUS_INVALID, "%s is set without %s", upstash_urls[i], upstash_tokens[i]);
    }
    if (status == STATUS_OK)
        append_upstash_url(out, url.data, token.data);
    buf_release(&url);
    buf_release(&token);
    return status;
}

static enum status find_redis_url(const struct env_file *file, struct buf *out, struct err *err)
{
    enum status status = find_value(file, "REDIS_URL", true, out, err);

    if (status == STATUS_NOT_FOUND)
        status = find_value(file, "REDIS_PRIVATE_URL", true, out, err);
    for (size_t i = 0; status == STATUS_NOT_FOUND && i < 2; i++)
        status = find_upstash(file, i, out, err);
    return status;
}

/* --- the whole set ----------------------------------------------------------------------------------- */

static bool name_is(const char *name, size_t len, const char *known)
{
    return strlen(known) == len && strncmp(name, known, len) == 0;
}

/* Whether the first `len` bytes name a setting, or (secret only) one that may come from a file. */
static bool is_known(const char *name, size_t len, bool secret_only)
{
    static const char *const spellings[] = {"REDIS_PRIVATE_URL", "UPSTASH_REDIS_URL", "UPSTASH_REDIS_TOKEN",
                                            "UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"};

    for (size_t i = 0; i < n_setting_definitions; i++)
        if (name_is(name, len, setting_definitions[i].name))
            return !secret_only || setting_definitions[i].kind == SETTING_SECRET;
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++)
        if (name_is(name, len, spellings[i]))
            return true;
    return false;
}

bool settings_is_name(const char *name, size_t len)
{
    return is_known(name, len, false) ||
           (len > 5 && strncmp(name + len - 5, "_FILE", 5) == 0 && is_known(name, len - 5, true));
}

static enum status check_names(const char *path, const struct env_file *file, struct err *err)
{
    for (size_t i = 0; i < file->n; i++) {
        const char *name = file->entries[i].name;

        if (!settings_is_name(name, strlen(name)))
            return err_fail(err, STATUS_INVALID, "%s:%d: there is no setting '%s' (--help lists them)", path,
                            file->entries[i].line, name);
    }
    return STATUS_OK;
}

static enum status load_file(struct env_file *ret_file, struct err *err)
{
    const char *named = non_empty(getenv("PNLCACHE_CONF")), *path = named != NULL ? named : DEFAULT_FILE;
    struct buf text = BUF_INIT;
    enum status status = file_read(path, &text, err);

    if (status == STATUS_OK)
        status = env_file_parse(path, text.data, text.len, ret_file, err);
    else if (status == STATUS_NOT_FOUND)
        status = named == NULL ? STATUS_OK : STATUS_INVALID;
    if (status == STATUS_OK) {
        status = check_names(path, ret_file, err);
        if (status != STATUS_OK)
            env_file_release(ret_file);
    }
    buf_release(&text);
    return status;
}

static enum status load_setting(struct settings *s, const struct setting_definition *d, const struct env_file *file,
                                struct err *err)
{
    struct buf value = BUF_INIT;
    enum status status;

    if (strcmp(d->name, "REDIS_URL") == 0)
        status = find_redis_url(file, &value, err);
    else
        status = find_value(file, d->name, d->kind == SETTING_SECRET, &value, err);
    if (status == STATUS_OK && buf_status(&value) != STATUS_OK)
        status = err_fail(err, STATUS_NO_MEMORY, "out of memory");
    if (status == STATUS_OK)
        status = set_value(s, d, value.data, err);
    else if (status == STATUS_NOT_FOUND)
        status = set_value(s, d, d->default_text, err);
    buf_release(&value);
    return status;
}

enum status settings_load(struct settings **ret_settings, struct err *err)
{
    struct settings *s = calloc(1, sizeof *s);
    struct env_file file = {0};
    enum status status;

    if (s == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    status = load_file(&file, err);
    for (size_t i = 0; status == STATUS_OK && i < n_setting_definitions; i++)
        status = load_setting(s, &setting_definitions[i], &file, err);
    env_file_release(&file);
    if (status != STATUS_OK) {
        settings_free(&s);
        return status;
    }
    *ret_settings = s;
    return STATUS_OK;
}

void settings_free(struct settings **settings)
{
    if (*settings == NULL)
        return;
    for (size_t i = 0; i < n_setting_definitions; i++) {
        const struct setting_definition *d = &setting_definitions[i];

        if (d->kind == SETTING_TEXT || d->kind == SETTING_SECRET)
            free(*(char **)(void *)((char *)*settings + d->offset));
    }
    free(*settings);
    *settings = NULL;
}

static bool is_listed(const char *name, const char *const *list)
{
    while (*list != NULL && strcmp(*list, name) != 0)
        list++;
    return *list != NULL;
}

static bool is_equal(const struct setting_definition *d, const struct settings *a, const struct settings *b)
{
    const void *x = (const char *)a + d->offset, *y = (const char *)b + d->offset;

    if (d->kind == SETTING_TEXT || d->kind == SETTING_SECRET)
        return strcmp(*(char *const *)x, *(char *const *)y) == 0;
    if (d->kind == SETTING_BOOLEAN)
        return *(const bool *)x == *(const bool *)y;
    return *(const int64_t *)x == *(const int64_t *)y;
}

void settings_append_differences(const struct settings *a, const struct settings *b, const char *const *except,
                                 struct buf *out)
{
    for (size_t i = 0; i < n_setting_definitions; i++) {
        const struct setting_definition *d = &setting_definitions[i];

        if (is_equal(d, a, b) || is_listed(d->name, except))
            continue;
        if (out->len > 0)
            buf_append_char(out, ' ');
        buf_append_string(out, d->name);
    }
}
