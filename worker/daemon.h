/* What the threads of `pnlcache-worker run` share. The threads of one generation run with one set of
 * settings; SIGHUP ends the generation (everything in flight is finished) and starts the next. */
#ifndef PNLCACHE_WORKER_DAEMON_H
#define PNLCACHE_WORKER_DAEMON_H

#include <stdatomic.h>

#include "jobs/dataset.h"
#include "lib/base/settings.h"
#include "lib/store/cache.h"

/* Since the program's start. */
struct daemon_counters {
    atomic_uint_fast64_t events; /* outbox rows carried out */
    atomic_uint_fast64_t jobs_done, jobs_failed, jobs_buried;
};

struct generation {
    const struct settings *settings;
    struct cache *cache;
    struct dataset_set *datasets; /* NULL: there are none */
    atomic_bool stop;
    int stop_fd;                       /* eventfd, readable once `stop` is set */
    atomic_int_fast64_t release_by_ms; /* monotonic: work that has not ended then is given back; INT64_MAX: none is */
    struct daemon_counters *counters;
};

/* One per thread: when it last showed that it is not stuck (monotonic ms). */
typedef atomic_int_fast64_t heartbeat;
void heartbeat_beat(heartbeat *beat);

bool generation_stops(const struct generation *g);
/* Sleeps, but not past the stop. */
void generation_wait(const struct generation *g, int64_t ms);
/* Waits until `fd` is readable, the time is over, or the stop. fd -1: the time only. */
void generation_wait_readable(const struct generation *g, int fd, int64_t ms);

/* Runs until SIGTERM or SIGINT; takes the settings over. by_the_clock: runs the scheduled jobs too. Returns the exit status. */
int daemon_run(struct settings *settings, bool by_the_clock);

#endif
