#include "lib/store/redis_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

struct redis_tls {
    SSL_CTX *context;
};

struct tls_transport {
    struct redis_transport base; /* first: it is what the connection sees */
    struct redis_transport *plain;
    SSL *ssl;
};

static enum status fail_openssl(struct err *err, enum status status, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);

    status = err_fail(err, status, "%s: %s", what, reason != NULL ? reason : "no reason given");
    ERR_clear_error();
    return status;
}

/* --- whom to trust ---------------------------------------------------------------------------- */

enum status redis_tls_new(const char *ca_file, struct redis_tls **ret_tls, struct err *err)
{
    struct redis_tls *tls = calloc(1, sizeof *tls);
    enum status status = STATUS_OK;

    if (tls == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    tls->context = SSL_CTX_new(TLS_client_method());
    if (tls->context == NULL || SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) != 1)
        status = fail_openssl(err, STATUS_INTERNAL, "TLS");
    else if (ca_file[0] == '\0' ? SSL_CTX_set_default_verify_paths(tls->context) != 1
                                : SSL_CTX_load_verify_file(tls->context, ca_file) != 1)
        status = fail_openssl(err, STATUS_INVALID, ca_file[0] == '\0' ? "the system's certificates" : ca_file);
    if (status != STATUS_OK) {
        redis_tls_free(&tls);
        return status;
    }
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    *ret_tls = tls;
    return STATUS_OK;
}

void redis_tls_free(struct redis_tls **tls)
{
    if (*tls == NULL)
        return;
    SSL_CTX_free((*tls)->context);
    free(*tls);
    *tls = NULL;
}

/* --- the stream ------------------------------------------------------------------------------- */

/* read(2)'s way of saying what SSL_read() or SSL_write() said. */
static ssize_t as_errno(SSL *ssl, int result)
{
    int error = SSL_get_error(ssl, result);

    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        errno = EAGAIN;
    else if (error != SSL_ERROR_SYSCALL || errno == 0)
        errno = EPROTO;
    ERR_clear_error();
    return -1;
}

/* As much as fits: less than `size` means that nothing more lies in OpenSSL's own buffers, where poll() does not see it. */
static ssize_t tls_read(struct redis_transport *transport, void *bytes, size_t size)
{
    struct tls_transport *t = (struct tls_transport *)transport;
    size_t total = 0, got;

    while (total < size) {
        int result;

        errno = 0;
        result = SSL_read_ex(t->ssl, (char *)bytes + total, size - total, &got);
        if (result != 1)
            return total > 0 ? (ssize_t)total : as_errno(t->ssl, result);
        total += got;
    }
    return (ssize_t)total;
}

static ssize_t tls_write(struct redis_transport *transport, const void *bytes, size_t len)
{
    struct tls_transport *t = (struct tls_transport *)transport;
    size_t written;
    int result;

    errno = 0;
    result = SSL_write_ex(t->ssl, bytes, len, &written);
    return result == 1 ? (ssize_t)written : as_errno(t->ssl, result);
}

/* A farewell if it can be said at once: nobody waits for the peer's. */
static void tls_close(struct redis_transport *transport)
{
    struct tls_transport *t = (struct tls_transport *)transport;

    (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
    SSL_free(t->ssl);
    t->plain->close(t->plain);
    free(t);
}

/* --- the handshake ---------------------------------------------------------------------------- */

/* The certificate must be for this name or address; a name is also announced, for servers with several. */
static bool expect_host(SSL *ssl, const char *host)
{
    unsigned char address[16];
    char name[256]; /* a macro of OpenSSL wants it writable */

    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set1_host(ssl, host) == 1 && snprintf(name, sizeof name, "%s", host) < (int)sizeof name &&
           SSL_set_tlsext_host_name(ssl, name) == 1;
}

static enum status explain_handshake(SSL *ssl, struct err *err)
{
    long verdict = SSL_get_verify_result(ssl);

    if (verdict != X509_V_OK) {
        ERR_clear_error();
        return err_fail(err, STATUS_UNAVAILABLE, "its certificate is not trusted: %s",
                        X509_verify_cert_error_string(verdict));
    }
    return fail_openssl(err, STATUS_UNAVAILABLE, "no TLS with it");
}

static enum status shake_hands(SSL *ssl, int fd, int64_t deadline_ms, struct err *err)
{
    for (;;) {
        int result = SSL_connect(ssl), error = SSL_get_error(ssl, result);
        short events = error == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;
        enum status status;

        if (result == 1)
            return STATUS_OK;
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
            return explain_handshake(ssl, err);
        status = redis_transport_wait(fd, events, deadline_ms, &events);
        if (status != STATUS_OK)
            return err_fail(err, status, "the TLS handshake took too long");
    }
}

enum status redis_tls_wrap(const struct redis_tls *tls, const char *host, int64_t deadline_ms,
                           struct redis_transport **transport, struct err *err)
{
    struct tls_transport *t = calloc(1, sizeof *t);
    SSL *ssl = t != NULL ? SSL_new(tls->context) : NULL;
    enum status status;

    if (ssl == NULL) {
        free(t);
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    }
    if (SSL_set_fd(ssl, (*transport)->fd) != 1 || !expect_host(ssl, host))
        status = fail_openssl(err, STATUS_INTERNAL, "TLS");
    else
        status = shake_hands(ssl, (*transport)->fd, deadline_ms, err);
    if (status != STATUS_OK) {
        SSL_free(ssl);
        free(t);
        return status;
    }
    *t = (struct tls_transport){{(*transport)->fd, tls_read, tls_write, tls_close}, *transport, ssl};
    *transport = &t->base;
    return STATUS_OK;
}
