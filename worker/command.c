#include "worker/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"

int command_misused(const char *format, ...)
{
    va_list args;

    fputs("pnlcache-worker: ", stderr);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return EXIT_USAGE;
}

int command_fail(enum status status, const struct err *err)
{
    fprintf(stderr, "pnlcache-worker: %s\n", err->text[0] != '\0' ? err->text : status_name(status));
    return EXIT_FAILED;
}

bool command_parse(const char *command, const char *usage, int argc, char *const *argv,
                   const struct cli_option *options, size_t n_options, int *ret_exit)
{
    struct err err = {{0}};
    bool help;

    if (cli_parse(command, argc, argv, options, n_options, &help, &err) != STATUS_OK) {
        *ret_exit = command_misused("%s", err.text);
        return false;
    }
    if (help) {
        fputs(usage, stdout);
        *ret_exit = EXIT_DONE;
        return false;
    }
    return true;
}

void command_init_log(const struct settings *settings)
{
    static const char *const names[] = {
        [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARN] = "warn", [LOG_LEVEL_INFO] = "info", [LOG_LEVEL_DEBUG] = "debug"};
    enum log_level level = LOG_LEVEL_INFO;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(settings->log_level, names[i]) == 0)
            level = (enum log_level)i;
    log_init("pnlcache-worker", level, settings->log_format);
}

bool command_load_settings(struct settings **ret_settings, int *ret_exit)
{
    struct err err = {{0}};

    if (settings_load(ret_settings, &err) != STATUS_OK) {
        *ret_exit = command_misused("%s", err.text);
        return false;
    }
    command_init_log(*ret_settings);
    return true;
}
