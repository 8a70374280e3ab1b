/* fastcgi_load SOCKET STATUS CONNECTIONS REQUESTS [RATE] <REQUEST: sends the bytes of one whole FastCGI request (id 1, connection
 * kept), REQUESTS times over CONNECTIONS connections, and prints one line:
 *
 *   requests=N failed=N seconds=S p50_ms=F p99_ms=F max_ms=F
 *
 * Without RATE each connection sends again as soon as it has its answer: the peak. With it, request i is due i/RATE seconds
 * after the start, whatever the answers do, and its time counts from then, so that a stall is seen in every request that it
 * holds up. An answer fails when its status is not STATUS or its connection ends before it; such a connection is replaced. One
 * thread; an answer has at most ANSWER_MAX bytes. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_MAX = 16384, ANSWER_MAX = 65536, SLOWEST_US = 10000000 };

struct connection {
    int fd;
    int64_t due_us; /* of the request under way; -1: none */
    size_t n;
    struct connection *next_free;
    char answer[ANSWER_MAX];
};

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static char request[REQUEST_MAX];
static size_t request_len;
static int wanted_status;
static long n_requests, n_sent, n_done, n_failed, rate;
static int64_t begin_us;
static int epoll;
static struct connection *first_free, **last_free = &first_free; /* in turn, so that all are used */
static uint32_t took[SLOWEST_US + 1];                            /* answers by their microseconds */

static void die(const char *what)
{
    fprintf(stderr, "fastcgi_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void put_free(struct connection *c)
{
    c->due_us = -1;
    c->n = 0;
    c->next_free = NULL;
    *last_free = c;
    last_free = &c->next_free;
}

static struct connection *take_free(void)
{
    struct connection *c = first_free;

    first_free = c->next_free;
    if (first_free == NULL)
        last_free = &first_free;
    return c;
}

static void open_connection(struct connection *c)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("connect");
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
        die("epoll_ctl");
}

/* The request under way is over, well or not. */
static void finish(struct connection *c, bool good)
{
    int64_t us = now_us() - c->due_us;

    n_done++;
    n_failed += !good;
    took[us < SLOWEST_US ? us : SLOWEST_US]++;
}

static void replace(struct connection *c)
{
    close(c->fd);
    open_connection(c);
    if (c->due_us < 0)
        return; /* among the free ones already */
    finish(c, false);
    put_free(c);
}

static void send_request(struct connection *c, int64_t due_us)
{
    c->due_us = due_us;
    n_sent++;
    if (send(c->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len)
        replace(c);
}

static void send_due(void)
{
    int64_t now = now_us();

    while (first_free != NULL && n_sent < n_requests) {
        int64_t due = rate > 0 ? begin_us + (int64_t)((double)n_sent * 1e6 / (double)rate) : now;

        if (due > now)
            return;
        send_request(take_free(), due);
    }
}

/* The answer ends with the record that ends request 1 (FastCGI 1.0, 5.5): type 3, eight bytes, complete. */
static bool is_whole(const struct connection *c)
{
    static const char end[16] = {1, 3, 0, 1, 0, 8};

    return c->n >= 32 && memcmp(c->answer + c->n - sizeof end, end, sizeof end) == 0;
}

/* Of a whole answer; without the line it is 200 (RFC 3875, 6.3.3). */
static int status_of(const struct connection *c)
{
    static const char name[] = "Status: ";
    const char *line = c->answer + 8;

    return memcmp(line, name, sizeof name - 1) == 0 ? atoi(line + sizeof name - 1) : 200;
}

static void receive(struct connection *c)
{
    ssize_t n = recv(c->fd, c->answer + c->n, sizeof c->answer - c->n, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || c->due_us < 0) {
        replace(c);
        return;
    }
    c->n += (size_t)n;
    if (!is_whole(c))
        return;
    finish(c, status_of(c) == wanted_status);
    put_free(c);
}

static int wait_ms(void)
{
    return rate > 0 && first_free != NULL && n_sent < n_requests ? 1 : 1000;
}

static void run(void)
{
    struct epoll_event events[256];

    begin_us = now_us();
    while (n_done < n_requests) {
        send_due();
        int n = epoll_wait(epoll, events, 256, wait_ms());

        for (int i = 0; i < n; i++)
            receive(events[i].data.ptr);
    }
}

static double percentile_ms(double share)
{
    uint64_t below = 0, wanted = (uint64_t)(share * (double)n_done);

    for (int us = 0; us < SLOWEST_US; us++) {
        below += took[us];
        if (below > wanted)
            return us / 1e3;
    }
    return SLOWEST_US / 1e3;
}

static double longest_ms(void)
{
    int us = SLOWEST_US;

    while (us > 0 && took[us] == 0)
        us--;
    return us / 1e3;
}

static void open_connections(long n)
{
    struct rlimit descriptors;

    if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
        descriptors.rlim_cur = descriptors.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &descriptors);
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    for (long i = 0; i < n; i++) {
        struct connection *c = malloc(sizeof *c);

        if (epoll < 0 || c == NULL)
            die("setting up");
        open_connection(c);
        put_free(c);
    }
}

int main(int argc, char **argv)
{
    long n_connections = argc >= 5 ? atol(argv[3]) : 0;

    n_requests = argc >= 5 ? atol(argv[4]) : 0;
    rate = argc == 6 ? atol(argv[5]) : 0;
    if (argc < 5 || argc > 6 || strlen(argv[2]) != 3 || n_connections < 1 || n_requests < 1 || rate < 0 ||
        strlen(argv[1]) >= sizeof address.sun_path) {
        fprintf(stderr, "usage: fastcgi_load SOCKET STATUS CONNECTIONS REQUESTS [RATE] <REQUEST\n");
        return 2;
    }
    strcpy(address.sun_path, argv[1]);
    wanted_status = atoi(argv[2]);
    request_len = fread(request, 1, sizeof request, stdin);
    open_connections(n_connections);
    run();
    printf("requests=%ld failed=%ld seconds=%.3f p50_ms=%.3f p99_ms=%.3f max_ms=%.3f\n", n_done, n_failed,
           (double)(now_us() - begin_us) / 1e6, percentile_ms(0.5), percentile_ms(0.99), longest_ms());
    return n_failed > 0;
}
