#include <stdio.h>

#include "worker/command.h"

static const char usage[] = "Usage: pnlcache-worker settings [--example | --markdown | --man]\n\n"
                            "Prints the settings in force, secrets left out; or their documentation:\n"
                            "  --example    a commented configuration file with the defaults\n"
                            "  --markdown   a table for the documentation\n"
                            "  --man        a list for the manual page\n";

int command_settings(int argc, char *const *argv)
{
    bool example = false, markdown = false, man = false;
    const struct cli_option options[] = {
        {"--example", CLI_FLAG, {.flag = &example}},
        {"--markdown", CLI_FLAG, {.flag = &markdown}},
        {"--man", CLI_FLAG, {.flag = &man}},
    };
    struct settings *settings = NULL;
    struct buf out = BUF_INIT;
    int exit_status;

    if (!command_parse("pnlcache-worker settings", usage, argc, argv, options, sizeof options / sizeof options[0],
                       &exit_status))
        return exit_status;
    if (example + markdown + man > 1)
        return command_misused("settings takes one of --example, --markdown, --man");
    if (example + markdown + man == 0) {
        if (!command_load_settings(&settings, &exit_status))
            return exit_status;
        settings_append_effective(settings, &out);
        settings_free(&settings);
    } else if (example) {
        settings_append_example(&out);
    } else if (markdown) {
        settings_append_markdown(&out);
    } else {
        settings_append_man(&out);
    }
    if (buf_status(&out) != STATUS_OK)
        exit_status = command_fail(STATUS_NO_MEMORY, &(struct err){{0}});
    else
        exit_status = fwrite(out.data, 1, out.len, stdout) == out.len ? EXIT_DONE : EXIT_FAILED;
    buf_release(&out);
    return exit_status;
}
