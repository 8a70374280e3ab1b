/* Connecting: set-up, the server's role, and when to connect anew.
 *
 * Two states: connected (`transport` set) and not. Failing to connect, a time-out, and a connection that
 * broke twice in a row open the breaker; one that merely ended is rebuilt at once. */
#include "lib/store/redis_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/store/redis_info.h"

#define PROBE_IDLE_MS 1000 /* an idler connection is looked at before it is used */

/* --- set-up -------------------------------------------------------------------------------- */

enum { SETUP_AUTH, SETUP_SELECT, SETUP_NAME, SETUP_LOADING, SETUP_CLUSTER, SETUP_INFO, SETUP_STEPS };

/* Takes role, instance and replicas from INFO replication. */
static enum status read_role(struct redis *r, const struct redis_reply *reply, struct err *err)
{
    char role[16], instance[REDIS_INSTANCE_SIZE], replicas[16];

    if (reply->type == REDIS_ERROR)
        return err_fail(err, STATUS_UNAVAILABLE, "INFO replication: %s", reply->bytes);
    if (reply->type != REDIS_STRING || !redis_info_value(reply->bytes, "role", role, sizeof role) ||
        !redis_info_value(reply->bytes, "master_replid", instance, sizeof instance) ||
        strlen(instance) != REDIS_INSTANCE_SIZE - 1 ||
        !redis_info_value(reply->bytes, "connected_slaves", replicas, sizeof replicas))
        return err_fail(err, STATUS_UNAVAILABLE,
                        "INFO replication names no role and master_replid: not a Redis server?");
    if (strcmp(role, "master") != 0)
        return err_fail(err, STATUS_UNAVAILABLE, "the server is a %s, not the master", role);
    memcpy(r->instance, instance, sizeof r->instance);
    r->has_replicas = strcmp(replicas, "0") != 0;
    return STATUS_OK;
}

static size_t append_setup(const struct redis *r, struct buf *out, int steps[SETUP_STEPS])
{
    char database[24];
    const char *auth[3] = {"AUTH", r->url.user, r->url.password};
    const char *old_auth[2] = {"AUTH", r->url.password};
    size_t n = 0;

    if (r->url.password[0] != '\0') {
        if (r->url.user[0] != '\0')
            redis_format(out, 3, auth, NULL);
        else
            redis_format(out, 2, old_auth, NULL);
        steps[n++] = SETUP_AUTH;
    }
    if (r->url.database != 0) {
        (void)snprintf(database, sizeof database, "%lld", (long long)r->url.database);
        redis_format(out, 2, (const char *const[]){"SELECT", database}, NULL);
        steps[n++] = SETUP_SELECT;
    }
    if (r->client_name[0] != '\0') {
        redis_format(out, 3, (const char *const[]){"CLIENT", "SETNAME", r->client_name}, NULL);
        steps[n++] = SETUP_NAME;
    }
    redis_format(out, 2, (const char *const[]){"INFO", "persistence"}, NULL);
    steps[n++] = SETUP_LOADING;
    redis_format(out, 2, (const char *const[]){"CLUSTER", "INFO"}, NULL);
    steps[n++] = SETUP_CLUSTER;
    redis_format(out, 2, (const char *const[]){"INFO", "replication"}, NULL);
    steps[n++] = SETUP_INFO;
    return n;
}

/* INFO is answered while everything else still gets LOADING. */
static enum status judge_loading(const struct redis_reply *reply, struct err *err)
{
    char loading[16];

    if (reply->type == REDIS_STRING && redis_info_value(reply->bytes, "loading", loading, sizeof loading) &&
        strcmp(loading, "0") != 0)
        return err_fail(err, STATUS_UNAVAILABLE, "the server is loading its data");
    return STATUS_OK;
}

/* One master of several answers MOVED to most of what we ask. An error means that it is none, or that we may not know. */
static enum status judge_cluster(const struct redis_reply *reply, struct err *err)
{
    char masters[16];

    if (reply->type == REDIS_STRING && redis_info_value(reply->bytes, "cluster_size", masters, sizeof masters) &&
        strcmp(masters, "0") != 0 && strcmp(masters, "1") != 0)
        return err_fail(err, STATUS_UNAVAILABLE,
                        "the server is one of %s masters of a Redis Cluster, which is not supported: name a single "
                        "master, or a proxy that speaks for all",
                        masters);
    return STATUS_OK;
}

static enum status judge_setup(struct redis *r, int step, const struct redis_reply *reply, struct err *err)
{
    if (step == SETUP_INFO)
        return read_role(r, reply, err);
    if (step == SETUP_LOADING)
        return judge_loading(reply, err);
    if (step == SETUP_CLUSTER)
        return judge_cluster(reply, err);
    if (reply->type != REDIS_ERROR || step == SETUP_NAME) /* a name is a convenience */
        return STATUS_OK;
    return err_fail(err, STATUS_UNAVAILABLE, "%s: %s", step == SETUP_AUTH ? "AUTH" : "SELECT", reply->bytes);
}

static enum status set_up(struct redis *r, int64_t deadline_ms, struct err *err)
{
    struct buf out = BUF_INIT;
    struct redis_reply *replies[SETUP_STEPS] = {NULL};
    int steps[SETUP_STEPS] = {0};
    struct exchange x = {.replies = replies};
    enum status status;

    x.n = append_setup(r, &out, steps);
    status = buf_status(&out);
    if (status != STATUS_OK) {
        status = err_fail(err, status, "out of memory");
    } else {
        x.out = out.data;
        x.out_len = out.len;
        status = redis_run_exchange(r, &x, deadline_ms, err);
    }
    for (size_t i = 0; i < x.n_read && status == STATUS_OK; i++)
        status = judge_setup(r, steps[i], replies[i], err);
    if (out.cap > 0)
        explicit_bzero(out.data, out.cap);
    buf_release(&out);
    return status;
}

/* --- connecting ---------------------------------------------------------------------------- */

/* The server went away while nobody looked, or sent something nobody asked for; or others cannot connect, and it is for
 * us to find out when they can. */
static bool is_stale(const struct redis *r)
{
    char byte;

    return r->role_in_doubt || (r->probes && breaker_state(r->breaker) != BREAKER_CLOSED) ||
           r->silences != breaker_silences(r->breaker) ||
           (clock_monotonic_ms() - r->used_at_ms > PROBE_IDLE_MS &&
            (recv(r->transport->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN));
}

static enum status open_connection(struct redis *r, int64_t deadline_ms, struct err *err)
{
    enum status status = redis_transport_open(&r->url, deadline_ms, &r->transport, err);

    if (status == STATUS_OK && r->tls != NULL)
        status = redis_tls_wrap(r->tls, r->url.host, deadline_ms, &r->transport, err);
    if (status != STATUS_OK)
        return status;
    r->reader = reply_reader_new(&r->arena);
    if (r->reader == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    r->reader->maxbuf = 0; /* keep the buffer: freeing it costs every large reply a walk of reallocations */
    return set_up(r, deadline_ms, err);
}

void redis_report_failure(struct redis *r, enum status status, const char *why)
{
    breaker_fail(r->breaker, status == STATUS_TIMEOUT ? BREAKER_SILENT : BREAKER_REFUSED, why, clock_monotonic_ms());
}

enum status redis_connect_by(struct redis *r, int64_t deadline_ms, struct err *err)
{
    struct err why = {0};
    enum status status;

    if (r->transport != NULL && !is_stale(r))
        return STATUS_OK;
    redis_disconnect(r);
    status = breaker_admit(r->breaker, r->probes, clock_monotonic_ms(), &why);
    if (status != STATUS_OK)
        return err_fail(err, status, "Redis at %s: %s", r->where, why.text);
    r->silences = breaker_silences(r->breaker);
    status = open_connection(r, deadline_ms, &why);
    if (status != STATUS_OK) {
        redis_disconnect(r);
        redis_report_failure(r, status, why.text);
        return err_fail(err, STATUS_UNAVAILABLE, "Redis at %s: %s", r->where, why.text);
    }
    breaker_succeed(r->breaker, clock_monotonic_ms());
    r->used_at_ms = clock_monotonic_ms();
    return STATUS_OK;
}

enum status redis_connect(struct redis *r, struct err *err)
{
    return redis_connect_by(r, clock_monotonic_ms() + r->timeout_ms, err);
}

/* --- the role, again ----------------------------------------------------------------------- */

enum status redis_heartbeat(struct redis *r, struct err *err)
{
    bool was_connected = redis_is_connected(r);
    const struct redis_reply *reply;
    enum status status = redis_connect(r, err);

    if (status != STATUS_OK || !was_connected)
        return status;
    status = redis_command(r, &reply, err, "INFO", "replication", NULL);
    if (status == STATUS_OK)
        status = redis_read_role(r, reply, err);
    return status;
}

enum status redis_read_role(struct redis *r, const struct redis_reply *reply, struct err *err)
{
    enum status status = read_role(r, reply, err);

    if (status != STATUS_OK)
        r->role_in_doubt = true;
    return status;
}
