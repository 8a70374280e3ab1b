/* libfcgi takes requests from a descriptor that it accepted itself, and blocks on it. We lend it a file in memory that
 * holds one whole request, so it never waits and never meets a connection, by setting members that its header declares but calls private; their presence and
 * order are checked below, and a test covers it. The listening socket is -1, so that it cannot accept by itself on
 * malformed input. Answers are framed by us, so nothing is ever written through it. */
#include "fcgi/request_reader.h"

#include <errno.h>
#include <fcgiapp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fcgi/record.h"

_Static_assert(offsetof(FCGX_Request, ipcFd) > offsetof(FCGX_Request, paramsPtr) &&
                   offsetof(FCGX_Request, keepConnection) > offsetof(FCGX_Request, ipcFd) &&
                   offsetof(FCGX_Request, detached) > offsetof(FCGX_Request, listen_sock),
               "this libfcgi keeps its connection elsewhere");

enum status request_reader_init(struct err *err)
{
    return FCGX_Init() == 0 ? STATUS_OK : err_fail(err, STATUS_INTERNAL, "libfcgi cannot be initialised");
}

static enum status read_body(FCGX_Request *fcgx, size_t body_len, struct request *r, struct err *err)
{
    if (!buf_reserve(&r->body, body_len + 1))
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    /* One byte more than there can be: only then does libfcgi read the empty record that ends the stream. */
    int got = FCGX_GetStr(r->body.data, (int)body_len + 1, fcgx->in);
    if (got < 0 || FCGX_GetError(fcgx->in) != 0 || (size_t)got != body_len)
        return err_fail(err, STATUS_INVALID, "the request's body is damaged");
    r->body.data[got] = '\0';
    r->body.len = (size_t)got;
    return STATUS_OK;
}

static enum status read_file(int *fd, size_t body_len, struct request *r, struct err *err)
{
    FCGX_Request fcgx;

    FCGX_InitRequest(&fcgx, -1, 0);
    fcgx.ipcFd = *fd;
    fcgx.keepConnection = 1; /* else libfcgi closes it */
    fcgx.detached = 1;       /* if it closes it after all, then at once */
    if (FCGX_Accept_r(&fcgx) != 0) {
        *fd = -1;
        return err_fail(err, STATUS_INVALID, "libfcgi refused the request");
    }
    for (char **p = fcgx.envp; *p; p++) {
        const char *equals = strchr(*p, '=');
        if (equals)
            request_add_param(r, *p, (size_t)(equals - *p), equals + 1, strlen(equals + 1));
    }
    enum status status = read_body(&fcgx, body_len, r, err);
    FCGX_Free(&fcgx, 0);
    if (status != STATUS_OK) {
        close(*fd);
        *fd = -1;
    }
    return status;
}

bool request_read_plain(const struct record_plain *plain, const struct record_limits *limits, struct request *r)
{
    if ((size_t)(plain->params.end - plain->params.at) > limits->max_params)
        return false;
    if (request_add_params(r, plain->params))
        return true;
    request_clear(r);
    return false;
}

enum status request_read_bytes(const void *bytes, size_t len, size_t body_len, struct request *r, struct err *err)
{
    int fd = memfd_create("request", MFD_CLOEXEC);
    enum status status;

    if (fd < 0)
        return err_fail(err, STATUS_UNAVAILABLE, "no descriptor for a large request: %s", strerror(errno));
    if (write(fd, bytes, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) != 0)
        status = err_fail(err, STATUS_UNAVAILABLE, "no memory for a large request: %s", strerror(errno));
    else
        status = read_file(&fd, body_len, r, err);
    r->holds_nul = r->holds_nul || record_params_hold_nul(bytes, len);
    if (fd >= 0)
        close(fd);
    return status;
}
