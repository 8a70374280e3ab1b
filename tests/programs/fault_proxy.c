/* fault_proxy LISTEN UPSTREAM: passes bytes between clients and a server, and does to them what networks do.
 *
 * An address is unix:PATH or tcp:IPV4:PORT (port 0 of LISTEN: any free one). The first line on standard output says
 * "listening ADDRESS". Commands are lines on standard input, each answered by one line, "ok" or "error REASON"; at the
 * end of standard input the proxy ends. DIRECTION is up (to the server), down (to the client) or both.
 *
 * Rules, for all connections, present and future, until `pass`:
 *   delay DIRECTION MS         every byte arrives MS later
 *   throttle DIRECTION RATE    bytes per second
 *   stall DIRECTION            a black hole: bytes are taken and kept, nobody is told
 * Traps, one a direction. The first connection to meet it springs it, alone, and it is gone; N counts the bytes that
 * this connection has passed in that direction since the trap was set:
 *   stall DIRECTION N          a black hole after N bytes
 *   hold DIRECTION TEXT        a black hole before the piece that holds TEXT (as one read delivers it; \r, \n, \\)
 *   cut DIRECTION N            both sides are closed after N bytes
 *   reset DIRECTION N          the same, abruptly: TCP sends RST, a Unix socket only loses what was on its way
 *   flip DIRECTION N           all bits of byte N are inverted
 *   half-close DIRECTION N     the receiver sees the end after N bytes; the other direction goes on
 * At once:
 *   pass                       no rule and no trap any more; what was held back goes on
 *   close, reset               every connection, in order or abruptly
 *   listen off, listen on      new connections are refused, as by a server that does not run
 *   status                     ok connections=N accepted=N sprung=N up=BYTES down=BYTES
 *
 * One thread, one poll(): made for dozens of connections, not for thousands. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/parse_number.h"

#define PIECE_SIZE 16384
#define HELD_MAX (1 << 20) /* bytes kept for one direction before its sender has to wait */
#define TEXT_MAX 256
#define SLICES_PER_SECOND 20 /* of a throttled direction */

enum direction { UP, DOWN, DIRECTIONS };
enum trap_kind { TRAP_NONE, TRAP_STALL, TRAP_HOLD, TRAP_CUT, TRAP_RESET, TRAP_FLIP, TRAP_HALF_CLOSE };
enum ending { LIVES, CLOSES, RESETS };

struct trap {
    enum trap_kind kind;
    int64_t after; /* bytes */
    char text[TEXT_MAX];
    size_t text_len;
};

struct rules {
    int64_t delay_us, bytes_per_second; /* 0: none */
    bool stalled;
    struct trap trap;
};

struct piece {
    struct piece *next;
    int64_t due_us;
    size_t begin, end; /* what is left of the bytes */
    char bytes[PIECE_SIZE];
};

/* One direction of one connection. */
struct flow {
    int from, to;
    struct piece *first, *last;
    size_t held;
    int64_t passed;  /* bytes since the trap was set */
    int64_t next_us; /* throttled: not before */
    bool black_hole, blocked, ended, shut;
};

struct connection {
    struct connection *next;
    struct flow flows[DIRECTIONS];
    enum ending ending;
    int poll_index; /* of the client's descriptor; the server's follows */
};

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_in tcp;
    };
    socklen_t len;
};

static struct {
    struct address listen, upstream;
    int listener; /* -1: listen off */
    struct rules rules[DIRECTIONS];
    struct connection *connections;
    int64_t accepted, sprung, bytes[DIRECTIONS];
} proxy = {.listener = -1};

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void die(const char *format, ...)
{
    va_list args;

    fputs("fault_proxy: ", stderr);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

/* --- addresses ---------------------------------------------------------------------------------- */

static struct address parse_address(const char *text)
{
    struct address address = {.len = 0};
    const char *colon = strrchr(text, ':');
    char host[INET_ADDRSTRLEN];
    int64_t port;

    if (strncmp(text, "unix:", 5) == 0 && strlen(text + 5) < sizeof address.local.sun_path) {
        address.local.sun_family = AF_UNIX;
        memcpy(address.local.sun_path, text + 5, strlen(text + 5) + 1);
        address.len = sizeof address.local;
        return address;
    }
    if (strncmp(text, "tcp:", 4) != 0 || colon < text + 4 || (size_t)(colon - text - 4) >= sizeof host)
        die("'%s' is no address like unix:PATH or tcp:127.0.0.1:6379", text);
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - text - 4), text + 4);
    if (parse_int64(colon + 1, 0, 65535, &port) != STATUS_OK || inet_pton(AF_INET, host, &address.tcp.sin_addr) != 1)
        die("'%s' has no IPv4 address and port", text);
    address.tcp.sin_family = AF_INET;
    address.tcp.sin_port = htons((uint16_t)port);
    address.len = sizeof address.tcp;
    return address;
}

static void print_address(const struct address *address)
{
    char host[INET_ADDRSTRLEN];

    if (address->any.sa_family == AF_UNIX)
        printf("listening unix:%s\n", address->local.sun_path);
    else
        printf("listening tcp:%s:%d\n", inet_ntop(AF_INET, &address->tcp.sin_addr, host, sizeof host),
               ntohs(address->tcp.sin_port));
    (void)fflush(stdout);
}

static int new_socket(const struct address *address)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

    if (fd < 0)
        die("socket: %s", strerror(errno));
    if (address->any.sa_family == AF_INET) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    return fd;
}

/* A port that the kernel chose stays the same over `listen off` and `listen on`. */
static void listen_on(void)
{
    if (proxy.listener >= 0)
        return;
    proxy.listener = new_socket(&proxy.listen);
    if (bind(proxy.listener, &proxy.listen.any, proxy.listen.len) != 0 || listen(proxy.listener, 128) != 0 ||
        getsockname(proxy.listener, &proxy.listen.any, &proxy.listen.len) != 0)
        die("cannot listen: %s", strerror(errno));
}

static void listen_off(void)
{
    if (proxy.listener < 0)
        return;
    (void)close(proxy.listener);
    proxy.listener = -1;
    if (proxy.listen.any.sa_family == AF_UNIX)
        (void)unlink(proxy.listen.local.sun_path);
}

/* --- connections -------------------------------------------------------------------------------- */

static void accept_one(void)
{
    int client = accept4(proxy.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), server, on = 1;
    struct connection *c;

    if (client < 0)
        return;
    proxy.accepted++;
    if (proxy.listen.any.sa_family == AF_INET)
        (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    server = new_socket(&proxy.upstream);
    if (connect(server, &proxy.upstream.any, proxy.upstream.len) != 0 && errno != EINPROGRESS) {
        (void)close(server);
        (void)close(client);
        return;
    }
    c = calloc(1, sizeof *c);
    if (c == NULL)
        die("out of memory");
    c->flows[UP] = (struct flow){.from = client, .to = server};
    c->flows[DOWN] = (struct flow){.from = server, .to = client};
    c->next = proxy.connections;
    proxy.connections = c;
}

static void free_first_piece(struct flow *flow)
{
    struct piece *first = flow->first;

    flow->first = first->next;
    if (flow->first == NULL)
        flow->last = NULL;
    free(first);
}

static void close_socket(int fd, enum ending ending)
{
    struct linger abruptly = {.l_onoff = 1, .l_linger = 0};

    if (ending == RESETS)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &abruptly, sizeof abruptly);
    (void)close(fd);
}

static void free_connection(struct connection *c)
{
    for (int d = 0; d < DIRECTIONS; d++)
        while (c->flows[d].first != NULL)
            free_first_piece(&c->flows[d]);
    close_socket(c->flows[UP].from, c->ending);
    close_socket(c->flows[UP].to, c->ending);
    free(c);
}

static void sweep(void)
{
    for (struct connection **place = &proxy.connections; *place != NULL;) {
        struct connection *c = *place;

        if (c->flows[UP].shut && c->flows[DOWN].shut && c->ending == LIVES)
            c->ending = CLOSES;
        if (c->ending == LIVES) {
            place = &c->next;
        } else {
            *place = c->next;
            free_connection(c);
        }
    }
}

/* --- passing bytes ------------------------------------------------------------------------------ */

static void take_in(struct connection *c, struct flow *flow, const struct rules *rules)
{
    struct piece *piece = malloc(sizeof *piece);
    ssize_t n;

    if (piece == NULL)
        die("out of memory");
    n = recv(flow->from, piece->bytes, PIECE_SIZE, 0);
    if (n <= 0) {
        if (n == 0)
            flow->ended = true;
        else if (errno != EAGAIN && errno != EINTR)
            c->ending = RESETS;
        free(piece);
        return;
    }
    piece->next = NULL;
    piece->due_us = clock_monotonic_us() + rules->delay_us;
    piece->begin = 0;
    piece->end = (size_t)n;
    flow->held += piece->end;
    if (flow->last == NULL)
        flow->first = piece;
    else
        flow->last->next = piece;
    flow->last = piece;
}

/* What the trap does to the connection that sprang it. */
static void spring(struct connection *c, struct flow *flow, struct trap *trap)
{
    switch (trap->kind) {
    case TRAP_STALL:
    case TRAP_HOLD: flow->black_hole = true; break;
    case TRAP_CUT: c->ending = CLOSES; break;
    case TRAP_RESET: c->ending = RESETS; break;
    case TRAP_HALF_CLOSE:
        (void)shutdown(flow->to, SHUT_WR);
        flow->shut = true;
        break;
    case TRAP_NONE:
    case TRAP_FLIP: break;
    }
    trap->kind = TRAP_NONE;
    proxy.sprung++;
}

/* Sprung as soon as its bytes are through, not by the byte after them, which may never come. */
static bool follows_bytes(enum trap_kind kind)
{
    return kind == TRAP_STALL || kind == TRAP_CUT || kind == TRAP_RESET || kind == TRAP_HALF_CLOSE;
}

/* How many bytes of the piece may go before the trap has its say. */
static size_t look_for_trap(struct connection *c, struct flow *flow, struct trap *trap, struct piece *piece)
{
    size_t n = piece->end - piece->begin;
    int64_t left = trap->after - flow->passed;

    switch (trap->kind) {
    case TRAP_NONE: return n;
    case TRAP_HOLD:
        if (memmem(piece->bytes + piece->begin, n, trap->text, trap->text_len) != NULL)
            spring(c, flow, trap);
        return n;
    case TRAP_FLIP:
        if (left < (int64_t)n) {
            piece->bytes[piece->begin + (size_t)left] ^= (char)0xff;
            spring(c, flow, trap);
        }
        return n;
    default:
        if (left <= 0)
            spring(c, flow, trap);
        return left < (int64_t)n ? (size_t)left : n;
    }
}

static bool is_open(const struct connection *c, const struct flow *flow, const struct rules *rules)
{
    return c->ending == LIVES && !flow->shut && !flow->black_hole && !rules->stalled;
}

/* False: the receiver takes no more at the moment, or is gone. */
static bool send_piece(struct connection *c, struct flow *flow, enum direction d, size_t n)
{
    const struct rules *rules = &proxy.rules[d];
    struct piece *piece = flow->first;
    ssize_t sent = send(flow->to, piece->bytes + piece->begin, n, MSG_NOSIGNAL);

    if (sent < 0) {
        flow->blocked = errno == EAGAIN;
        if (!flow->blocked)
            c->ending = RESETS;
        return false;
    }
    piece->begin += (size_t)sent;
    flow->held -= (size_t)sent;
    flow->passed += sent;
    proxy.bytes[d] += sent;
    if (rules->bytes_per_second > 0)
        flow->next_us = clock_monotonic_us() + sent * US_PER_SECOND / rules->bytes_per_second;
    if (piece->begin == piece->end)
        free_first_piece(flow);
    return true;
}

static void pass_on(struct connection *c, enum direction d)
{
    struct rules *rules = &proxy.rules[d];
    struct flow *flow = &c->flows[d];
    int64_t slice = rules->bytes_per_second / SLICES_PER_SECOND + 1, now_us = clock_monotonic_us();

    flow->blocked = false;
    while (is_open(c, flow, rules) && flow->first != NULL && flow->first->due_us <= now_us && flow->next_us <= now_us) {
        size_t n = look_for_trap(c, flow, &rules->trap, flow->first);

        if (rules->bytes_per_second > 0 && (int64_t)n > slice)
            n = (size_t)slice;
        if (!is_open(c, flow, rules) || !send_piece(c, flow, d, n))
            break;
        if (follows_bytes(rules->trap.kind) && flow->passed >= rules->trap.after)
            spring(c, flow, &rules->trap);
    }
    if (is_open(c, flow, rules) && flow->ended && flow->first == NULL) {
        (void)shutdown(flow->to, SHUT_WR);
        flow->shut = true;
    }
}

/* --- commands ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum trap_kind kind;
} traps[] = {
    {"stall", TRAP_STALL}, {"hold", TRAP_HOLD}, {"cut", TRAP_CUT},
    {"reset", TRAP_RESET}, {"flip", TRAP_FLIP}, {"half-close", TRAP_HALF_CLOSE},
};

static void set_trap(enum direction d, const struct trap *trap)
{
    proxy.rules[d].trap = *trap;
    for (struct connection *c = proxy.connections; c != NULL; c = c->next)
        c->flows[d].passed = 0;
}

static void pass_everything(void)
{
    memset(proxy.rules, 0, sizeof proxy.rules);
    for (struct connection *c = proxy.connections; c != NULL; c = c->next)
        for (int d = 0; d < DIRECTIONS; d++) {
            c->flows[d].black_hole = false;
            c->flows[d].next_us = 0;
            for (struct piece *piece = c->flows[d].first; piece != NULL; piece = piece->next)
                piece->due_us = 0;
        }
}

static void end_all(enum ending ending)
{
    for (struct connection *c = proxy.connections; c != NULL; c = c->next)
        c->ending = ending;
}

static void print_status(void)
{
    int n = 0;

    for (struct connection *c = proxy.connections; c != NULL; c = c->next)
        n++;
    printf("ok connections=%d accepted=%lld sprung=%lld up=%lld down=%lld\n", n, (long long)proxy.accepted,
           (long long)proxy.sprung, (long long)proxy.bytes[UP], (long long)proxy.bytes[DOWN]);
}

/* False: no such command without arguments. */
static bool carry_out_plain(const char *line)
{
    if (strcmp(line, "pass") == 0)
        pass_everything();
    else if (strcmp(line, "close") == 0)
        end_all(CLOSES);
    else if (strcmp(line, "reset") == 0)
        end_all(RESETS);
    else if (strcmp(line, "listen on") == 0)
        listen_on();
    else if (strcmp(line, "listen off") == 0)
        listen_off();
    else
        return false;
    return true;
}

static bool parse_trap(const char *name, const char *argument, struct trap *ret_trap)
{
    *ret_trap = (struct trap){.kind = TRAP_NONE};
    for (size_t i = 0; i < sizeof traps / sizeof traps[0]; i++)
        if (strcmp(traps[i].name, name) == 0)
            ret_trap->kind = traps[i].kind;
    if (ret_trap->kind != TRAP_HOLD)
        return ret_trap->kind != TRAP_NONE && parse_int64(argument, 0, INT64_MAX, &ret_trap->after) == STATUS_OK;
    for (; *argument != '\0' && ret_trap->text_len < TEXT_MAX; argument++) {
        char byte = *argument;

        if (byte == '\\') {
            byte = *++argument;
            if (byte != '\\' && byte != 'r' && byte != 'n')
                return false;
            byte = byte == 'r' ? '\r' : byte == 'n' ? '\n' : '\\';
        }
        ret_trap->text[ret_trap->text_len++] = byte;
    }
    return *argument == '\0' && ret_trap->text_len > 0;
}

/* A rule or a trap for one direction; false: there is none of that name, or its argument is wrong. */
static bool set_rule(const char *name, enum direction d, const char *argument)
{
    struct rules *rules = &proxy.rules[d];
    struct trap trap;
    int64_t number;

    if (strcmp(name, "stall") == 0 && *argument == '\0') {
        rules->stalled = true;
    } else if (strcmp(name, "delay") == 0) {
        if (parse_int64(argument, 0, 3600000, &number) != STATUS_OK)
            return false;
        rules->delay_us = number * 1000;
    } else if (strcmp(name, "throttle") == 0) {
        return parse_int64(argument, 1, INT64_C(1) << 40, &rules->bytes_per_second) == STATUS_OK;
    } else if (parse_trap(name, argument, &trap)) {
        set_trap(d, &trap);
    } else {
        return false;
    }
    return true;
}

static bool carry_out(char *line)
{
    char *name = line, *direction, *argument;

    if (carry_out_plain(line))
        return true;
    direction = strchr(line, ' ');
    if (direction == NULL)
        return false;
    *direction++ = '\0';
    argument = strchr(direction, ' ');
    if (argument != NULL)
        *argument++ = '\0';
    else
        argument = direction + strlen(direction);
    if (strcmp(direction, "both") == 0)
        return set_rule(name, UP, argument) && set_rule(name, DOWN, argument);
    if (strcmp(direction, "up") == 0)
        return set_rule(name, UP, argument);
    return strcmp(direction, "down") == 0 && set_rule(name, DOWN, argument);
}

static void answer(char *line)
{
    if (strcmp(line, "status") == 0)
        print_status();
    else
        puts(carry_out(line) ? "ok" : "error: no such command");
    (void)fflush(stdout);
}

/* False: standard input has ended. */
static bool read_commands(void)
{
    static char pending[2 * TEXT_MAX + 64];
    static size_t len;
    ssize_t n = read(STDIN_FILENO, pending + len, sizeof pending - len);
    char *end;

    if (n <= 0)
        return n < 0 && errno == EINTR;
    len += (size_t)n;
    while ((end = memchr(pending, '\n', len)) != NULL) {
        *end = '\0';
        answer(pending);
        len -= (size_t)(end + 1 - pending);
        memmove(pending, end + 1, len);
    }
    if (len == sizeof pending)
        die("a command is too long");
    return true;
}

/* --- the loop ----------------------------------------------------------------------------------- */

/* Until when nothing happens by itself, in milliseconds; -1: for ever. */
static int waiting_time(void)
{
    int64_t now_us = clock_monotonic_us(), first_us = INT64_MAX;

    for (const struct connection *c = proxy.connections; c != NULL; c = c->next)
        for (int d = 0; d < DIRECTIONS; d++) {
            const struct flow *flow = &c->flows[d];
            int64_t due_us;

            if (flow->first == NULL || flow->blocked || !is_open(c, flow, &proxy.rules[d]))
                continue;
            due_us = flow->first->due_us > flow->next_us ? flow->first->due_us : flow->next_us;
            if (due_us < first_us)
                first_us = due_us;
        }
    if (first_us == INT64_MAX)
        return -1;
    return first_us <= now_us ? 0 : (int)((first_us - now_us + 999) / 1000);
}

/* A descriptor of which nothing is wanted is not polled at all, or its end would be reported again and again. */
static struct pollfd wanted_of(const struct flow *out_of, const struct flow *into)
{
    struct pollfd wanted = {.fd = out_of->from, .events = 0};

    if (!out_of->ended && out_of->held < HELD_MAX)
        wanted.events |= POLLIN;
    if (into->blocked)
        wanted.events |= POLLOUT;
    if (wanted.events == 0)
        wanted.fd = -1;
    return wanted;
}

static struct pollfd *list_wanted(size_t *ret_n)
{
    struct pollfd *list;
    size_t n = 2;

    for (const struct connection *c = proxy.connections; c != NULL; c = c->next)
        n += 2;
    list = calloc(n, sizeof *list);
    if (list == NULL)
        die("out of memory");
    list[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    list[1] = (struct pollfd){.fd = proxy.listener, .events = POLLIN};
    n = 2;
    for (struct connection *c = proxy.connections; c != NULL; c = c->next) {
        c->poll_index = (int)n;
        list[n++] = wanted_of(&c->flows[UP], &c->flows[DOWN]);
        list[n++] = wanted_of(&c->flows[DOWN], &c->flows[UP]);
    }
    *ret_n = n;
    return list;
}

static void serve(const struct pollfd *list)
{
    for (struct connection *c = proxy.connections; c != NULL; c = c->next) {
        for (int d = 0; d < DIRECTIONS && c->ending == LIVES; d++)
            if ((list[c->poll_index + d].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !c->flows[d].ended)
                take_in(c, &c->flows[d], &proxy.rules[d]);
        for (int d = 0; d < DIRECTIONS; d++)
            pass_on(c, (enum direction)d);
    }
}

int main(int argc, char **argv)
{
    bool goes_on = true;

    if (argc != 3)
        die("usage: fault_proxy LISTEN UPSTREAM");
    proxy.listen = parse_address(argv[1]);
    proxy.upstream = parse_address(argv[2]);
    listen_on();
    print_address(&proxy.listen);
    while (goes_on) {
        size_t n;
        struct pollfd *list = list_wanted(&n);

        if (poll(list, n, waiting_time()) < 0 && errno != EINTR)
            die("poll: %s", strerror(errno));
        serve(list);
        if (list[1].revents != 0)
            accept_one();
        if (list[0].revents != 0)
            goes_on = read_commands();
        sweep();
        free(list);
    }
    end_all(CLOSES);
    sweep();
    listen_off();
    return 0;
}
