/* Plain sockets, TCP and Unix. */
#include "lib/store/redis_transport.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/clock.h"

/* A silent peer is noticed after idle + interval * probes = 60 s. */
enum { KEEPALIVE_IDLE_S = 30, KEEPALIVE_INTERVAL_S = 10, KEEPALIVE_PROBES = 3 };

static ssize_t plain_read(struct redis_transport *transport, void *bytes, size_t size)
{
    return recv(transport->fd, bytes, size, 0);
}

static ssize_t plain_write(struct redis_transport *transport, const void *bytes, size_t len)
{
    return send(transport->fd, bytes, len, MSG_NOSIGNAL);
}

static void plain_close(struct redis_transport *transport)
{
    (void)close(transport->fd);
    free(transport);
}

enum status redis_transport_wait(int fd, short events, int64_t deadline_ms, short *ret_events)
{
    struct pollfd watched = {.fd = fd, .events = events};

    for (;;) {
        int64_t left = deadline_ms - clock_monotonic_ms();
        int n = poll(&watched, 1, left <= 0 ? 0 : left > 60000 ? 60000 : (int)left);

        if (n > 0) {
            *ret_events = watched.revents;
            return STATUS_OK;
        }
        if (n < 0 && errno != EINTR)
            return STATUS_INTERNAL;
        if (n == 0 && left <= 0)
            return STATUS_TIMEOUT;
    }
}

static enum status finish_connect(int fd, int64_t deadline_ms, struct err *err)
{
    socklen_t size = sizeof(int);
    int error = 0;
    short events;
    enum status status = redis_transport_wait(fd, POLLOUT, deadline_ms, &events);

    if (status != STATUS_OK)
        return err_fail(err, status, "connecting took too long");
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error != 0)
        return err_fail(err, STATUS_UNAVAILABLE, "%s", strerror(error));
    return STATUS_OK;
}

static enum status connect_socket(const struct sockaddr *address, socklen_t size, int64_t deadline_ms, int *ret_fd,
                                  struct err *err)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    enum status status = STATUS_OK;

    if (fd < 0)
        return err_fail(err, STATUS_UNAVAILABLE, "socket: %s", strerror(errno));
    if (connect(fd, address, size) < 0) {
        if (errno == EINPROGRESS || errno == EINTR)
            status = finish_connect(fd, deadline_ms, err);
        else
            status = err_fail(err, STATUS_UNAVAILABLE, "%s", strerror(errno));
    }
    if (status != STATUS_OK)
        (void)close(fd);
    else
        *ret_fd = fd;
    return status;
}

static enum status connect_local(const char *path, int64_t deadline_ms, int *ret_fd, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, path, strlen(path) + 1);
    return connect_socket((const struct sockaddr *)&address, sizeof address, deadline_ms, ret_fd, err);
}

static void tune_tcp(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {{IPPROTO_TCP, TCP_NODELAY, 1},
                   {SOL_SOCKET, SO_KEEPALIVE, 1},
                   {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
                   {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
                   {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES}};

    /* Each only improves; the connection works without. */
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
}

static enum status connect_tcp(const struct redis_url *url, int64_t deadline_ms, int *ret_fd, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found;
    enum status status = STATUS_UNAVAILABLE;
    int error = getaddrinfo(url->host, url->port, &hints, &found);

    if (error != 0)
        return err_fail(err, STATUS_UNAVAILABLE, "looking up the host: %s", gai_strerror(error));
    for (const struct addrinfo *a = found; a != NULL && status != STATUS_OK && status != STATUS_TIMEOUT; a = a->ai_next)
        status = connect_socket(a->ai_addr, a->ai_addrlen, deadline_ms, ret_fd, err);
    freeaddrinfo(found);
    if (status == STATUS_OK)
        tune_tcp(*ret_fd);
    return status;
}

enum status redis_transport_open(const struct redis_url *url, int64_t deadline_ms,
                                 struct redis_transport **ret_transport, struct err *err)
{
    struct redis_transport *transport = calloc(1, sizeof *transport);
    enum status status;

    if (transport == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    *transport = (struct redis_transport){-1, plain_read, plain_write, plain_close};
    status = url->local ? connect_local(url->path, deadline_ms, &transport->fd, err)
                        : connect_tcp(url, deadline_ms, &transport->fd, err);
    if (status != STATUS_OK)
        free(transport);
    else
        *ret_transport = transport;
    return status;
}
