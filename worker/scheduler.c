#include "worker/scheduler.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "worker/calendar_event.h"
#include "worker/command.h"

#define NICE 5            /* requests come first */
#define IDLE_WAIT_MS 1000 /* the heartbeat */
#define CHILD_WAIT_MS 50  /* how soon the end of a child is noticed */
#define NEVER_MS INT64_MAX

struct scheduled {
    const struct schedule_entry *entry;
    struct calendar_event event;
    int64_t due_ms; /* monotonic */
    pid_t pid;      /* 0: not running */
};

struct scheduler {
    pthread_t thread;
    int stop_fd;
    _Atomic int64_t stop_by_ms; /* 0: go on */
    _Atomic int64_t beat_ms;
    bool by_the_clock;
    size_t n;
    struct scheduled jobs[];
};

/* --- when ---------------------------------------------------------------------------------------------- */

static int64_t random_ms(int64_t below_ms)
{
    uint64_t number = 0;

    if (below_ms <= 0 || getrandom(&number, sizeof number, 0) != sizeof number)
        return 0;
    return (int64_t)(number % (uint64_t)below_ms);
}

static void plan_next(const struct scheduler *s, struct scheduled *job)
{
    struct instant now = {clock_now().us}, next;

    job->due_ms = NEVER_MS;
    if (!s->by_the_clock)
        return;
    next = calendar_event_next(&job->event, now);
    if (next.us != INSTANT_NEVER.us)
        job->due_ms =
            clock_monotonic_ms() + (next.us - now.us + 999) / 1000 + random_ms(job->entry->spread_s * INT64_C(1000));
}

/* --- children ------------------------------------------------------------------------------------------ */

/* The daemon's threads block signals; a job wants them. */
static int spawn_job(const struct schedule_entry *entry, pid_t *ret_pid)
{
    char program[] = "pnlcache-worker", command[] = "job", *name = strdup(entry->job);
    char *argv[] = {program, command, name, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    int error;

    if (name == NULL)
        return ENOMEM;
    sigemptyset(&none);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    error = posix_spawn(ret_pid, "/proc/self/exe", &files, &attributes, argv, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attributes);
    free(name);
    return error;
}

static void start_job(struct scheduled *job)
{
    int error;

    if (job->pid != 0) {
        log_warn("job is still running, this time is left out", LOG_STR("job", job->entry->job));
        return;
    }
    error = spawn_job(job->entry, &job->pid);
    if (error != 0) {
        job->pid = 0;
        log_error("job not started", LOG_STR("job", job->entry->job), LOG_STR("reason", strerror(error)));
        return;
    }
    (void)setpriority(PRIO_PROCESS, (id_t)job->pid, NICE);
    log_debug("job started", LOG_STR("job", job->entry->job), LOG_INT("pid", job->pid));
}

static void log_end(const struct scheduled *job, int status)
{
    if (WIFSIGNALED(status))
        log_error("job was killed", LOG_STR("job", job->entry->job), LOG_INT("signal", WTERMSIG(status)));
    else if (WEXITSTATUS(status) == EXIT_BUSY)
        log_info("job is at work elsewhere", LOG_STR("job", job->entry->job));
    else if (WEXITSTATUS(status) != EXIT_DONE)
        log_error("job failed", LOG_STR("job", job->entry->job), LOG_INT("status", WEXITSTATUS(status)));
}

/* Gives how many are still running. */
static size_t reap(struct scheduler *s)
{
    size_t running = 0;

    for (size_t i = 0; i < s->n; i++) {
        struct scheduled *job = &s->jobs[i];
        int status;

        if (job->pid == 0)
            continue;
        if (waitpid(job->pid, &status, WNOHANG) == job->pid) {
            log_end(job, status);
            job->pid = 0;
        } else {
            running++;
        }
    }
    return running;
}

static void signal_all(const struct scheduler *s, int signal_number)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->jobs[i].pid != 0)
            (void)kill(s->jobs[i].pid, signal_number);
}

static void end_children(struct scheduler *s)
{
    const struct timespec step = {.tv_nsec = CHILD_WAIT_MS * 1000000L};
    bool killed = false;

    signal_all(s, SIGTERM);
    while (reap(s) > 0) {
        if (!killed && clock_monotonic_ms() >= atomic_load(&s->stop_by_ms)) {
            log_warn("jobs did not stop in time and are killed");
            signal_all(s, SIGKILL);
            killed = true;
        }
        (void)nanosleep(&step, NULL);
    }
}

/* --- the thread ------------------------------------------------------------------------------------------ */

static void wait_for_work(struct scheduler *s, size_t running)
{
    struct pollfd stop = {.fd = s->stop_fd, .events = POLLIN};
    int64_t wait_ms = running > 0 ? CHILD_WAIT_MS : IDLE_WAIT_MS, now_ms = clock_monotonic_ms();

    for (size_t i = 0; i < s->n; i++)
        if (s->jobs[i].due_ms - now_ms < wait_ms)
            wait_ms = s->jobs[i].due_ms - now_ms;
    (void)poll(&stop, 1, wait_ms > 0 ? (int)wait_ms : 0);
}

static void *run(void *argument)
{
    struct scheduler *s = argument;

    while (atomic_load(&s->stop_by_ms) == 0) {
        size_t running = reap(s);

        atomic_store(&s->beat_ms, clock_monotonic_ms());
        for (size_t i = 0; i < s->n; i++) {
            struct scheduled *job = &s->jobs[i];

            if (clock_monotonic_ms() < job->due_ms)
                continue;
            start_job(job);
            plan_next(s, job);
            running++;
        }
        wait_for_work(s, running);
    }
    end_children(s);
    return NULL;
}

/* What is due at once: what each worker runs at its start, and what may have been missed. */
static enum status plan_first(struct scheduler *s, const struct scheduler_options *options, struct err *err)
{
    for (size_t i = 0; i < options->n; i++) {
        const struct schedule_entry *entry = &options->entries[i];
        struct scheduled *job = &s->jobs[s->n];
        enum status status;

        *job = (struct scheduled){.entry = entry};
        status = calendar_event_parse(entry->on_calendar, &job->event, err);
        if (status != STATUS_OK)
            return status;
        plan_next(s, job);
        if ((entry->at_start && options->at_start) || (s->by_the_clock && entry->persistent))
            job->due_ms = clock_monotonic_ms();
        if (job->due_ms != NEVER_MS)
            s->n++;
    }
    return STATUS_OK;
}

enum status scheduler_start(const struct scheduler_options *options, struct scheduler **ret_scheduler, struct err *err)
{
    struct scheduler *s = calloc(1, sizeof *s + options->n * sizeof s->jobs[0]);
    enum status status;
    int error;

    if (s == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for the schedule");
    s->by_the_clock = options->by_the_clock;
    s->beat_ms = clock_monotonic_ms();
    s->stop_fd = eventfd(0, EFD_CLOEXEC);
    status =
        s->stop_fd < 0 ? err_fail(err, STATUS_LIMIT, "no eventfd: %s", strerror(errno)) : plan_first(s, options, err);
    error = status == STATUS_OK ? pthread_create(&s->thread, NULL, run, s) : 0;
    if (error != 0)
        status = err_fail(err, STATUS_LIMIT, "cannot start a thread: %s", strerror(error));
    if (status == STATUS_OK) {
        *ret_scheduler = s;
        return STATUS_OK;
    }
    if (s->stop_fd >= 0)
        close(s->stop_fd);
    free(s);
    return status;
}

void scheduler_stop(struct scheduler **scheduler, int64_t deadline_ms)
{
    struct scheduler *s = *scheduler;
    uint64_t one = 1;

    if (s == NULL)
        return;
    atomic_store(&s->stop_by_ms, deadline_ms);
    if (write(s->stop_fd, &one, sizeof one) < 0)
        log_warn("the scheduler notices the stop late", LOG_STR("reason", strerror(errno)));
    pthread_join(s->thread, NULL);
    close(s->stop_fd);
    free(s);
    *scheduler = NULL;
}

int64_t scheduler_beat_ms(const struct scheduler *s)
{
    return atomic_load(&s->beat_ms);
}
