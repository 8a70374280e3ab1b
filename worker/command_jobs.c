#include <stdio.h>

#include "lib/store/job_stream.h"
#include "worker/command.h"
#include "worker/connections.h"

static const char usage[] = "Usage: pnlcache-worker jobs\n\n"
                            "Shows the job queue, one 'name value' a line:\n"
                            "  depth           jobs not yet finished, those in flight included\n"
                            "  in_flight       taken by a worker\n"
                            "  oldest_age_ms   age of the oldest unfinished job\n"
                            "  dead            jobs given up (stream jobs:dead)\n";

static enum status inspect(const struct settings *settings, struct job_stream_state *ret_state, struct err *err)
{
    struct cache *cache = NULL;
    struct redis *redis = NULL;
    enum status status = cache_new(settings, &cache, err);

    if (status == STATUS_OK)
        status = open_redis(settings, &redis, err);
    if (status == STATUS_OK)
        status = job_stream_inspect(cache, redis, ret_state, err);
    redis_free(&redis);
    cache_free(&cache);
    return status;
}

int command_jobs(int argc, char *const *argv)
{
    struct settings *settings = NULL;
    struct job_stream_state state;
    struct err err = {{0}};
    enum status status;
    int exit_status;

    if (!command_parse("pnlcache-worker jobs", usage, argc, argv, NULL, 0, &exit_status))
        return exit_status;
    if (!command_load_settings(&settings, &exit_status))
        return exit_status;
    status = inspect(settings, &state, &err);
    settings_free(&settings);
    if (status != STATUS_OK)
        return command_fail(status, &err);
    printf("depth %lld\nin_flight %lld\noldest_age_ms %lld\ndead %lld\n", (long long)state.depth,
           (long long)state.in_flight, (long long)state.oldest_age_ms, (long long)state.dead);
    return EXIT_DONE;
}
