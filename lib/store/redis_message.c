/* Messages, for a connection that subscribes: they come unasked, so sending and receiving are two things. */
#include "lib/store/redis_internal.h"

#include <poll.h>

#include "lib/base/clock.h"

static enum status lose(struct redis *r, enum status status, const struct err *why, struct err *err)
{
    redis_disconnect(r);
    return err_fail(err, status, "Redis at %s: %s", r->where, why->text);
}

enum status redis_send(struct redis *r, struct err *err)
{
    int64_t deadline_ms = clock_monotonic_ms() + r->timeout_ms;
    struct exchange x = {.out = r->out.data, .out_len = r->out.len};
    enum status status = buf_status(&r->out);
    struct err why = {0};

    if (status == STATUS_OK)
        status = redis_connect(r, &why);
    while (status == STATUS_OK && x.written < x.out_len) {
        short events;

        status = redis_transport_wait(r->transport->fd, POLLOUT, deadline_ms, &events);
        if (status == STATUS_OK)
            status = redis_write_some(r, &x, &why);
    }
    buf_clear(&r->out);
    r->n_appended = 0;
    return status == STATUS_OK ? STATUS_OK : lose(r, status, &why, err);
}

enum status redis_receive(struct redis *r, int64_t deadline_ms, const struct redis_reply **ret_reply, struct err *err)
{
    struct err why = {0};

    redis_free_replies(r);
    if (r->transport == NULL)
        return err_fail(err, STATUS_UNAVAILABLE, "not connected");
    if (!redis_reserve_replies(r, 1))
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    for (;;) {
        struct redis_reply *message = NULL;
        enum status status = redis_take_message(r, &message, &why);
        short events;

        if (status == STATUS_OK && message != NULL) {
            r->replies[r->n_replies++] = message;
            *ret_reply = redis_reply_at(r, 0);
            return STATUS_OK;
        }
        if (status == STATUS_OK) {
            status = redis_transport_wait(r->transport->fd, POLLIN, deadline_ms, &events);
            if (status == STATUS_TIMEOUT)
                return err_fail(err, status, "no message");
        }
        if (status != STATUS_OK)
            return lose(r, status, &why, err);
    }
}
