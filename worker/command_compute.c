/* pnlcache-worker compute: the other end of compute_process.h. Not for people: it lives by a socket that only `run` gives it.
 * Signals that mean "stop" stay blocked, as they were in the parent: it ends when the parent's end of the socket does. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "jobs/precompute.h"
#include "lib/base/log.h"
#include "worker/command.h"
#include "worker/compute_process.h"
#include "worker/connections.h"
#include "worker/dataset_load.h"
#include "worker/report_log.h"

#define OOM_SCORE "500" /* rather this process than the worker that holds the jobs, or a server */

struct computer {
    struct settings *settings;
    struct cache *cache;
    struct db *db;
    struct redis *redis;
    struct dataset_set *datasets;
    struct precompute *precompute;
    char request[COMPUTE_REQUEST_MAX];
    size_t n;
    const char *users[COMPUTE_USERS_MAX]; /* of the present request */
    struct skipped_log skipped;
};

static void reply(int kind, enum status status, size_t user, const char *text)
{
    struct compute_reply packet = {.kind = kind, .status = status, .user = user};

    (void)snprintf(packet.text, sizeof packet.text, "%s", text);
    (void)send(COMPUTE_SOCKET_FD, &packet, sizeof packet, MSG_NOSIGNAL);
}

static void tell_failure(void *context, const char *user_id, enum status status, const char *reason)
{
    const struct computer *c = context;

    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->users[i], user_id) == 0)
            reply(COMPUTE_REPLY_USER, status, i, reason);
}

static void name_skipped(void *context, const char *user_id, const struct journal *journal)
{
    struct computer *c = context;

    skipped_log_user(&c->skipped, user_id, journal);
}

static void name_collection(void *context, const char *user_id, const struct dataset *dataset, enum collection_end end,
                            size_t bytes, const char *reason)
{
    (void)context;
    (void)bytes;
    if (end == COLLECTION_FAILED)
        log_failed_collection(user_id, dataset, reason);
}

/* --- one request ---------------------------------------------------------------------------------- */

/* Empty ids are left out: a request without users is one NUL. */
static void read_users(struct computer *c, size_t len)
{
    size_t at = 0;

    c->n = 0;
    while (at < len && c->n < COMPUTE_USERS_MAX) {
        size_t id_len = strnlen(c->request + at, len - at);

        if (id_len > 0 && at + id_len < len)
            c->users[c->n++] = c->request + at;
        at += id_len + 1;
    }
}

static void serve(struct computer *c)
{
    struct err err = {{0}};
    enum status status;

    if (c->n > 0) {
        c->skipped = (struct skipped_log){0};
        status = precompute_users(c->precompute, c->n, c->users, &err);
        skipped_log_end(&c->skipped);
    } else {
        status = db_connect(c->db, &err);
        if (status == STATUS_OK)
            status = redis_heartbeat(c->redis, &err);
    }
    reply(COMPUTE_REPLY_END, status, 0, err.text);
}

/* --- life ----------------------------------------------------------------------------------------- */

static void volunteer_for_the_memory_killer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        (void)!write(fd, OOM_SCORE, strlen(OOM_SCORE));
        close(fd);
    }
}

static enum status open_computer(struct computer *c, struct err *err)
{
    enum status status = cache_new(c->settings, &c->cache, err);

    if (status == STATUS_OK)
        status = open_db(c->settings, true, c->settings->job_timeout_s * 1000, &c->db, err);
    if (status == STATUS_OK)
        status = open_redis(c->settings, &c->redis, err);
    if (status == STATUS_OK)
        status = load_datasets(c->settings, &c->datasets, err);
    if (status == STATUS_OK)
        status = precompute_new(
            &(struct precompute_options){
                .settings = c->settings,
                .db = c->db,
                .cache = c->cache,
                .redis = c->redis,
                .on_skipped = name_skipped,
                .on_failed = tell_failure,
                .on_collection = name_collection,
                .datasets = c->datasets,
                .context = c,
                .only_invalid = true,
            },
            &c->precompute, err);
    return status;
}

static void close_computer(struct computer *c)
{
    precompute_free(&c->precompute);
    dataset_set_release(&c->datasets);
    redis_free(&c->redis);
    db_free(&c->db);
    cache_free(&c->cache);
    settings_free(&c->settings);
}

static bool has_parent(void)
{
    int type;
    socklen_t size = sizeof type;

    return getsockopt(COMPUTE_SOCKET_FD, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

int command_compute(int argc, char *const *argv)
{
    struct computer c = {.n = 0};
    struct err err = {{0}};
    int exit_status;
    enum status status;
    ssize_t len;

    (void)argv;
    if (argc != 0 || !has_parent())
        return command_misused("compute is started by 'pnlcache-worker run' only");
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a computation nobody waits for is not worth finishing */
    volunteer_for_the_memory_killer();
    if (!command_load_settings(&c.settings, &exit_status))
        return exit_status;
    close(COMPUTE_SETTINGS_FD);
    status = open_computer(&c, &err);
    while (status == STATUS_OK &&
           ((len = recv(COMPUTE_SOCKET_FD, c.request, sizeof c.request, 0)) > 0 || (len < 0 && errno == EINTR))) {
        if (len < 0)
            continue;
        read_users(&c, (size_t)len);
        serve(&c);
    }
    close_computer(&c);
    return status == STATUS_OK ? EXIT_DONE : command_fail(status, &err);
}
