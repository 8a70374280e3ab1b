/* The header of a dataset file: comment lines of "-- word: value", the first line without "--" ends them. Strict: a word that
 * is not known is an error with its line, so that a typo cannot silently drop an invalidation. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/dataset_check.h"
#include "jobs/dataset_key.h"
#include "jobs/dataset_param.h"
#include "lib/base/parse_number.h"

#define TTL_MAX_S (7 * 86400)

struct parser {
    struct dataset *d;
    int line, n_lines;
    unsigned seen; /* a bit for each header word */
    bool in_params;
    struct err *err;
};

#define FAIL(p, ...) fail_at((p), err_fail((p)->err, STATUS_INVALID, __VA_ARGS__))

static enum status fail_at(const struct parser *p, enum status status)
{
    err_prefix(p->err, "%s:%d", p->d->file, p->line);
    return status;
}

static enum status no_memory(struct parser *p)
{
    return err_fail(p->err, STATUS_NO_MEMORY, "out of memory");
}

/* --- words ----------------------------------------------------------------------------------- */

/* The next of a list's elements, trimmed; false at the end. An empty element has length 0. */
static bool next_of_list(char **cursor, char **ret_item)
{
    char *item = *cursor, *end;

    if (item == NULL)
        return false;
    end = strchr(item, ',');
    *cursor = end != NULL ? end + 1 : NULL;
    if (end != NULL)
        *end = '\0';
    item += strspn(item, " \t");
    for (end = item + strlen(item); end > item && (end[-1] == ' ' || end[-1] == '\t');)
        *--end = '\0';
    *ret_item = item;
    return true;
}

/* --- header words ---------------------------------------------------------------------------- */

static enum status set_text(struct parser *p, char **field, const char *text)
{
    *field = strdup(text);
    return *field != NULL ? STATUS_OK : no_memory(p);
}

static enum status take_name(struct parser *p, char *value)
{
    if (!dataset_is_name(value, strlen(value), DATASET_NAME_MAX))
        return FAIL(p, "name '%s': expected a letter, then letters, digits, '_', '-', in lower case, at most %d", value,
                    DATASET_NAME_MAX);
    return set_text(p, &p->d->name, value);
}

static enum status take_path(struct parser *p, char *value)
{
    char *path;

    p->d->path_line = p->line;
    while (next_of_list(&value, &path)) {
        if (p->d->n_paths == DATASET_MAX_PATHS)
            return FAIL(p, "path: more than %d", DATASET_MAX_PATHS);
        if (strncmp(path, "/api/", 5) != 0 || path[5] == '\0' || path[strlen(path) - 1] == '/' || strstr(path, "//"))
            return FAIL(p, "path '%s': expected /api/ and segments without an empty one", path);
        for (const char *c = path; *c; c++)
            if (!isalnum((unsigned char)*c) && strchr("/_.-{}", *c) == NULL)
                return FAIL(p, "path '%s': expected letters, digits, '_', '-', '.' and {parameter} segments", path);
        if (set_text(p, &p->d->paths[p->d->n_paths], path) != STATUS_OK)
            return STATUS_NO_MEMORY;
        p->d->n_paths++;
    }
    return STATUS_OK;
}

static enum status take_scope(struct parser *p, char *value)
{
    p->d->shared = strcmp(value, "shared") == 0;
    if (!p->d->shared && strcmp(value, "user") != 0)
        return FAIL(p, "scope '%s': expected user or shared", value);
    return STATUS_OK;
}

static enum status take_returns(struct parser *p, char *value)
{
    p->d->one_row = strcmp(value, "row") == 0;
    if (!p->d->one_row && strcmp(value, "list") != 0)
        return FAIL(p, "returns '%s': expected list or row", value);
    return STATUS_OK;
}

static enum status take_methods(struct parser *p, char *value)
{
    p->d->takes_post = strcmp(value, "get, post") == 0;
    return p->d->takes_post || strcmp(value, "get") == 0 ? STATUS_OK
                                                         : FAIL(p, "methods '%s': expected get, or get, post", value);
}

static enum status take_compute(struct parser *p, char *value)
{
    p->d->compute_line = p->line;
    p->d->indicators = strcmp(value, "indicators") == 0;
    return p->d->indicators ? STATUS_OK : FAIL(p, "compute '%s': expected indicators", value);
}

static enum status take_until(struct parser *p, char *value)
{
    p->d->until_line = p->line;
    return set_text(p, &p->d->until, value);
}

static enum status take_key(struct parser *p, char *value)
{
    p->d->key_line = p->line;
    return set_text(p, &p->d->key, value);
}

static enum status take_collection(struct parser *p, char *value)
{
    p->d->collection_line = p->line;
    return set_text(p, &p->d->collection, value);
}

static enum status take_cursor(struct parser *p, char *value)
{
    char *item;
    enum status status = STATUS_OK;

    p->d->cursor_line = p->line;
    while (status == STATUS_OK && next_of_list(&value, &item))
        status = dataset_param_take_cursor(p->d, item, p->err);
    return status == STATUS_OK ? status : fail_at(p, status);
}

static enum status take_ttl(struct parser *p, char *value)
{
    if (parse_int64(value, 1, TTL_MAX_S, &p->d->ttl_s) != STATUS_OK)
        return FAIL(p, "ttl '%s': expected seconds, 1 to %d", value, TTL_MAX_S);
    return STATUS_OK;
}

static enum status take_refresh(struct parser *p, char *value)
{
    static const char *const names[] = {"none", "market", "reference"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(value, names[i]) == 0) {
            p->d->refresh = (enum dataset_refresh_kind)i;
            return STATUS_OK;
        }
    return FAIL(p, "refresh '%s': expected none, market or reference", value);
}

/* "guides:$id": cuts the parameter off. */
static enum status take_tag_param(struct parser *p, char *item, struct dataset_tag *tag)
{
    char *colon = strchr(item, ':');

    if (colon == NULL)
        return STATUS_OK;
    if (colon[1] != '$' || !dataset_is_name(colon + 2, strlen(colon + 2), DATASET_NAME_MAX))
        return FAIL(p, "tag '%s': expected NAME or NAME:$PARAMETER", item);
    memcpy(tag->param, colon + 2, strlen(colon + 2) + 1);
    *colon = '\0';
    return STATUS_OK;
}

static enum status take_tags(struct parser *p, char *value)
{
    char *item;

    p->d->tags_line = p->line;
    while (next_of_list(&value, &item)) {
        bool shared = *item == '@';
        struct dataset_tag *tag = &p->d->own_tags[p->d->n_own_tags];

        if (p->d->n_own_tags == CACHE_MAX_TAGS)
            return FAIL(p, "tags: more than %d", CACHE_MAX_TAGS);
        item += shared;
        if (take_tag_param(p, item, tag) != STATUS_OK)
            return STATUS_INVALID;
        if (!dataset_is_name(item, strlen(item), CACHE_TAG_MAX - 1))
            return FAIL(p, "tag '%s': expected 1 to %d of a-z 0-9 _ -", item, CACHE_TAG_MAX - 1);
        memcpy(tag->name, item, strlen(item) + 1);
        tag->shared = shared;
        p->d->n_own_tags++;
    }
    return STATUS_OK;
}

static enum status take_depends(struct parser *p, char *value)
{
    char *item;

    p->d->depends_line = p->line;
    while (next_of_list(&value, &item)) {
        if (!dataset_is_name(item, strlen(item), DATASET_NAME_MAX))
            return FAIL(p, "depends-on '%s': expected names of datasets", item);
        if (p->d->n_depends == DATASET_MAX_DEPENDS)
            return FAIL(p, "depends-on: more than %d", DATASET_MAX_DEPENDS);
        if (set_text(p, &p->d->depends[p->d->n_depends], item) != STATUS_OK)
            return STATUS_NO_MEMORY;
        p->d->n_depends++;
    }
    return STATUS_OK;
}

static enum status take_param(struct parser *p, char *line)
{
    enum status status = dataset_param_take(p->d, line, p->err);

    return status == STATUS_OK ? status : fail_at(p, status);
}

static enum status take_params(struct parser *p, char *value)
{
    if (*value != '\0')
        return FAIL(p, "params: expected one line for each below, as in '--   limit integer 1..500 = 100'");
    p->in_params = true;
    return STATUS_OK;
}

/* --- the whole header ------------------------------------------------------------------------ */

static const struct {
    const char *word;
    enum status (*take)(struct parser *p, char *value);
    bool needed;
} words[] = {
    {"name", take_name, true},          {"path", take_path, true},
    {"scope", take_scope, true},        {"ttl", take_ttl, false},
    {"tags", take_tags, false},         {"depends-on", take_depends, false},
    {"key", take_key, false},           {"refresh", take_refresh, false},
    {"returns", take_returns, false},   {"collection", take_collection, false},
    {"cursor", take_cursor, false},     {"params", take_params, false},
    {"compute", take_compute, false},   {"methods", take_methods, false},
    {"valid-until", take_until, false},
};
#define N_WORDS (sizeof words / sizeof words[0])

static enum status take_line(struct parser *p, char *line)
{
    char *colon, *value;
    size_t blanks = strspn(line, " \t");

    if (p->in_params && blanks >= 2)
        return take_param(p, line);
    p->in_params = false;
    line += blanks;
    colon = strchr(line, ':');
    if (colon == NULL)
        return FAIL(p, "'%s': expected '-- word: value'; an empty line ends the header", line);
    *colon = '\0';
    value = colon + 1 + strspn(colon + 1, " \t");
    for (size_t i = 0; i < N_WORDS; i++) {
        if (strcmp(line, words[i].word) != 0)
            continue;
        if (p->seen & 1u << i)
            return FAIL(p, "'%s' stands there twice", line);
        p->seen |= 1u << i;
        if (*value == '\0' && words[i].take != take_params)
            return FAIL(p, "'%s' has no value", line);
        return words[i].take(p, value);
    }
    return FAIL(
        p,
        "unknown header '%s': expected name, path, scope, key, ttl, tags, depends-on, params, refresh, returns, "
        "collection, cursor, compute, methods or valid-until",
        line);
}

static enum status check_words(struct parser *p)
{
    for (size_t i = 0; i < N_WORDS; i++)
        if (words[i].needed && !(p->seen & 1u << i))
            return FAIL(p, "'%s' is missing", words[i].word);
    if (p->d->n_own_tags == 0 && p->d->n_depends == 0)
        return FAIL(p, "'tags' or 'depends-on' is missing: nothing would invalidate it");
    return STATUS_OK;
}

/* Reads the lines; *ret_select is where the statement begins. */
static enum status take_lines(struct parser *p, const char *text, size_t len, const char **ret_select)
{
    const char *end = text + len, *at = text;
    enum status status = STATUS_OK;
    char line[1024];

    while (at < end && status == STATUS_OK) {
        const char *eol = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((eol ? eol : end) - at);
        if (n < 2 || at[0] != '-' || at[1] != '-')
            break;
        p->line++;
        if (n - 2 >= sizeof line)
            return FAIL(p, "the line is longer than %zu bytes", sizeof line);
        memcpy(line, at + 2, n - 2);
        for (n -= 2; n > 0 && isspace((unsigned char)line[n - 1]);)
            n--;
        line[n] = '\0';
        status = take_line(p, line);
        at = eol ? eol + 1 : end;
    }
    p->n_lines = p->line;
    *ret_select = at;
    return status;
}

enum status dataset_parse(const char *file, const char *text, size_t len, struct dataset **ret_dataset, struct err *err)
{
    struct dataset *d = calloc(1, sizeof *d);
    struct parser p = {.d = d, .err = err};
    const char *select = text;
    struct buf version = BUF_INIT;
    enum status status;

    if (d == NULL || (d->file = strdup(file)) == NULL) {
        free(d);
        return no_memory(&p);
    }
    name_table_init(&d->param_names, d->param_slots, DATASET_NAME_SLOTS);
    p.line = 0;
    status =
        memchr(text, '\0', len) != NULL ? FAIL(&p, "there is a NUL byte in it") : take_lines(&p, text, len, &select);
    if (status == STATUS_OK)
        status = check_words(&p);
    if (status == STATUS_OK)
        status = dataset_check(d, err);
    if (status == STATUS_OK)
        status = dataset_compile(d, select, (size_t)(text + len - select), p.n_lines + 1, err);
    cache_append_hash(&version, text, len);
    if (status == STATUS_OK && buf_status(&version) != STATUS_OK)
        status = no_memory(&p);
    if (status == STATUS_OK) {
        memcpy(d->version, version.data, sizeof d->version);
        memcpy(d->statement_name, "dataset_", 8);
        memcpy(d->statement_name + 8, version.data, sizeof d->version);
        status = dataset_param_settle(d, err);
    }
    if (status == STATUS_OK)
        status = dataset_keys_init(d, err);
    if (status == STATUS_OK)
        *ret_dataset = d;
    else
        dataset_free(&d);
    buf_release(&version);
    return status;
}

int dataset_param_find(const struct dataset *d, const char *name, size_t len)
{
    return name_table_find(&d->param_names, name, len);
}

void dataset_free(struct dataset **dataset)
{
    struct dataset *d = *dataset;

    if (d == NULL)
        return;
    for (size_t i = 0; i < d->n_params; i++) {
        free(d->params[i].name);
        free(d->params[i].choices);
        free(d->params[i].fallback);
    }
    for (size_t i = 0; i < d->n_paths; i++)
        free(d->paths[i]);
    for (size_t i = 0; i < d->n_depends; i++)
        free(d->depends[i]);
    free(d->file);
    free(d->name);
    free(d->key);
    free(d->collection);
    free(d->until);
    free(d->defaults);
    dataset_keys_release(d);
    free(d->sql);
    free(d);
    *dataset = NULL;
}
