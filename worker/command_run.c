#include "worker/command.h"
#include "worker/daemon.h"

static const char usage[] =
    "Usage: pnlcache-worker run\n\n"
    "Drains the outbox pnlcache.change_log and works on the job queue, until SIGTERM or SIGINT, then finishes what is\n"
    "in flight and ends with status 0. SIGHUP reloads the settings; a wrong one is logged and the old ones stay.\n"
    "Any number of workers may run. PostgreSQL and Redis may be away, at the start and later: it waits for them.\n";

int command_run(int argc, char *const *argv)
{
    struct settings *settings = NULL;
    int exit_status;

    if (!command_parse("pnlcache-worker run", usage, argc, argv, NULL, 0, &exit_status))
        return exit_status;
    if (!command_load_settings(&settings, &exit_status))
        return exit_status;
    if (!settings->redis_enabled) {
        settings_free(&settings);
        return command_misused("REDIS_ENABLED=false leaves the worker nothing to do; do not run it");
    }
    return daemon_run(settings);
}
