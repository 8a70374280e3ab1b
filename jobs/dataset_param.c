/* The parameters in the header of a dataset file: "limit  integer 1..500|all = 100"; and the columns of its cursor. */
#include "jobs/dataset_param.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/dataset_value.h"
#include "lib/base/parse_number.h"

#define FAIL(...) err_fail(err, STATUS_INVALID, __VA_ARGS__)

static enum status no_memory(struct err *err)
{
    return err_fail(err, STATUS_NO_MEMORY, "out of memory");
}

static enum status set_text(char **field, const char *text, struct err *err)
{
    *field = strdup(text);
    return *field != NULL ? STATUS_OK : no_memory(err);
}

bool dataset_is_name(const char *text, size_t len, size_t max)
{
    if (len == 0 || len > max || !(text[0] >= 'a' && text[0] <= 'z'))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '0' && text[i] <= '9') || text[i] == '_' ||
              text[i] == '-'))
            return false;
    return true;
}

/* The next word of a line; NULL at its end. */
static char *next_word(char **cursor)
{
    char *word = *cursor + strspn(*cursor, " \t");

    if (*word == '\0')
        return NULL;
    *cursor = word + strcspn(word, " \t");
    if (**cursor != '\0')
        *(*cursor)++ = '\0';
    return word;
}

static enum status take_type(struct dataset_param *param, char **cursor, struct err *err)
{
    char *word = next_word(cursor);

    if (word != NULL && strcmp(word, "list") == 0) {
        int64_t n;
        word = next_word(cursor);
        if (word == NULL || parse_int64(word, 1, DATASET_LIST_MAX, &n) != STATUS_OK)
            return FAIL("parameter '%s': expected 'list N TYPE', N from 1 to %d", param->name, DATASET_LIST_MAX);
        param->list_max = (size_t)n;
        word = next_word(cursor);
    }
    for (int type = 0; word != NULL && type < DATASET_TYPES; type++)
        if (strcmp(word, dataset_type_name((enum dataset_type)type)) == 0) {
            param->type = (enum dataset_type)type;
            dataset_param_set_bounds(param);
            return STATUS_OK;
        }
    return FAIL("parameter '%s': type '%s': expected integer, decimal, date, time, text, choice, boolean or symbol",
                param->name, word != NULL ? word : "");
}

static enum status take_bounds(struct dataset_param *param, char *word, struct err *err)
{
    char *dots = strstr(word, ".."), *bar = strchr(word, '|');

    if (param->type == DATASET_TEXT && parse_int64(word, 1, DATASET_TEXT_MAX, &param->max) == STATUS_OK)
        return STATUS_OK;
    if (param->type == DATASET_CHOICE && param->choices == NULL)
        return set_text(&param->choices, word, err);
    if (param->type == DATASET_INTEGER && param->list_max == 0 && strcmp(param->name, "limit") == 0 && bar != NULL &&
        strcmp(bar, "|all") == 0) {
        param->or_all = true;
        *bar = '\0';
    }
    if ((param->type == DATASET_INTEGER || param->type == DATASET_DECIMAL) && dots != NULL) {
        *dots = '\0';
        if (dataset_bound_parse(param->type, word, &param->min) == STATUS_OK &&
            dataset_bound_parse(param->type, dots + 2, &param->max) == STATUS_OK && param->min <= param->max)
            return STATUS_OK;
        *dots = '.';
    }
    return FAIL("parameter '%s': '%s' is not understood", param->name, word);
}

static enum status take_default(struct dataset_param *param, char *rest, struct err *err)
{
    struct buf canonical = BUF_INIT;
    struct err why;
    enum status status;

    rest += strspn(rest, " \t");
    status = dataset_value_parse(param, rest, &canonical, &why);
    if (status == STATUS_OK && buf_status(&canonical) != STATUS_OK)
        status = no_memory(err);
    else if (status == STATUS_OK)
        status = set_text(&param->fallback, canonical.data, err);
    else
        status = FAIL("parameter '%s': its default '%s' %s", param->name, rest, why.text);
    buf_release(&canonical);
    return status;
}

/* What follows the type: bounds, then "required" or "= DEFAULT". */
static enum status take_details(struct dataset_param *param, char *cursor, struct err *err)
{
    char *word;
    enum status status = STATUS_OK;

    while (status == STATUS_OK && (word = next_word(&cursor)) != NULL) {
        if (strcmp(word, "required") == 0)
            param->required = true;
        else if (strcmp(word, "=") != 0)
            status = take_bounds(param, word, err);
        else if (param->type == DATASET_CHOICE && param->choices == NULL)
            break;
        else
            return param->required ? FAIL("parameter '%s': required, so it has no default", param->name)
                                   : take_default(param, cursor, err);
    }
    if (status == STATUS_OK && param->type == DATASET_CHOICE && param->choices == NULL)
        return FAIL("parameter '%s': expected the choices, as in 'choice asc|desc'", param->name);
    if (status == STATUS_OK && param->or_all)
        return FAIL("parameter '%s': one that may be all has a default", param->name);
    return status;
}

/* Room for one more, under its name; counted from then on. */
static enum status add_param(struct dataset *d, const char *name, struct dataset_param **ret_param, struct err *err)
{
    struct dataset_param *param = &d->params[d->n_params];

    if (strcmp(name, "user") == 0 || strcmp(name, "user_id") == 0)
        return FAIL("parameter '%s': this name is taken: the user comes from the token", name);
    if (dataset_param_find(d, name, strlen(name)) >= 0)
        return FAIL("parameter '%s': there are two", name);
    if (set_text(&param->name, name, err) != STATUS_OK)
        return STATUS_NO_MEMORY;
    name_table_add(&d->param_names, param->name, (int)d->n_params);
    d->n_params++;
    *ret_param = param;
    return STATUS_OK;
}

static bool is_param_name(const char *name)
{
    return name != NULL && strchr(name, '-') == NULL && dataset_is_name(name, strlen(name), DATASET_NAME_MAX);
}

enum status dataset_param_take(struct dataset *d, char *line, struct err *err)
{
    struct dataset_param *param;
    char *name = next_word(&line);
    enum status status;

    if (!is_param_name(name))
        return FAIL("parameter '%s': expected a letter, then letters, digits and '_', in lower case", name ? name : "");
    if (d->n_params - d->n_cursor == DATASET_MAX_PARAMS)
        return FAIL("parameter '%s': more than %d", name, DATASET_MAX_PARAMS);
    status = add_param(d, name, &param, err);
    if (status == STATUS_OK)
        status = take_type(param, &line, err);
    return status == STATUS_OK ? take_details(param, line, err) : status;
}

enum status dataset_param_take_cursor(struct dataset *d, char *line, struct err *err)
{
    char *column = next_word(&line), name[DATASET_NAME_MAX + sizeof DATASET_AFTER];
    struct dataset_param *param;
    enum status status;

    if (!is_param_name(column))
        return FAIL("cursor '%s': expected columns with their types, by commas", column ? column : "");
    if (d->n_cursor == DATASET_MAX_CURSOR)
        return FAIL("cursor '%s': more than %d columns", column, DATASET_MAX_CURSOR);
    (void)snprintf(name, sizeof name, DATASET_AFTER "%s", column);
    status = add_param(d, name, &param, err);
    if (status == STATUS_OK)
        status = take_type(param, &line, err);
    if (status == STATUS_OK && (next_word(&line) != NULL || param->type == DATASET_CHOICE || param->list_max > 0))
        return FAIL("cursor '%s': expected a column and a type without bounds, choices or list", column);
    if (status != STATUS_OK)
        return status;
    param->of_cursor = true;
    d->n_cursor++;
    return STATUS_OK;
}

enum status dataset_param_settle(struct dataset *d, struct err *err)
{
    struct buf text = BUF_INIT;
    size_t len;

    buf_append_format(&text, "%s\n%s\n", d->version, d->name);
    for (size_t i = 0; i < d->n_params; i++) {
        const struct dataset_param *p = &d->params[i];
        d->default_at[i] = text.len;
        if (p->fallback != NULL)
            buf_append_format(&text, "%s=%s\n", p->name, p->fallback);
        d->required |= (uint32_t)p->required << i;
        d->never_whole |= (uint32_t)(p->or_all && p->fallback != NULL && strcmp(p->fallback, DATASET_ALL) != 0) << i;
    }
    d->default_at[d->n_params] = text.len;
    d->defaults = buf_take_data(&text, &len);
    return d->defaults != NULL ? STATUS_OK : no_memory(err);
}
