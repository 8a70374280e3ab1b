#include "worker/command.h"
#include "worker/daemon.h"

static const char usage[] =
    "Usage: pnlcache-worker run [--schedule]\n\n"
    "Drains the outbox pnlcache.change_log and works on the job queue, until SIGTERM or SIGINT, then finishes what is\n"
    "in flight and ends with status 0. SIGHUP reloads the settings; a wrong one is logged and the old ones stay.\n"
    "  --schedule     also run the scheduled jobs, each as 'pnlcache-worker job NAME' in a process of its own, where no\n"
    "                 systemd timers do that; one worker of all is enough\n"
    "Any number of workers may run. PostgreSQL and Redis may be away, at the start and later: it waits for them.\n";

int command_run(int argc, char *const *argv)
{
    struct settings *settings = NULL;
    bool by_the_clock = false;
    const struct cli_option options[] = {{"--schedule", CLI_FLAG, {.flag = &by_the_clock}}};
    int exit_status;

    if (!command_parse("pnlcache-worker run", usage, argc, argv, options, 1, &exit_status))
        return exit_status;
    if (!command_load_settings(&settings, &exit_status))
        return exit_status;
    if (!settings->redis_enabled) {
        settings_free(&settings);
        return command_misused("REDIS_ENABLED=false leaves the worker nothing to do; do not run it");
    }
    return daemon_run(settings, by_the_clock);
}
