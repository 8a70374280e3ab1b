#include "worker/cli.h"

#include <stdlib.h>
#include <string.h>

void cli_list_release(struct cli_list *list)
{
    free(list->values);
    *list = (struct cli_list){0};
}

static const struct cli_option *find_option(const struct cli_option *options, size_t n, const char *word, size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(options[i].name) == len && strncmp(options[i].name, word, len) == 0)
            return &options[i];
    return NULL;
}

static enum status list_add(struct cli_list *list, const char *value, struct err *err)
{
    const char **values = realloc(list->values, (list->n + 1) * sizeof *values);

    if (values == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for the command line");
    list->values = values;
    list->values[list->n++] = value;
    return STATUS_OK;
}

static enum status set_value(const struct cli_option *option, const char *value, struct err *err)
{
    if (option->kind == CLI_LIST)
        return list_add(option->target.list, value, err);
    if (*option->target.text != NULL)
        return err_fail(err, STATUS_INVALID, "%s is given twice; give it once", option->name);
    *option->target.text = value;
    return STATUS_OK;
}

enum status cli_parse(const char *command, int argc, char *const *argv, const struct cli_option *options,
                      size_t n_options, bool *ret_help, struct err *err)
{
    enum status status = STATUS_OK;

    *ret_help = false;
    for (int i = 0; i < argc && status == STATUS_OK; i++) {
        const char *word = argv[i], *equals = strchr(word, '='), *value = equals == NULL ? NULL : equals + 1;
        const struct cli_option *option;

        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            *ret_help = true;
            return STATUS_OK;
        }
        option = find_option(options, n_options, word, equals == NULL ? strlen(word) : (size_t)(equals - word));
        if (option == NULL)
            return err_fail(err, STATUS_INVALID, "unknown %s '%s'; see '%s --help'",
                            word[0] == '-' ? "option" : "argument", word, command);
        if (option->kind == CLI_FLAG) {
            if (value != NULL)
                return err_fail(err, STATUS_INVALID, "%s takes no value; write it alone", option->name);
            *option->target.flag = true;
            continue;
        }
        if (value == NULL && i + 1 < argc)
            value = argv[++i];
        if (value == NULL || value[0] == '\0')
            return err_fail(err, STATUS_INVALID, "%s needs a value; see '%s --help'", option->name, command);
        status = set_value(option, value, err);
    }
    return status;
}
