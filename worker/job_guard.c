#include "worker/job_guard.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/store/lease.h"
#include "worker/connections.h"

#define RENEW_MS (JOB_GUARD_TTL_MS / 6)
#define RETRY_MS 1000

struct job_guard {
    struct lease lease;
    struct redis *redis; /* taken and given back by the job's thread, renewed by ours */
    bool held;           /* false: Redis was full, there is no lock to renew */
    int end_fd;          /* readable: the job is over */
    pthread_t thread;
    bool started;
    atomic_bool *stop;
    bool lost;
};

/* False: it is lost. A Redis that does not answer may come back before the lease has run out. */
static bool renew(struct job_guard *guard, int64_t *until_ms)
{
    int64_t asked_ms = clock_monotonic_ms();
    struct err err = {{0}};
    enum status status = lease_renew(&guard->lease, guard->redis, &err);

    if (status == STATUS_OK)
        *until_ms = asked_ms + JOB_GUARD_TTL_MS;
    else
        log_warn("lock not renewed", LOG_STR("reason", err.text));
    return status != STATUS_CONFLICT && clock_monotonic_ms() < *until_ms;
}

static void *keep(void *argument)
{
    struct job_guard *guard = argument;
    struct pollfd ended = {.fd = guard->end_fd, .events = POLLIN};
    int64_t until_ms = clock_monotonic_ms() + JOB_GUARD_TTL_MS;

    for (;;) {
        bool fresh = until_ms - clock_monotonic_ms() > JOB_GUARD_TTL_MS - RENEW_MS;
        int n = poll(&ended, 1, fresh ? RENEW_MS : RETRY_MS);

        if (n > 0)
            return NULL;
        if (renew(guard, &until_ms))
            continue;
        guard->lost = true;
        atomic_store(guard->stop, true);
        return NULL;
    }
}

static enum status take(struct job_guard *guard, const char *job, struct err *err)
{
    enum status status = lease_take(&guard->lease, guard->redis, err);

    if (status == STATUS_CONFLICT)
        return err_fail(err, STATUS_CONFLICT,
                        "another run of job %s is at work; a killed one's lock runs out within %d s", job,
                        JOB_GUARD_TTL_MS / 1000);
    if (status == STATUS_LIMIT) {
        log_warn("Redis takes no lock: running without", LOG_STR("job", job), LOG_STR("reason", err->text));
        return STATUS_OK;
    }
    guard->held = status == STATUS_OK;
    return status;
}

static enum status start(struct job_guard *guard, struct err *err)
{
    int error;

    guard->end_fd = eventfd(0, EFD_CLOEXEC);
    if (guard->end_fd < 0)
        return err_fail(err, STATUS_LIMIT, "no eventfd: %s", strerror(errno));
    error = pthread_create(&guard->thread, NULL, keep, guard);
    if (error != 0)
        return err_fail(err, STATUS_LIMIT, "cannot start a thread: %s", strerror(error));
    guard->started = true;
    return STATUS_OK;
}

static void guard_free(struct job_guard *guard)
{
    if (guard->end_fd >= 0)
        close(guard->end_fd);
    redis_free(&guard->redis);
    lease_release(&guard->lease);
    free(guard);
}

enum status job_guard_begin(const struct settings *settings, const struct cache *cache, const char *job,
                            atomic_bool *stop, struct job_guard **ret_guard, struct err *err)
{
    struct job_guard *guard = calloc(1, sizeof *guard);
    struct buf key = BUF_INIT;
    enum status status;

    if (guard == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for a lock");
    guard->stop = stop;
    guard->end_fd = -1;
    cache_append_prefix(cache, &key);
    buf_append_string(&key, "lock:job:");
    buf_append_string(&key, job);
    status = buf_status(&key);
    if (status == STATUS_OK)
        status = lease_init(&guard->lease, key.data, JOB_GUARD_TTL_MS, err);
    if (status == STATUS_OK)
        status = open_redis(settings, &guard->redis, err);
    if (status == STATUS_OK)
        status = take(guard, job, err);
    if (status == STATUS_OK && guard->held)
        status = start(guard, err);
    buf_release(&key);
    if (status == STATUS_OK)
        *ret_guard = guard;
    else
        guard_free(guard);
    return status;
}

static void end_thread(struct job_guard *guard)
{
    uint64_t one = 1;

    if (!guard->started)
        return;
    if (write(guard->end_fd, &one, sizeof one) < 0)
        log_warn("the lock's thread notices the end late", LOG_STR("reason", strerror(errno)));
    pthread_join(guard->thread, NULL);
}

bool job_guard_end(struct job_guard **guard)
{
    struct job_guard *g = *guard;
    struct err err = {{0}};
    bool kept;

    if (g == NULL)
        return true;
    end_thread(g);
    kept = !g->lost;
    if (g->held && kept && lease_give_back(&g->lease, g->redis, &err) != STATUS_OK)
        log_warn("lock left to run out", LOG_STR("reason", err.text));
    guard_free(g);
    *guard = NULL;
    return kept;
}
