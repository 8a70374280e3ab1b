#include "worker/daemon.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/service_notify.h"
#include "worker/command.h"
#include "worker/dataset_load.h"
#include "worker/job_consumer.h"
#include "worker/outbox_listener.h"
#include "worker/scheduler.h"

#define SUMMARY_EVERY_MS 60000
#define LOOP_MS 1000
#define RELEASE_MS 500 /* before the end of STOP_TIMEOUT: time to give work back */

/* --- for the threads --------------------------------------------------------------------------------- */

void heartbeat_beat(heartbeat *beat)
{
    atomic_store(beat, clock_monotonic_ms());
}

bool generation_stops(const struct generation *g)
{
    return atomic_load(&g->stop);
}

void generation_wait_readable(const struct generation *g, int fd, int64_t ms)
{
    struct pollfd fds[2] = {{.fd = g->stop_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

    (void)poll(fds, fd < 0 ? 1 : 2, (int)ms);
}

void generation_wait(const struct generation *g, int64_t ms)
{
    generation_wait_readable(g, -1, ms);
}

/* --- one generation ---------------------------------------------------------------------------------- */

struct daemon_totals {
    uint64_t events, jobs_done, jobs_failed, jobs_buried;
};

struct daemon {
    struct settings *settings;
    struct generation generation;
    struct outbox_listener listener;
    struct job_consumer *consumers;
    struct scheduler *scheduler; /* outlives generations: jobs load the settings themselves */
    pthread_t *threads;
    size_t n_threads, n_consumers;
    struct daemon_counters counters;
    struct daemon_totals reported; /* what the log has told */
    int64_t summary_ms;
};

static enum status start_thread(struct daemon *d, void *(*run)(void *), void *argument, heartbeat *beat,
                                struct err *err)
{
    int error;

    heartbeat_beat(beat);
    error = pthread_create(&d->threads[d->n_threads], NULL, run, argument);
    if (error != 0)
        return err_fail(err, STATUS_LIMIT, "cannot start a thread: %s", strerror(error));
    d->n_threads++;
    return STATUS_OK;
}

static bool join_until(pthread_t thread, int64_t deadline_ms)
{
    const struct timespec step = {.tv_nsec = 5000000};

    while (pthread_tryjoin_np(thread, NULL) != 0) {
        if (clock_monotonic_ms() >= deadline_ms)
            return false;
        (void)nanosleep(&step, NULL);
    }
    return true;
}

/* Consumers give their work back a little before the end. A thread that does not end even so is left behind with the
 * process: its job stays with the stream, its outbox rows with PostgreSQL, and other workers take them over. within_s -1: wait
 * for ever. */
static void stop_threads(struct daemon *d, int64_t within_s)
{
    int64_t now_ms = clock_monotonic_ms(), within_ms = within_s * 1000;
    int64_t deadline_ms = within_s < 0 ? INT64_MAX : now_ms + within_ms;
    uint64_t one = 1;

    if (within_s >= 0)
        atomic_store(&d->generation.release_by_ms,
                     deadline_ms - (within_ms / 2 < RELEASE_MS ? within_ms / 2 : RELEASE_MS));
    atomic_store(&d->generation.stop, true);
    if (write(d->generation.stop_fd, &one, sizeof one) < 0)
        log_warn("threads notice the stop late", LOG_STR("reason", strerror(errno)));
    for (size_t i = 0; i < d->n_threads; i++)
        if (!join_until(d->threads[i], deadline_ms)) {
            log_warn("stopped with work in flight, others will do it", LOG_INT("after_s", within_s));
            _exit(EXIT_DONE);
        }
    d->n_threads = 0;
}

static void end_generation(struct daemon *d, int64_t within_s)
{
    stop_threads(d, within_s);
    close(d->generation.stop_fd);
    cache_free(&d->generation.cache);
    dataset_set_release(&d->generation.datasets);
    free(d->consumers);
    free(d->threads);
    d->consumers = NULL;
    d->threads = NULL;
}

/* Takes the datasets over, whose tags triggers may name. Signals are blocked in every thread; only the main one takes them, by sigtimedwait(). */
static enum status begin_generation(struct daemon *d, struct dataset_set *datasets, struct err *err)
{
    enum status status;

    d->generation = (struct generation){.settings = d->settings,
                                        .datasets = datasets,
                                        .stop_fd = eventfd(0, EFD_CLOEXEC),
                                        .release_by_ms = INT64_MAX,
                                        .counters = &d->counters};
    if (d->generation.stop_fd < 0) {
        dataset_set_release(&d->generation.datasets);
        return err_fail(err, STATUS_LIMIT, "no eventfd: %s", strerror(errno));
    }
    d->n_consumers = (size_t)d->settings->worker_concurrency;
    d->consumers = calloc(d->n_consumers, sizeof *d->consumers);
    d->threads = calloc(d->n_consumers + 1, sizeof *d->threads);
    if (d->consumers == NULL || d->threads == NULL)
        status = err_fail(err, STATUS_NO_MEMORY, "no memory for %zu threads", d->n_consumers);
    else
        status = cache_new(d->settings, &d->generation.cache, err);
    d->listener.generation = &d->generation;
    if (status == STATUS_OK)
        status = start_thread(d, outbox_listener_run, &d->listener, &d->listener.beat, err);
    for (size_t i = 0; i < d->n_consumers && status == STATUS_OK; i++) {
        d->consumers[i].generation = &d->generation;
        d->consumers[i].number = (int)i;
        status = start_thread(d, job_consumer_run, &d->consumers[i], &d->consumers[i].beat, err);
    }
    if (status != STATUS_OK)
        end_generation(d, -1);
    return status;
}

/* --- the main thread --------------------------------------------------------------------------------- */

static bool all_threads_beat(struct daemon *d, int64_t within_ms)
{
    int64_t since = clock_monotonic_ms() - within_ms;

    for (size_t i = 0; i < d->n_consumers; i++)
        if (atomic_load(&d->consumers[i].beat) < since)
            return false;
    return atomic_load(&d->listener.beat) >= since && scheduler_beat_ms(d->scheduler) >= since;
}

static struct daemon_totals totals(struct daemon *d)
{
    return (struct daemon_totals){atomic_load(&d->counters.events), atomic_load(&d->counters.jobs_done),
                                  atomic_load(&d->counters.jobs_failed), atomic_load(&d->counters.jobs_buried)};
}

static void log_totals(const char *message, const struct daemon_totals *since, const struct daemon_totals *now)
{
    log_info(message, LOG_INT("events", (int64_t)(now->events - since->events)),
             LOG_INT("jobs", (int64_t)(now->jobs_done - since->jobs_done)),
             LOG_INT("failures", (int64_t)(now->jobs_failed - since->jobs_failed)),
             LOG_INT("given_up", (int64_t)(now->jobs_buried - since->jobs_buried)));
}

static void log_summary(struct daemon *d)
{
    int64_t now_ms = clock_monotonic_ms();
    struct daemon_totals now;

    if (now_ms - d->summary_ms < SUMMARY_EVERY_MS)
        return;
    now = totals(d);
    d->summary_ms = now_ms;
    if (memcmp(&now, &d->reported, sizeof now) != 0)
        log_totals("the last minute", &d->reported, &now);
    d->reported = now;
}

/* STATUS_OK: the new settings are in force. Otherwise the old ones still are. */
static void reload(struct daemon *d)
{
    struct settings *settings = NULL;
    struct dataset_set *datasets = NULL;
    struct err err = {{0}};

    service_notify_reloading();
    if (settings_load(&settings, &err) != STATUS_OK || load_datasets(settings, &datasets, &err) != STATUS_OK) {
        log_error("settings not reloaded, the old ones stay", LOG_STR("reason", err.text));
        settings_free(&settings);
        service_notify("READY=1");
        return;
    }
    end_generation(d, -1);
    settings_free(&d->settings);
    d->settings = settings;
    command_init_log(settings);
    if (begin_generation(d, datasets, &err) != STATUS_OK) {
        /* Nothing left to fall back to: the service manager starts us afresh. */
        log_error("cannot go on after the reload", LOG_STR("reason", err.text));
        exit(EXIT_FAILED);
    }
    log_info("settings reloaded");
    service_notify("READY=1");
}

static void watch(struct daemon *d, const sigset_t *signals)
{
    int64_t watchdog_ms = service_watchdog_ms();
    int64_t loop_ms = watchdog_ms > 0 && watchdog_ms / 3 < LOOP_MS ? watchdog_ms / 3 : LOOP_MS;
    struct timespec step = {.tv_sec = loop_ms / 1000, .tv_nsec = loop_ms % 1000 * 1000000};

    for (;;) {
        int signal_number = sigtimedwait(signals, NULL, &step);

        if (signal_number == SIGTERM || signal_number == SIGINT)
            return;
        if (signal_number == SIGHUP)
            reload(d);
        if (watchdog_ms > 0 && all_threads_beat(d, watchdog_ms))
            service_notify("WATCHDOG=1");
        log_summary(d);
    }
}

/* STOP_TIMEOUT holds for both. */
static void stop(struct daemon *d)
{
    int64_t deadline_ms = clock_monotonic_ms() + d->settings->stop_timeout_s * 1000, left_ms;

    scheduler_stop(&d->scheduler, deadline_ms);
    left_ms = deadline_ms - clock_monotonic_ms();
    end_generation(d, left_ms > 0 ? left_ms / 1000 : 0);
}

int daemon_run(struct settings *settings, bool by_the_clock)
{
    struct daemon d = {.settings = settings, .summary_ms = clock_monotonic_ms()};
    struct dataset_set *datasets = NULL;
    struct daemon_totals now;
    struct err err = {{0}};
    sigset_t signals;
    enum status status;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    status = load_datasets(settings, &datasets, &err);
    if (status == STATUS_OK)
        status = begin_generation(&d, datasets, &err);
    if (status == STATUS_OK) {
        status = scheduler_start(
            &(struct scheduler_options){schedule, schedule_length, by_the_clock, d.settings->warm_users > 0},
            &d.scheduler, &err);
        if (status != STATUS_OK)
            end_generation(&d, -1);
    }
    if (status != STATUS_OK) {
        settings_free(&d.settings);
        return command_fail(status, &err);
    }
    log_info("started", LOG_STR("version", PNLCACHE_VERSION), LOG_INT("concurrency", d.settings->worker_concurrency));
    service_notify("READY=1");
    watch(&d, &signals);
    service_notify("STOPPING=1");
    log_info("stopping");
    stop(&d);
    now = totals(&d);
    log_totals("stopped", &(struct daemon_totals){0}, &now);
    settings_free(&d.settings);
    return EXIT_DONE;
}
