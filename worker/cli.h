/* Command line options, strictly: what is not known is refused with a line that says what to do. */
#ifndef PNLCACHE_WORKER_CLI_H
#define PNLCACHE_WORKER_CLI_H

#include <stddef.h>

#include "lib/base/err.h"

struct cli_list {
    size_t n;
    const char **values; /* borrowed from argv; the array is freed by cli_list_release() */
};
void cli_list_release(struct cli_list *list);

enum cli_kind {
    CLI_FLAG, /* --all */
    CLI_TEXT, /* --as-of VALUE or --as-of=VALUE, once */
    CLI_LIST, /* --user VALUE, any number of times */
};
struct cli_option {
    const char *name; /* with its dashes */
    enum cli_kind kind;
    union {
        bool *flag;
        const char **text;
        struct cli_list *list;
    } target;
};

/* Reads argv[0..argc) into the options' targets. Every word must be an option or its value. `command`
 * is how the user calls it, for the message. "--help" is accepted everywhere and sets *ret_help.
 * STATUS_INVALID: the text says what is wrong and what to do. */
enum status cli_parse(const char *command, int argc, char *const *argv, const struct cli_option *options,
                      size_t n_options, bool *ret_help, struct err *err) MUST_CHECK;

#endif
