#include "worker/compute_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"

#define TICK_MS 200
#define END_WAIT_MS 2000
#define FIRST_FREE_FD 10 /* above the numbers the child knows its descriptors by */

struct compute_process {
    const struct settings *settings;
    pid_t pid; /* 0: absent */
    int fd;
};

/* --- starting ------------------------------------------------------------------------------------- */

extern char **environ;

/* Our environment without settings, which the child reads from the file only. Freed as one block; the texts are borrowed. */
static char **child_environment(void)
{
    static char conf[] = "PNLCACHE_CONF=/proc/self/fd/4";
    size_t n = 0, kept = 0;
    char **copy;

    while (environ[n] != NULL)
        n++;
    copy = calloc(n + 2, sizeof *copy);
    if (copy == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t len = strcspn(environ[i], "=");

        if (!settings_is_name(environ[i], len) && strncmp(environ[i], "PNLCACHE_CONF=", 14) != 0 &&
            strncmp(environ[i], "CREDENTIALS_DIRECTORY=", 22) != 0)
            copy[kept++] = environ[i];
    }
    copy[kept] = conf;
    return copy;
}

static int high_fd(int fd)
{
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);

    if (fd >= 0)
        close(fd);
    return high;
}

/* The settings in force, in memory only: they hold secrets. -1: failed. */
static int settings_file(const struct settings *settings)
{
    struct buf text = BUF_INIT;
    int fd = high_fd(memfd_create("settings", MFD_CLOEXEC));

    settings_append_file(settings, &text);
    if (fd >= 0 && (buf_status(&text) != STATUS_OK || write(fd, text.data, text.len) != (ssize_t)text.len)) {
        close(fd);
        fd = -1;
    }
    buf_release(&text);
    return fd;
}

static int spawn_child(int socket_fd, int settings_fd, pid_t *ret_pid)
{
    static char name[] = "pnlcache-worker", command[] = "compute";
    char *const argv[] = {name, command, NULL};
    char **environment = child_environment();
    posix_spawn_file_actions_t actions;
    int error;

    if (environment == NULL)
        return ENOMEM;
    error = posix_spawn_file_actions_init(&actions);
    if (error == 0) {
        error = posix_spawn_file_actions_adddup2(&actions, socket_fd, COMPUTE_SOCKET_FD);
        if (error == 0)
            error = posix_spawn_file_actions_adddup2(&actions, settings_fd, COMPUTE_SETTINGS_FD);
        if (error == 0)
            error = posix_spawn_file_actions_addclosefrom_np(&actions, COMPUTE_SETTINGS_FD + 1);
        if (error == 0)
            error = posix_spawn(ret_pid, "/proc/self/exe", &actions, NULL, argv, environment);
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    free(environment);
    return error;
}

static enum status start(struct compute_process *p, struct err *err)
{
    int pair[2], settings_fd = settings_file(p->settings), error = errno;

    if (settings_fd < 0)
        return err_fail(err, STATUS_UNAVAILABLE, "cannot start a computing process: %s", strerror(error));
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        error = errno;
    } else {
        pair[1] = high_fd(pair[1]);
        error = pair[1] < 0 ? EMFILE : spawn_child(pair[1], settings_fd, &p->pid);
        if (pair[1] >= 0)
            close(pair[1]);
        if (error == 0)
            p->fd = pair[0];
        else
            close(pair[0]);
    }
    close(settings_fd);
    if (error == 0)
        return STATUS_OK;
    p->pid = 0;
    return err_fail(err, STATUS_UNAVAILABLE, "cannot start a computing process: %s", strerror(error));
}

/* --- ending --------------------------------------------------------------------------------------- */

/* Closes the socket and collects the child, by force if it does not end; returns its wait status. */
static int collect(struct compute_process *p, bool at_once)
{
    int64_t until_ms = clock_monotonic_ms() + END_WAIT_MS;
    int wait_status = 0;

    close(p->fd);
    if (at_once)
        (void)kill(p->pid, SIGKILL);
    while (waitpid(p->pid, &wait_status, at_once ? 0 : WNOHANG) == 0) {
        at_once = clock_monotonic_ms() >= until_ms;
        if (at_once)
            (void)kill(p->pid, SIGKILL);
        else
            (void)poll(NULL, 0, 1);
    }
    p->pid = 0;
    p->fd = -1;
    return wait_status;
}

static enum status describe_end(int wait_status, struct err *err)
{
    int number = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;

    if (number == 0)
        return err_fail(err, STATUS_INTERNAL, "the computation ended its process with status %d",
                        WEXITSTATUS(wait_status));
    return err_fail(err, STATUS_INTERNAL, "the computation was ended by SIG%s (%s)",
                    sigabbrev_np(number) != NULL ? sigabbrev_np(number) : "?", strsignal(number));
}

/* --- asking --------------------------------------------------------------------------------------- */

static bool send_request(struct compute_process *p, size_t n, const char *const *user_ids)
{
    char request[COMPUTE_REQUEST_MAX + 1] = "";
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        size_t size = strlen(user_ids[i]) + 1;

        memcpy(request + len, user_ids[i], size);
        len += size;
    }
    /* A packet is never empty: that would read as the end. */
    return send(p->fd, request, len > 0 ? len : 1, MSG_NOSIGNAL) >= 0;
}

enum wait_end { WAIT_READABLE, WAIT_LATE, WAIT_UNWANTED };

static enum wait_end wait_reply(const struct compute_process *p, const struct compute_watch *watch, int64_t until_ms)
{
    struct pollfd readable = {.fd = p->fd, .events = POLLIN};

    for (;;) {
        if (poll(&readable, 1, TICK_MS) > 0)
            return WAIT_READABLE;
        if (!watch->go_on(watch->context))
            return WAIT_UNWANTED;
        if (clock_monotonic_ms() >= until_ms)
            return WAIT_LATE;
    }
}

static enum compute_end read_replies(struct compute_process *p, size_t n, struct compute_failure *failures,
                                     const struct compute_watch *watch, enum status *ret_status, struct err *err)
{
    int64_t until_ms = clock_monotonic_ms() + watch->timeout_ms;
    struct compute_reply reply;

    for (;;) {
        enum wait_end end = wait_reply(p, watch, until_ms);

        if (end != WAIT_READABLE) {
            (void)collect(p, true);
            *ret_status = err_fail(err, STATUS_TIMEOUT, "the computation did not end within %lld ms",
                                   (long long)watch->timeout_ms);
            return end == WAIT_LATE ? COMPUTE_CRASHED : COMPUTE_ABANDONED;
        }
        if (recv(p->fd, &reply, sizeof reply, 0) != sizeof reply) {
            *ret_status = describe_end(collect(p, false), err);
            return COMPUTE_CRASHED;
        }
        if (reply.kind == COMPUTE_REPLY_END) {
            if (reply.status == STATUS_OK)
                return COMPUTE_DONE;
            *ret_status = err_fail(err, reply.status, "%s", reply.text);
            return COMPUTE_FAILED;
        }
        if (reply.user < n) {
            failures[reply.user].status = reply.status;
            memcpy(failures[reply.user].reason, reply.text, sizeof reply.text);
        }
    }
}

enum compute_end compute_process_run(struct compute_process *p, size_t n, const char *const *user_ids,
                                     struct compute_failure *failures, const struct compute_watch *watch,
                                     enum status *ret_status, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        failures[i] = (struct compute_failure){.status = STATUS_OK};
    /* One that died while idle is no fault of these users: a second is tried. */
    for (int attempt = 0; attempt < 2; attempt++) {
        if (p->pid == 0 && (*ret_status = start(p, err)) != STATUS_OK)
            return COMPUTE_FAILED;
        if (send_request(p, n, user_ids))
            return read_replies(p, n, failures, watch, ret_status, err);
        *ret_status = describe_end(collect(p, false), err);
        log_warn("an idle computing process had ended", LOG_STR("reason", err->text));
    }
    *ret_status = STATUS_UNAVAILABLE;
    return COMPUTE_FAILED;
}

/* --- life ----------------------------------------------------------------------------------------- */

enum status compute_process_new(const struct settings *settings, struct compute_process **ret_process, struct err *err)
{
    struct compute_process *p = calloc(1, sizeof *p);

    if (p == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    p->settings = settings;
    p->fd = -1;
    *ret_process = p;
    return STATUS_OK;
}

void compute_process_free(struct compute_process **process)
{
    if (*process == NULL)
        return;
    if ((*process)->pid != 0)
        (void)collect(*process, false);
    free(*process);
    *process = NULL;
}
