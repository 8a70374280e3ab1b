/* The stream. Writes and reads at the same time: a server that stops reading because its answers are not
 * collected cannot deadlock us, however long the pipeline is. */
#include "lib/store/redis_internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

enum {
    READ_SIZE = 64 * 1024,
    REPLY_MAX = 640 * 1024 * 1024, /* bytes of one reply; above Redis's own bound for a string */
};

static enum status broken(struct err *err, const char *what)
{
    return err_fail(err, STATUS_UNAVAILABLE, "the connection broke: %s", what);
}

enum status redis_write_some(struct redis *r, struct exchange *x, struct err *err)
{
    while (x->written < x->out_len) {
        ssize_t n = r->transport->write(r->transport, x->out + x->written, x->out_len - x->written);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? STATUS_OK : broken(err, strerror(errno));
        x->written += (size_t)n;
    }
    return STATUS_OK;
}

static enum status parse_replies(struct redis *r, struct exchange *x, struct err *err)
{
    while (x->n_read < x->n) {
        void *reply = NULL;

        if (redisReaderGetReply(r->reader, &reply) != REDIS_OK)
            return broken(err, r->reader->errstr);
        if (reply == NULL)
            return STATUS_OK;
        x->replies[x->n_read++] = reply;
        x->unparsed = 0;
    }
    if (r->reader->pos < r->reader->len)
        return broken(err, "more replies than commands");
    return STATUS_OK;
}

/* Reads once and gives it to the parser. *ret_n: the bytes; 0: nothing has arrived. */
static enum status feed_some(struct redis *r, size_t *ret_n, struct err *err)
{
    char bytes[READ_SIZE];
    ssize_t n;

    *ret_n = 0;
    do
        n = r->transport->read(r->transport, bytes, sizeof bytes);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? STATUS_OK : broken(err, strerror(errno));
    if (n == 0)
        return broken(err, "closed by the server");
    if (redisReaderFeed(r->reader, bytes, (size_t)n) != REDIS_OK)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory for a reply");
    *ret_n = (size_t)n;
    return STATUS_OK;
}

static enum status read_some(struct redis *r, struct exchange *x, struct err *err)
{
    enum status status = STATUS_OK;
    size_t n = READ_SIZE;

    while (status == STATUS_OK && x->n_read < x->n && n == READ_SIZE) {
        status = feed_some(r, &n, err);
        if (status != STATUS_OK || n == 0)
            break;
        x->unparsed += n;
        status = x->unparsed > REPLY_MAX ? broken(err, "a reply is too large") : parse_replies(r, x, err);
    }
    return status;
}

enum status redis_run_exchange(struct redis *r, struct exchange *x, int64_t deadline_ms, struct err *err)
{
    enum status status = redis_write_some(r, x, err);

    while (status == STATUS_OK && x->n_read < x->n) {
        short events = x->written < x->out_len ? POLLIN | POLLOUT : POLLIN;

        status = redis_transport_wait(r->transport->fd, events, deadline_ms, &events);
        if (status != STATUS_OK)
            return err_fail(err, status, "no answer within %lld ms", (long long)r->timeout_ms);
        if (events & (POLLIN | POLLHUP | POLLERR))
            status = read_some(r, x, err);
        if (status == STATUS_OK && (events & POLLOUT))
            status = redis_write_some(r, x, err);
    }
    return status;
}

enum status redis_take_message(struct redis *r, struct redis_reply **ret_reply, struct err *err)
{
    size_t n = 1;

    while (n > 0) {
        void *reply = NULL;
        enum status status;

        if (redisReaderGetReply(r->reader, &reply) != REDIS_OK)
            return broken(err, r->reader->errstr);
        *ret_reply = reply;
        if (reply != NULL)
            break;
        status = feed_some(r, &n, err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}
