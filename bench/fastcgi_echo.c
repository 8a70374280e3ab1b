/* The yardstick for the hit path: the least a FastCGI program can do. It reads records until the
 * request is whole and answers the same bytes to everybody, those of standard input: header lines, an
 * empty line, the body. No parameters are parsed, nothing is looked up, so what a real responder costs
 * beyond this is its own work.
 *
 *   fastcgi_echo SOCKET THREADS <ANSWER
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { RECORD_HEADER = 8, BUFFER = 65536, ANSWER_MAX = 65535 };
enum { BEGIN_REQUEST = 1, END_REQUEST = 3, STDIN_RECORD = 5, STDOUT_RECORD = 6 };

struct connection {
    int fd;
    size_t used;
    bool keep;
    unsigned char in[BUFFER];
};

static int listener;
static char *answer;
static size_t answer_size;

static void put_header(char *at, int type, size_t content)
{
    const unsigned char header[RECORD_HEADER] = {1, (unsigned char)type,           0,
                                                 1, (unsigned char)(content >> 8), (unsigned char)content};
    memcpy(at, header, sizeof header);
}

static void prepare_answer(void)
{
    size_t content;

    answer = calloc(1, RECORD_HEADER + ANSWER_MAX + RECORD_HEADER + RECORD_HEADER + 8);
    if (answer == NULL)
        exit(1);
    content = fread(answer + RECORD_HEADER, 1, ANSWER_MAX, stdin);
    answer_size = RECORD_HEADER + content + RECORD_HEADER + RECORD_HEADER + 8;
    put_header(answer, STDOUT_RECORD, content);
    put_header(answer + RECORD_HEADER + content, STDOUT_RECORD, 0);
    put_header(answer + 2 * RECORD_HEADER + content, END_REQUEST, 8);
}

/* The length of the whole request at the buffer's start, 0 when it is not all there. */
static size_t request_size(struct connection *c)
{
    size_t at = 0;

    while (c->used - at >= RECORD_HEADER) {
        const unsigned char *h = c->in + at;
        size_t content = (size_t)h[4] << 8 | h[5];
        size_t end = at + RECORD_HEADER + content + h[6];

        if (end > c->used)
            return 0;
        if (h[1] == BEGIN_REQUEST && content == 8)
            c->keep = (h[RECORD_HEADER + 2] & 1) != 0;
        at = end;
        if (h[1] == STDIN_RECORD && content == 0)
            return at;
    }
    return 0;
}

/* False: the connection is done. */
static bool serve(struct connection *c)
{
    ssize_t got = read(c->fd, c->in + c->used, sizeof c->in - c->used);
    size_t size;

    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    c->used += (size_t)got;
    while ((size = request_size(c)) > 0) {
        if (write(c->fd, answer, answer_size) != (ssize_t)answer_size || !c->keep)
            return false;
        memmove(c->in, c->in + size, c->used - size);
        c->used -= size;
    }
    return c->used < sizeof c->in;
}

static void accept_connections(int epoll)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *c = calloc(1, sizeof *c);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

        if (c == NULL)
            exit(1);
        c->fd = fd;
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
            exit(1);
    }
}

static void *run_loop(void *unused)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = NULL}, events[64];
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    (void)unused;
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0)
        exit(1);
    for (;;) {
        int n = epoll_wait(epoll, events, 64, -1);

        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;

            if (c == NULL) {
                accept_connections(epoll);
            } else if (!serve(c)) {
                close(c->fd);
                free(c);
            }
        }
    }
    return NULL;
}

static void open_listener(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "fastcgi_echo: socket path too long: %s\n", path);
        exit(2);
    }
    strcpy(address.sun_path, path);
    unlink(path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || chmod(path, 0666) != 0 ||
        listen(listener, 4096) != 0) {
        fprintf(stderr, "fastcgi_echo: cannot listen on %s: %s\n", path, strerror(errno));
        exit(1);
    }
}

int main(int argc, char **argv)
{
    pthread_t thread;

    if (argc != 3 || atoi(argv[2]) < 1) {
        fprintf(stderr, "usage: fastcgi_echo SOCKET THREADS <ANSWER\n");
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    prepare_answer();
    open_listener(argv[1]);
    for (int i = 1; i < atoi(argv[2]); i++)
        if (pthread_create(&thread, NULL, run_loop, NULL) != 0)
            return 1;
    run_loop(NULL);
    return 0;
}
