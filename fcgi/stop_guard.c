#include "fcgi/stop_guard.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/log.h"

static int64_t leave_at_ms; /* both written before the thread is made */
static int leave_with;

static void *leave(void *unused)
{
    const struct timespec at = {leave_at_ms / 1000, leave_at_ms % 1000 * 1000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
    log_warn("stopped with work in flight");
    _exit(leave_with);
    return unused;
}

void stop_guard_start(int64_t deadline_ms, int exit_status)
{
    pthread_t thread;
    int error;

    leave_at_ms = deadline_ms;
    leave_with = exit_status;
    error = pthread_create(&thread, NULL, leave, NULL);
    if (error == 0)
        pthread_detach(thread);
    else
        log_warn("the stop may take longer than STOP_TIMEOUT", LOG_STR("reason", strerror(error)));
}
