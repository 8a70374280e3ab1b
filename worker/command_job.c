/* pnlcache-worker job NAME. A new job is a line here, a file of its own, and a row in schedule.c with its two units when
 * it runs by the clock. */
#include <stdio.h>
#include <string.h>

#include "worker/job.h"

const struct job_kind job_kinds[] = {
    {"audit", "compute cached documents once more and compare", job_audit},
    {"market", "recompute shared market data that was asked for or is held", job_market},
    {"precompute", "compute and store the analytics of active (or other) users", job_precompute},
    {"prune", "remove what nobody needs any more: inactive users, old dead letters, gone workers", job_prune},
    {"reference", "recompute shared reference data", job_reference},
    {"rollover", "renew active users whose own trading day has just begun", job_rollover},
    {"warm", "have the documents of those ready who are here or likely to come next", job_warm},
    {0},
};

const struct job_kind *job_kind_find(const char *name)
{
    for (const struct job_kind *kind = job_kinds; kind->name != NULL; kind++)
        if (strcmp(kind->name, name) == 0)
            return kind;
    return NULL;
}

static void print_list(FILE *to)
{
    for (const struct job_kind *kind = job_kinds; kind->name != NULL; kind++)
        fprintf(to, "%-12s %s\n", kind->name, kind->summary);
}

static int print_help(void)
{
    puts("Usage: pnlcache-worker job NAME [OPTION]...\n       pnlcache-worker job --list\n\n"
         "Runs one job to its end. 'pnlcache-worker job NAME --help' tells more. The jobs:\n");
    print_list(stdout);
    puts("\n" JOB_EXIT_STATUS_HELP);
    return EXIT_DONE;
}

int command_job(int argc, char *const *argv)
{
    const struct job_kind *kind;

    if (argc == 0)
        return command_misused("no job named; see 'pnlcache-worker job --list'");
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)
        return print_help();
    if (strcmp(argv[0], "--list") == 0) {
        print_list(stdout);
        return EXIT_DONE;
    }
    kind = job_kind_find(argv[0]);
    if (kind == NULL)
        return command_misused("unknown job '%s'; see 'pnlcache-worker job --list'", argv[0]);
    return kind->run(argc - 1, argv + 1);
}
