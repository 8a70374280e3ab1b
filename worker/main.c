/* pnlcache-worker: everything that happens outside a request. One program, one command each for the
 * daemon, the scheduled jobs and the operator's questions. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "worker/job.h"

static const struct command commands[] = {
    {"run", "[--schedule]", "drain the outbox, work on queued jobs; until SIGTERM", command_run},
    {"job", "NAME [OPTION]...", "run one job to its end; job --list names them", command_job},
    {"jobs", "[list [--dead] | retry | drop]", "show the job queue; settle jobs that were given up", command_jobs},
    {"audit", "[OPTION]...", "compute a sample of cached documents once more and compare", job_audit},
    {"check", "", "check settings, PostgreSQL and Redis", command_check},
    {"datasets", "[--check DIR | --explain NAME]", "list the SQL files that are endpoints, check or explain them",
     command_datasets},
    {"compute", NULL, NULL, command_compute}, /* of `run`, for itself */
    {"import", "KIND FILE [OPTION]...", "load market data from CSV: bars, quotes, prices, earnings, symbols",
     command_import},
    {"preload", "(--user ID)...", "have a user's analytics and whole lists ready, as at a login", command_preload},
    {"token", "--user ID [--role ROLE] [--ttl SECONDS]", "print a token for trying the API", command_token},
    {"settings", "[--example | --markdown | --man]", "print the settings in force, or their documentation",
     command_settings},
};

#define N_COMMANDS (sizeof commands / sizeof commands[0])

static void print_usage(void)
{
    struct buf settings_help = BUF_INIT;

    puts("Usage: pnlcache-worker COMMAND [OPTION]...\n\nCommands:");
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (commands[i].summary != NULL)
            printf("  %s%s%s\n        %s\n", commands[i].name, commands[i].arguments[0] != '\0' ? " " : "",
                   commands[i].arguments, commands[i].summary);
    puts(
        "\n'pnlcache-worker COMMAND --help' tells more; --version prints the version.\n"
        "\nExit status: 0 done; 1 failed; 2 wrong command line or settings; 3 another run of the job is at work; 4 some of the input was bad; 128+N stopped by signal N.\n"
        "\nSettings (environment, or the file PNLCACHE_CONF names, default /etc/pnlcache/pnlcache.conf):\n");
    settings_append_help(&settings_help);
    fputs(settings_help.data, stdout);
    buf_release(&settings_help);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

int main(int argc, char *argv[])
{
    const struct command *command;
    int status;

    (void)signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        fputs("pnlcache-worker: no command; see 'pnlcache-worker --help'\n", stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_usage();
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("pnlcache-worker " PNLCACHE_VERSION " (" PNLCACHE_COMMIT ")");
        return EXIT_DONE;
    }
    command = find_command(argv[1]);
    if (command == NULL) {
        fprintf(stderr, "pnlcache-worker: unknown %s '%s'; see 'pnlcache-worker --help'\n",
                argv[1][0] == '-' ? "option" : "command", argv[1]);
        return EXIT_USAGE;
    }
    status = command->run(argc - 2, argv + 2);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("pnlcache-worker: standard output");
        return status == EXIT_DONE ? EXIT_FAILED : status;
    }
    return status;
}
