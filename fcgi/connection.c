#include "fcgi/connection.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fcgi/request_reader.h"

#define MAX_VECTORS 64
#define FLAT_MAX 4096 /* bytes of an answer that are copied together: for the kernel, four pieces are dearer */
#define TAIL_SIZE (RECORD_HEADER_SIZE + RECORD_END_SIZE)
#define HEAVY_SPOOL 16384 /* bytes; a usual request has about 1,000 */

void connection_init(struct connection *c, int fd, int64_t now_ms)
{
    *c = (struct connection){.fd = fd, .state = CONNECTION_READING, .since_ms = now_ms};
    record_screen_reset(&c->screen);
    buf_init(&c->spool);
    buf_init(&c->out);
}

void connection_release(struct connection *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    buf_release(&c->spool);
    buf_release(&c->out);
}

bool connection_is_idle(const struct connection *c)
{
    return c->state == CONNECTION_READING && !c->partial && c->spool.len == 0;
}

bool connection_is_heavy(const struct connection *c)
{
    return c->spool.len > HEAVY_SPOOL;
}

/* --- taking ----------------------------------------------------------------------------------- */

static void spool_remove(struct connection *c, size_t start, size_t len)
{
    memmove(c->spool.data + start, c->spool.data + start + len, c->spool.len - start - len);
    c->spool.len -= len;
}

/* From now on what arrives is collected: it is not one plain request in one piece. */
static void start_spooling(struct connection *c)
{
    c->spooling = c->partial = true;
    record_screen_reset(&c->screen);
}

static void stop_spooling_if_empty(struct connection *c)
{
    if (!c->spooling || c->spool.len > 0 || !c->drained || c->screen.state != SCREEN_BEGIN)
        return;
    buf_release(&c->spool);
    c->spooling = c->partial = false;
}

/* Reads one piece. False: it is over. */
static bool fill_spool(struct connection *c, unsigned char *scratch)
{
    ssize_t n = recv(c->fd, scratch, CONNECTION_SCRATCH, 0);
    c->drained = n < CONNECTION_SCRATCH;
    if (n > 0) {
        buf_append(&c->spool, scratch, (size_t)n);
        return buf_status(&c->spool) == STATUS_OK;
    }
    if (n == 0)
        c->hung_up = true;
    else if (errno != EAGAIN && errno != EINTR)
        return false;
    return true;
}

/* A request over the limits is only counted through to its end, so that its sender gets to read the answer. */
static enum intake wait_for_more(struct connection *c, const struct record_limits *limits)
{
    if (c->screen.params_len > limits->max_params || c->screen.body_len > limits->max_body) {
        spool_remove(c, 0, c->screen.offset);
        c->screen.offset = 0;
    } else if (c->spool.len > 4 * (limits->max_params + limits->max_body) + 4 * CONNECTION_SCRATCH) {
        return INTAKE_CLOSE; /* next to nothing in very many records */
    }
    stop_spooling_if_empty(c);
    return c->hung_up ? INTAKE_CLOSE : INTAKE_WAIT;
}

static void begin_request(struct connection *c, uint16_t id, bool keep)
{
    c->request_id = id;
    c->keep = keep;
    c->state = CONNECTION_BUSY;
}

static enum intake begin_screened(struct connection *c, enum intake intake)
{
    begin_request(c, c->screen.id, c->screen.keep);
    c->partial = false;
    record_screen_reset(&c->screen);
    return intake;
}

static bool send_reply(struct connection *c)
{
    buf_append(&c->out, c->screen.reply, c->screen.reply_len);
    return connection_flush(c);
}

/* Judges the spool. *ret_done is false when there is more to judge. */
static enum intake take_spooled(struct connection *c, const struct record_limits *limits, struct exchange *x,
                                bool *ret_done, struct err *err)
{
    enum record_verdict verdict = record_screen(&c->screen, (const unsigned char *)c->spool.data, c->spool.len, limits);
    size_t offset = c->screen.offset;

    *ret_done = true;
    switch (verdict) {
    case RECORD_PARTIAL: *ret_done = c->drained; return c->drained ? wait_for_more(c, limits) : INTAKE_WAIT;
    case RECORD_REQUEST:
        c->look_again = true;
        if (request_read_bytes(c->spool.data, record_strip_padding((unsigned char *)c->spool.data, offset),
                               c->screen.body_len, &x->request, err) != STATUS_OK)
            return INTAKE_CLOSE;
        spool_remove(c, 0, offset);
        return begin_screened(c, INTAKE_REQUEST);
    case RECORD_PARAMS_TOO_LARGE:
    case RECORD_BODY_TOO_LARGE:
        c->look_again = true;
        spool_remove(c, 0, offset);
        return begin_screened(c, verdict == RECORD_BODY_TOO_LARGE ? INTAKE_BODY_TOO_LARGE : INTAKE_PARAMS_TOO_LARGE);
    case RECORD_EXTRACT:
        spool_remove(c, offset, c->screen.extract_len);
        *ret_done = false;
        if (!send_reply(c) || c->screen.close)
            return INTAKE_CLOSE;
        return INTAKE_WAIT;
    case RECORD_ABORTED:
        spool_remove(c, 0, offset);
        *ret_done = false;
        if (!send_reply(c) || !c->screen.keep)
            return INTAKE_CLOSE;
        record_screen_reset(&c->screen);
        return INTAKE_WAIT;
    case RECORD_CLOSE: break;
    }
    return INTAKE_CLOSE;
}

/* The usual case: exactly one whole request without a body came in one piece, and is parsed where it lies. Everything
 * else goes through the spool. */
static enum intake take_direct(struct connection *c, unsigned char *scratch, const struct record_limits *limits,
                               struct known_requests *known, struct exchange *x, struct exchange **ret_known,
                               bool *ret_done)
{
    ssize_t n = recv(c->fd, scratch, CONNECTION_SCRATCH, 0);

    *ret_done = true;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? INTAKE_WAIT : INTAKE_CLOSE;
    if (n == 0)
        return INTAKE_CLOSE;
    struct record_plain plain;
    if (record_plain_open(scratch, (size_t)n, &plain)) {
        *ret_known = known_requests_take(known, plain.params);
        if (*ret_known || request_read_plain(&plain, limits, &x->request)) {
            c->look_again = n == CONNECTION_SCRATCH;
            begin_request(c, plain.id, plain.keep);
            return *ret_known ? INTAKE_KNOWN : INTAKE_REQUEST;
        }
    }
    start_spooling(c);
    buf_append(&c->spool, scratch, (size_t)n);
    if (buf_status(&c->spool) != STATUS_OK)
        return INTAKE_CLOSE; /* what was read is lost */
    *ret_done = false;
    return INTAKE_WAIT;
}

enum intake connection_take(struct connection *c, unsigned char *scratch, const struct record_limits *limits,
                            struct known_requests *known, struct exchange *x, struct exchange **ret_known,
                            struct err *err)
{
    enum intake intake;
    bool done = false;

    assert(c->state == CONNECTION_READING);
    err->text[0] = '\0';
    do {
        if (!c->spooling) {
            intake = take_direct(c, scratch, limits, known, x, ret_known, &done);
        } else {
            if (!fill_spool(c, scratch))
                return INTAKE_CLOSE;
            intake = take_spooled(c, limits, x, &done, err);
        }
    } while (!done && intake == INTAKE_WAIT && connection_is_flushed(c));
    if (intake == INTAKE_WAIT && !connection_is_flushed(c))
        c->state = CONNECTION_WRITING; /* a reply to a management record */
    return intake;
}

/* --- answering -------------------------------------------------------------------------------- */

/* Records of one answer, gathered for one system call. */
struct frames {
    struct iovec vectors[MAX_VECTORS];
    unsigned char headers[MAX_VECTORS / 2][RECORD_HEADER_SIZE];
    unsigned char tail[TAIL_SIZE];
    int n_vectors, n_headers;
    size_t len; /* of all of them */
};

/* What comes behind the last byte of an answer. */
static void write_tail(unsigned char tail[TAIL_SIZE], uint16_t id)
{
    record_stdout_header(tail, id, 0, 0);
    record_end(tail + RECORD_HEADER_SIZE, id);
}

static void add_vector(struct frames *f, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    f->vectors[f->n_vectors].iov_base = (void *)(uintptr_t)bytes;
    f->vectors[f->n_vectors].iov_len = len;
    f->n_vectors++;
    f->len += len;
}

static void add_record_header(struct frames *f, uint16_t id, size_t content_len)
{
    unsigned char *header = f->headers[f->n_headers++];
    record_stdout_header(header, id, content_len, 0);
    add_vector(f, header, RECORD_HEADER_SIZE);
}

/* The next records; *position counts bytes of head and body together, and goes one beyond them when the trailer is in. */
static void gather(struct frames *f, uint16_t id, const struct response *r, size_t *position)
{
    size_t total = r->head.len + r->body_len;

    f->n_vectors = f->n_headers = 0;
    f->len = 0;
    while (*position < total && f->n_vectors + 4 <= MAX_VECTORS) {
        size_t len = total - *position < RECORD_MAX_CONTENT ? total - *position : RECORD_MAX_CONTENT;
        size_t in_head = *position < r->head.len ? r->head.len - *position : 0;
        if (in_head > len)
            in_head = len;
        add_record_header(f, id, len);
        add_vector(f, r->head.data + *position, in_head);
        if (len > in_head)
            add_vector(f, r->body + (*position + in_head - r->head.len), len - in_head);
        *position += len;
    }
    if (*position == total && f->n_vectors < MAX_VECTORS) {
        write_tail(f->tail, id);
        add_vector(f, f->tail, sizeof(f->tail));
        *position = total + 1;
    }
}

static bool is_full(void)
{
    return errno == EAGAIN || errno == EINTR || errno == ENOBUFS;
}

/* Copies what lies behind the first `sent` bytes. */
static void keep_rest(struct connection *c, const struct frames *f, size_t sent)
{
    for (int i = 0; i < f->n_vectors; i++) {
        size_t len = f->vectors[i].iov_len, skip = sent < len ? sent : len;
        buf_append(&c->out, (const char *)f->vectors[i].iov_base + skip, len - skip);
        sent -= skip;
    }
}

static ssize_t send_gathered(int fd, struct frames *f)
{
    struct msghdr message = {.msg_iov = f->vectors, .msg_iovlen = (size_t)f->n_vectors};

    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static bool send_frames(struct connection *c, struct frames *f)
{
    ssize_t sent = 0;

    if (connection_is_flushed(c)) {
        sent = send_gathered(c->fd, f);
        if (sent < 0 && !is_full())
            return false;
    }
    keep_rest(c, f, sent > 0 ? (size_t)sent : 0);
    return buf_status(&c->out) == STATUS_OK;
}

/* A small answer, one record and its tail, while nothing waits to be sent. */
static bool send_flat(struct connection *c, const struct response *r)
{
    unsigned char bytes[FLAT_MAX], *at = bytes + RECORD_HEADER_SIZE;
    ssize_t sent;

    record_stdout_header(bytes, c->request_id, r->head.len + r->body_len, 0);
    memcpy(at, r->head.data, r->head.len);
    at += r->head.len;
    if (r->body_len > 0)
        memcpy(at, r->body, r->body_len);
    at += r->body_len;
    write_tail(at, c->request_id);
    at += TAIL_SIZE;
    sent = send(c->fd, bytes, (size_t)(at - bytes), MSG_NOSIGNAL);
    if (sent < 0 && !is_full())
        return false;
    if (sent < 0)
        sent = 0;
    buf_append(&c->out, bytes + sent, (size_t)(at - bytes - sent));
    return buf_status(&c->out) == STATUS_OK;
}

static bool send_in_frames(struct connection *c, const struct response *r)
{
    struct frames frames;
    size_t position = 0;

    while (position <= r->head.len + r->body_len) {
        gather(&frames, c->request_id, r, &position);
        if (!send_frames(c, &frames))
            return false;
    }
    return true;
}

bool connection_answer(struct connection *c, const struct response *r)
{
    bool small = r->body_len < FLAT_MAX && RECORD_HEADER_SIZE + r->head.len + r->body_len + TAIL_SIZE <= FLAT_MAX;

    if (buf_status(&r->head) != STATUS_OK || buf_status(&r->storage) != STATUS_OK)
        return false;
    if (!(small && connection_is_flushed(c) ? send_flat(c, r) : send_in_frames(c, r)))
        return false;
    c->served = true;
    c->state = connection_is_flushed(c) ? CONNECTION_READING : CONNECTION_WRITING;
    return true;
}

bool connection_flush(struct connection *c)
{
    while (!connection_is_flushed(c)) {
        ssize_t sent = send(c->fd, c->out.data + c->out_sent, c->out.len - c->out_sent, MSG_NOSIGNAL);
        if (sent < 0)
            return is_full();
        c->out_sent += (size_t)sent;
    }
    c->out_sent = 0;
    if (c->out.cap > CONNECTION_SCRATCH)
        buf_release(&c->out);
    else
        buf_clear(&c->out);
    return buf_status(&c->out) == STATUS_OK;
}
