#include "fcgi/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/parse_number.h"

#define ACTIVATION_FD 3

static bool is_listening_socket(int fd)
{
    int listening = 0;
    socklen_t len = sizeof(listening);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening;
}

/* sd_listen_fds(3), without the library. */
static bool was_activated(void)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    int64_t n, owner;
    return pid && fds && parse_int64(pid, 1, INT32_MAX, &owner) == STATUS_OK && owner == getpid() &&
           parse_int64(fds, 1, 1000, &n) == STATUS_OK;
}

static enum status adopt(int fd, struct listener *l, struct err *err)
{
    if (!is_listening_socket(fd))
        return err_fail(err, STATUS_INVALID, "descriptor %d is not a listening socket", fd);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    l->fd = fd;
    return STATUS_OK;
}

/* Somebody answers at the path: true. A file that refuses connections is left over from a crash. */
static bool is_answered(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool answered = fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN;
    if (fd >= 0)
        close(fd);
    return answered;
}

static enum status remove_stale(const struct sockaddr_un *address, struct err *err)
{
    struct stat st;

    if (lstat(address->sun_path, &st) != 0)
        return STATUS_OK;
    if (!S_ISSOCK(st.st_mode))
        return err_fail(err, STATUS_CONFLICT, "LISTEN: %s exists and is not a socket", address->sun_path);
    if (is_answered(address))
        return err_fail(err, STATUS_CONFLICT, "LISTEN: another process answers at %s", address->sun_path);
    if (unlink(address->sun_path) != 0)
        return err_fail(err, STATUS_UNAVAILABLE, "LISTEN: cannot remove the stale %s: %s", address->sun_path,
                        strerror(errno));
    return STATUS_OK;
}

static enum status set_access(const char *path, const struct settings *s, struct err *err)
{
    char *end;
    unsigned long mode = strtoul(s->listen_mode, &end, 8);

    if (*end || end == s->listen_mode || mode > 0777)
        return err_fail(err, STATUS_INVALID, "LISTEN_MODE is '%s'; expected an octal mode such as 0660",
                        s->listen_mode);
    if (s->listen_group[0]) {
        const struct group *group = getgrnam(s->listen_group);
        if (!group)
            return err_fail(err, STATUS_INVALID, "LISTEN_GROUP: there is no group '%s'", s->listen_group);
        if (chown(path, (uid_t)-1, group->gr_gid) != 0)
            return err_fail(err, STATUS_UNAVAILABLE, "LISTEN_GROUP: cannot give %s to '%s': %s", path, s->listen_group,
                            strerror(errno));
    }
    if (chmod(path, (mode_t)mode) != 0)
        return err_fail(err, STATUS_UNAVAILABLE, "LISTEN_MODE: cannot change %s: %s", path, strerror(errno));
    return STATUS_OK;
}

/* Until its mode and group are set nobody may connect: the file is made without any permission. */
static enum status bind_path(int fd, const struct sockaddr_un *address, const struct settings *s, struct err *err)
{
    mode_t mask = umask(0777);
    int bound = bind(fd, (const struct sockaddr *)address, sizeof(*address));
    int error = errno;

    umask(mask);
    if (bound != 0)
        return err_fail(err, STATUS_UNAVAILABLE, "LISTEN: cannot make %s: %s", address->sun_path, strerror(error));
    return set_access(address->sun_path, s, err);
}

static enum status open_path(const struct settings *s, struct listener *l, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;

    if (strlen(s->listen) >= sizeof(address.sun_path))
        return err_fail(err, STATUS_INVALID, "LISTEN: the path is longer than %zu bytes", sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, s->listen, strlen(s->listen) + 1);
    enum status status = remove_stale(&address, err);
    if (status != STATUS_OK)
        return status;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return err_fail(err, STATUS_UNAVAILABLE, "LISTEN: no socket: %s", strerror(errno));
    status = bind_path(l->fd, &address, s, err);
    if (status != STATUS_OK)
        return status;
    l->path = strdup(s->listen);
    if (!l->path || lstat(l->path, &st) != 0)
        return err_fail(err, STATUS_UNAVAILABLE, "LISTEN: %s vanished", s->listen);
    l->device = st.st_dev;
    l->inode = st.st_ino;
    return STATUS_OK;
}

/* "127.0.0.1:9000" or "[::1]:9000": addresses, no names. */
static enum status parse_address(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_len,
                                 struct err *err)
{
    const char *colon = strrchr(text, ':');
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
    char host[64];
    int64_t port = 0;

    memset(ret_address, 0, sizeof(*ret_address));
    size_t len = colon ? (size_t)(colon - text) : sizeof(host);
    if (len < sizeof(host) && parse_int64(colon + 1, 1, 65535, &port) == STATUS_OK) {
        bool brackets = len > 2 && text[0] == '[' && text[len - 1] == ']';
        snprintf(host, sizeof(host), "%.*s", (int)(brackets ? len - 2 : len), brackets ? text + 1 : text);
        if (!brackets && inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
            v4->sin_family = AF_INET;
            v4->sin_port = htons((uint16_t)port);
            *ret_len = sizeof(*v4);
            return STATUS_OK;
        }
        if (brackets && inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
            v6->sin6_family = AF_INET6;
            v6->sin6_port = htons((uint16_t)port);
            *ret_len = sizeof(*v6);
            return STATUS_OK;
        }
    }
    return err_fail(err, STATUS_INVALID, "LISTEN is '%s'; expected a path that begins with '/', or ADDRESS:PORT", text);
}

static enum status open_address(const struct settings *s, struct listener *l, struct err *err)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    int on = 1;

    enum status status = parse_address(s->listen, &address, &len, err);
    if (status != STATUS_OK)
        return status;
    l->fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return err_fail(err, STATUS_UNAVAILABLE, "LISTEN: no socket: %s", strerror(errno));
    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* accepted sockets inherit it */
    if (bind(l->fd, (const struct sockaddr *)&address, len) != 0)
        return err_fail(err, errno == EADDRINUSE ? STATUS_CONFLICT : STATUS_UNAVAILABLE, "LISTEN: cannot take %s: %s",
                        s->listen, strerror(errno));
    return STATUS_OK;
}

enum status listener_open(const struct settings *settings, struct listener *ret_listener, struct err *err)
{
    struct listener l = {.fd = -1};
    enum status status;

    if (was_activated() || is_listening_socket(STDIN_FILENO)) {
        status = adopt(was_activated() ? ACTIVATION_FD : STDIN_FILENO, &l, err);
    } else {
        l.ours = true;
        status = settings->listen[0] == '/' ? open_path(settings, &l, err) : open_address(settings, &l, err);
        if (status == STATUS_OK && listen(l.fd, (int)settings->listen_backlog) != 0)
            status =
                err_fail(err, STATUS_UNAVAILABLE, "LISTEN: cannot listen at %s: %s", settings->listen, strerror(errno));
    }
    if (status == STATUS_OK) {
        *ret_listener = l;
        return STATUS_OK;
    }
    listener_unlink(&l);
    listener_close(&l);
    return status;
}

void listener_unlink(struct listener *l)
{
    struct stat st;

    if (l->path && lstat(l->path, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode)
        unlink(l->path);
    free(l->path);
    l->path = NULL;
}

void listener_close(struct listener *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}
