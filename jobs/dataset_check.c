#include "jobs/dataset_check.h"

#include <ctype.h>
#include <string.h>

#include "jobs/dataset_indicators.h"

#define FAIL(err, ...) err_fail((err), STATUS_INVALID, __VA_ARGS__)

/* The parameters of a path must be declared, and the same in each of several paths. */
static enum status take_path_params(struct dataset *d, const char *path, struct err *err)
{
    size_t n = 0, n_declared = 0;

    for (const char *c = path; *c; c += strcspn(c, "/")) {
        size_t len = strcspn(++c, "/");
        int i;
        if (memchr(c, '{', len) == NULL && memchr(c, '}', len) == NULL)
            continue;
        if (len < 3 || c[0] != '{' || c[len - 1] != '}' || (i = dataset_param_find(d, c + 1, len - 2)) < 0)
            return FAIL(err, "path '%s': '%.*s' names no parameter", path, (int)len, c);
        if (d->params[i].list_max > 0 || d->params[i].fallback != NULL)
            return FAIL(err, "path '%s': parameter '%s' may be no list and have no default", path, d->params[i].name);
        d->params[i].in_path = d->params[i].required = true;
        n++;
    }
    for (size_t i = 0; i < d->n_params; i++)
        n_declared += d->params[i].in_path;
    return n == n_declared ? STATUS_OK : FAIL(err, "path '%s': it has not the parameters of the other paths", path);
}

static enum status check_paths(struct dataset *d, struct err *err)
{
    enum status status = STATUS_OK;

    for (size_t i = 0; i < d->n_paths && status == STATUS_OK; i++)
        status = take_path_params(d, d->paths[i], err);
    return status;
}

/* Families with a meaning of their own (design section 3). */
static enum status check_family(const struct dataset *d, const char *key, struct err *err)
{
    static const char *const taken[] = {"analytics:", "epoch:",  "lock:",  "jobs",       "session:", "ratelimit:",
                                        "seen:",      "active:", "wanted", "tombstone:", "job:",     "data:"};

    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (strncmp(key, taken[i], strlen(taken[i])) == 0 &&
            !(strcmp(taken[i], "data:") == 0 && strncmp(key + 5, d->name, strlen(d->name)) == 0))
            return FAIL(err, "key '%s': this family belongs to something else", key);
    return STATUS_OK;
}

/* Bytes that a request for other rows would not change make two answers share a key. */
static enum status check_key(const struct dataset *d, struct err *err)
{
    bool hashed = strstr(d->key, "$H") != NULL, has_user = strstr(d->key, "{U}") != NULL;
    bool named[DATASET_MAX_PARAMS] = {false};

    if (d->shared == has_user)
        return FAIL(err, d->shared ? "key: a shared dataset has no {U}" : "key: {U} is missing");
    for (const char *c = d->key; *c; c++) {
        size_t len = *c == '$' ? strspn(c + 1, "abcdefghijklmnopqrstuvwxyz0123456789_") : 0;
        int i = len > 0 ? dataset_param_find(d, c + 1, len) : -1;
        if (i >= 0 && d->params[i].required && d->params[i].list_max == 0) {
            named[i] = true;
        } else if (*c == '$' && !(c[1] == 'H' && hashed)) {
            return FAIL(err, "key: '$%.*s' is no required parameter", (int)len, c + 1);
        } else if (strncmp(c, "{U}", 3) == 0) {
            c += 2;
        } else if (!isalnum((unsigned char)*c) && strchr(":_-.$", *c) == NULL) {
            return FAIL(err, "key: expected letters, digits, ':', '_', '-', '.', {U}, $parameter and $H");
        }
    }
    for (size_t i = 0; i < d->n_params && !hashed; i++)
        if (!named[i])
            return FAIL(err, "key: it says neither $H nor $%s: different answers would share it", d->params[i].name);
    return check_family(d, d->key, err);
}

/* The whole list has no parameters, so nothing but the user tells one from another. */
static enum status check_collection(const struct dataset *d, struct err *err)
{
    int limit = dataset_param_find(d, "limit", 5);
    const char *user = strstr(d->collection, "{U}");

    if (limit < 0 || !d->params[limit].or_all)
        return FAIL(err, "collection: there is no parameter 'limit integer MIN..MAX|all = DEFAULT'");
    for (size_t i = 0; i < d->n_params; i++)
        if (d->params[i].required)
            return FAIL(err, "collection: parameter '%s' is required", d->params[i].name);
    if (d->shared == (user != NULL))
        return FAIL(err, d->shared ? "collection: a shared dataset has no {U}" : "collection: {U} is missing");
    for (const char *c = d->collection; *c; c++)
        if (c == user)
            c += 2;
        else if (!isalnum((unsigned char)*c) && strchr(":_-.", *c) == NULL)
            return FAIL(err, "collection: expected letters, digits, ':', '_', '-', '.' and {U}");
    return check_family(d, d->collection, err);
}

/* The rows of a page are counted against its limit, to know whether there are more. */
static enum status check_cursor(const struct dataset *d, struct err *err)
{
    int limit = dataset_param_find(d, "limit", 5);

    if (limit < 0 || d->params[limit].type != DATASET_INTEGER || d->params[limit].fallback == NULL)
        return FAIL(err, "cursor: there is no parameter 'limit integer MIN..MAX = DEFAULT'");
    if (dataset_param_find(d, "cursor", 6) >= 0)
        return FAIL(err, "cursor: there is a parameter of this name");
    return d->one_row ? FAIL(err, "cursor: of a single row") : STATUS_OK;
}

/* A row is told by a value that every request has, and that has one spelling. */
static enum status check_tags(const struct dataset *d, struct err *err)
{
    static const bool can_tell[DATASET_TYPES] = {[DATASET_INTEGER] = true,
                                                 [DATASET_DATE] = true,
                                                 [DATASET_TEXT] = true,
                                                 [DATASET_CHOICE] = true,
                                                 [DATASET_SYMBOL] = true};

    for (size_t i = 0; i < d->n_own_tags; i++) {
        const char *name = d->own_tags[i].param;
        int at = *name != '\0' ? dataset_param_find(d, name, strlen(name)) : -1;
        const struct dataset_param *param = at >= 0 ? &d->params[at] : NULL;
        if (*name == '\0' || (param != NULL && param->required && param->list_max == 0 && can_tell[param->type]))
            continue;
        return FAIL(err, "tag '%s:$%s': '%s' must be a required integer, date, text, choice or symbol",
                    d->own_tags[i].name, name, name);
    }
    return STATUS_OK;
}

static enum status at_line(const struct dataset *d, int line, enum status status, struct err *err)
{
    if (status != STATUS_OK)
        err_prefix(err, "%s:%d", d->file, line);
    return status;
}

enum status dataset_check(struct dataset *d, struct err *err)
{
    const struct {
        bool stands_there;
        int line;
        enum status (*check)(const struct dataset *d, struct err *err);
    } parts[] = {
        {true, d->tags_line, check_tags},
        {d->key != NULL, d->key_line, check_key},
        {d->collection != NULL, d->collection_line, check_collection},
        {d->n_cursor > 0, d->cursor_line, check_cursor},
        {d->indicators, d->compute_line, dataset_indicators_check},
    };
    enum status status = at_line(d, d->path_line, check_paths(d, err), err);

    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && status == STATUS_OK; i++)
        if (parts[i].stands_there)
            status = at_line(d, parts[i].line, parts[i].check(d, err), err);
    return status;
}
