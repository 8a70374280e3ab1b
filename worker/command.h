/* The commands of pnlcache-worker, and what they share. */
#ifndef PNLCACHE_WORKER_COMMAND_H
#define PNLCACHE_WORKER_COMMAND_H

#include "lib/base/settings.h"
#include "worker/cli.h"

/* Exit statuses. A program that a signal stopped before it was done ends with 128 + the signal's number. BUSY: another
 * run of the job is at work, so this one did nothing. PARTLY: some of the input was bad, the rest is done. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_BUSY = 3, EXIT_PARTLY = 4 };

struct command {
    const char *name;
    const char *arguments; /* for the usage line */
    const char *summary;   /* NULL: not for people, not listed */
    /* argv begins after the command's name. Returns the exit status. */
    int (*run)(int argc, char *const *argv);
};

int command_check(int argc, char *const *argv);
int command_compute(int argc, char *const *argv);
int command_datasets(int argc, char *const *argv);
int command_import(int argc, char *const *argv);
int command_job(int argc, char *const *argv);
int command_jobs(int argc, char *const *argv);
int command_preload(int argc, char *const *argv);
int command_run(int argc, char *const *argv);
int command_settings(int argc, char *const *argv);
int command_token(int argc, char *const *argv);

/* Prints "pnlcache-worker: text" to standard error; gives EXIT_FAILED. */
int command_fail(enum status status, const struct err *err);
/* Prints "pnlcache-worker: text" about a wrong command line or setting; gives EXIT_USAGE. */
int command_misused(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* cli_parse() and --help in one: true when the command is to go on; else *ret_exit is its exit status. */
bool command_parse(const char *command, const char *usage, int argc, char *const *argv,
                   const struct cli_option *options, size_t n_options, int *ret_exit);

/* Loads the settings and sets up the log after them. On failure prints why and sets *ret_exit. */
bool command_load_settings(struct settings **ret_settings, int *ret_exit);
void command_init_log(const struct settings *settings);

#endif
