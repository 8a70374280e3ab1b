/* One connection: its life, pipelines, and commands.
 *
 * Whatever goes wrong with the stream (a time-out, an end of file, bytes that are no reply, more replies than
 * commands) drops the connection: after it nobody knows which reply belongs to which command. */
#include "lib/store/redis_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"

enum {
    PAUSE_FIRST_MS = 50, /* of a breaker of its own */
    PAUSE_LAST_MS = 1000,
    WORDS_MAX = 32,
};

/* --- life ---------------------------------------------------------------------------------- */

static enum status choose_breaker(struct redis *r, const struct redis_options *options, struct err *err)
{
    struct breaker_options own = {.first_pause_ms = PAUSE_FIRST_MS, .last_pause_ms = PAUSE_LAST_MS};
    enum status status = STATUS_OK;

    if (options->breaker == NULL)
        status = breaker_new(&own, &r->own_breaker, err);
    r->breaker = options->breaker != NULL ? options->breaker : r->own_breaker;
    r->probes = options->probes || options->breaker == NULL;
    return status;
}

enum status redis_new(const struct redis_options *options, struct redis **ret_redis, struct err *err)
{
    struct redis *r = calloc(1, sizeof *r);
    enum status status;

    if (r == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    buf_init(&r->out);
    status = redis_url_parse(options->url, &r->url, err);
    if (status == STATUS_OK && r->url.tls)
        status = redis_tls_new(options->tls_ca != NULL ? options->tls_ca : "", &r->tls, err);
    if (status == STATUS_OK)
        status = choose_breaker(r, options, err);
    if (status != STATUS_OK) {
        redis_free(&r);
        return status;
    }
    redis_url_describe(&r->url, r->where, sizeof r->where);
    (void)snprintf(r->client_name, sizeof r->client_name, "%s", options->client_name);
    r->timeout_ms = options->timeout_ms;
    *ret_redis = r;
    return STATUS_OK;
}

void redis_free_replies(struct redis *r)
{
    r->n_replies = 0;
    /* Part of a message may have been read already: what there is of it stays. */
    if (r->reader == NULL || r->reader->ridx < 0)
        reply_arena_clear(&r->arena);
}

void redis_disconnect(struct redis *r)
{
    if (r->transport != NULL)
        r->transport->close(r->transport);
    r->transport = NULL;
    if (r->reader != NULL)
        redisReaderFree(r->reader);
    r->reader = NULL;
    redis_free_replies(r);
    r->instance[0] = '\0';
    r->has_replicas = false;
    r->role_in_doubt = false;
}

void redis_free(struct redis **redis)
{
    struct redis *r = *redis;

    if (r == NULL)
        return;
    redis_disconnect(r);
    breaker_free(&r->own_breaker);
    redis_tls_free(&r->tls);
    buf_release(&r->out);
    free(r->replies);
    reply_arena_release(&r->arena);
    explicit_bzero(r->url.password, sizeof r->url.password);
    free(r);
    *redis = NULL;
}

bool redis_is_connected(const struct redis *r)
{
    return r->transport != NULL;
}

int redis_socket(const struct redis *r)
{
    return r->transport != NULL ? r->transport->fd : -1;
}

const char *redis_instance(const struct redis *r)
{
    return r->instance;
}

bool redis_has_replicas(const struct redis *r)
{
    return r->has_replicas;
}

int64_t redis_timeout_ms(const struct redis *r)
{
    return r->timeout_ms;
}

/* --- appending ----------------------------------------------------------------------------- */

/* RESP: "*<words>", then "$<length>" and its bytes for each, every line ended by CRLF. By hand, because hiredis's
 * formatter prints each number with printf into memory of its own. */
static void append_count(struct buf *out, char kind, size_t n)
{
    char line[24], *end = line + sizeof line, *at = end - 2;

    memcpy(at, "\r\n", 2);
    do
        *--at = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    *--at = kind;
    buf_append(out, at, (size_t)(end - at));
}

void redis_format(struct buf *out, size_t argc, const char *const *argv, const size_t *lengths)
{
    append_count(out, '*', argc);
    for (size_t i = 0; i < argc; i++) {
        size_t len = lengths != NULL ? lengths[i] : strlen(argv[i]);

        append_count(out, '$', len);
        buf_append(out, argv[i], len);
        buf_append(out, "\r\n", 2);
    }
}

void redis_append(struct redis *r, size_t argc, const char *const *argv, const size_t *lengths)
{
    redis_format(&r->out, argc, argv, lengths);
    r->n_appended++;
}

static void append_list(struct redis *r, va_list words)
{
    const char *argv[WORDS_MAX];
    size_t argc = 0;

    for (const char *word = va_arg(words, const char *); word != NULL; word = va_arg(words, const char *)) {
        assert(argc < WORDS_MAX);
        argv[argc++] = word;
    }
    redis_append(r, argc, argv, NULL);
}

void redis_append_words(struct redis *r, ...)
{
    va_list words;

    va_start(words, r);
    append_list(r, words);
    va_end(words);
}

size_t redis_appended(const struct redis *r)
{
    return r->n_appended;
}

/* --- flushing ------------------------------------------------------------------------------ */

bool redis_reserve_replies(struct redis *r, size_t n)
{
    struct redis_reply **grown;

    if (n <= r->cap_replies)
        return true;
    grown = realloc(r->replies, n * sizeof *grown);
    if (grown == NULL)
        return false;
    r->replies = grown;
    r->cap_replies = n;
    return true;
}

static void note_error_replies(struct redis *r)
{
    for (size_t i = 0; i < r->n_replies; i++) {
        enum redis_error_class error_class = redis_reply_error_class(redis_reply_at(r, i));

        if (error_class == REDIS_ERROR_REDISCOVER || error_class == REDIS_ERROR_RECONNECT)
            r->role_in_doubt = true;
    }
}

/* Connects if needed, sends and collects. *ret_broke: the connection ended, or its bytes were no replies. */
static enum status exchange_appended(struct redis *r, int64_t deadline_ms, bool *ret_broke, struct err *why)
{
    struct exchange x = {.out = r->out.data, .out_len = r->out.len, .replies = r->replies, .n = r->n_appended};
    enum status status;

    *ret_broke = false;
    status = redis_connect_by(r, deadline_ms, why);
    if (status != STATUS_OK)
        return status;
    assert(r->transport != NULL);
    status = redis_run_exchange(r, &x, deadline_ms, why);
    r->n_replies = x.n_read;
    if (status != STATUS_OK) {
        *ret_broke = status == STATUS_UNAVAILABLE;
        redis_disconnect(r);
        err_prefix(why, "Redis at %s", r->where);
        if (status == STATUS_TIMEOUT)
            redis_report_failure(r, status, why->text);
        return status;
    }
    r->used_at_ms = clock_monotonic_ms();
    note_error_replies(r);
    return STATUS_OK;
}

static enum status exchange_or_repeat(struct redis *r, bool repeatable, struct err *err)
{
    int64_t deadline_ms = clock_monotonic_ms() + r->timeout_ms;
    struct err why = {0};
    bool broke;
    enum status status = exchange_appended(r, deadline_ms, &broke, &why);

    if (broke && repeatable) {
        status = exchange_appended(r, deadline_ms, &broke, &why);
        if (broke) /* it lets us in and then fails us: not a server to rely on */
            redis_report_failure(r, status, why.text);
    }
    return status == STATUS_OK ? STATUS_OK : err_fail(err, status, "%s", why.text);
}

static enum status flush(struct redis *r, bool repeatable, struct err *err)
{
    enum status status;

    redis_free_replies(r);
    if (buf_status(&r->out) != STATUS_OK || !redis_reserve_replies(r, r->n_appended))
        status = err_fail(err, STATUS_NO_MEMORY, "out of memory for commands to Redis");
    else if (r->n_appended == 0)
        status = STATUS_OK;
    else
        status = exchange_or_repeat(r, repeatable, err);
    buf_clear(&r->out);
    r->n_appended = 0;
    return status;
}

enum status redis_flush(struct redis *r, struct err *err)
{
    return flush(r, false, err);
}

enum status redis_flush_repeatable(struct redis *r, struct err *err)
{
    return flush(r, true, err);
}

enum status redis_command(struct redis *r, const struct redis_reply **ret_reply, struct err *err, ...)
{
    size_t i = r->n_appended;
    enum status status;
    va_list words;

    va_start(words, err);
    append_list(r, words);
    va_end(words);
    status = redis_flush(r, err);
    if (status == STATUS_OK)
        status = redis_reply_status(redis_reply_at(r, i), err);
    if (status == STATUS_OK)
        *ret_reply = redis_reply_at(r, i);
    return status;
}
