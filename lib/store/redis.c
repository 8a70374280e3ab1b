/* One connection: set-up, pipelines, replies.
 *
 * A flush writes and reads at the same time: a server that stops reading because its answers are not
 * collected cannot deadlock us, however long the pipeline is. Whatever goes wrong with the stream (a
 * time-out, an end of file, bytes that are no reply, more replies than commands) drops the connection:
 * after it nobody knows which reply belongs to which command.
 *
 * Two states: connected (`transport` set) and not. Failing to connect, a time-out, and a connection that
 * broke twice in a row open the breaker; one that merely ended is rebuilt at once. */
#include "lib/store/redis.h"

#include <assert.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/store/redis_tls.h"
#include "lib/store/redis_url.h"

enum {
    PAUSE_FIRST_MS = 50, /* of a breaker of its own */
    PAUSE_LAST_MS = 1000,
    PROBE_IDLE_MS = 1000, /* an idler connection is looked at before it is used */
    READ_SIZE = 64 * 1024,
    REPLY_MAX = 640 * 1024 * 1024, /* bytes of one reply; above Redis's own bound for a string */
    WORDS_MAX = 32,
};

struct redis {
    struct redis_url url;
    char where[300]; /* for messages */
    char client_name[64];
    int64_t timeout_ms;

    struct redis_tls *tls;             /* NULL: plain */
    struct redis_transport *transport; /* NULL: not connected */
    redisReader *reader;
    char instance[REDIS_INSTANCE_SIZE];
    bool has_replicas;
    bool role_in_doubt; /* a reply said READONLY, LOADING or the like: connect anew */
    int64_t used_at_ms;

    struct buf out;
    size_t n_appended;
    redisReply **replies;
    size_t n_replies, cap_replies;

    struct breaker *breaker, *own_breaker; /* own_breaker: NULL when it is shared */
    bool probes;
    uint64_t silences; /* of the breaker when this connection was begun */
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

static void free_replies(struct redis *r)
{
    for (size_t i = 0; i < r->n_replies; i++)
        freeReplyObject(r->replies[i]);
    r->n_replies = 0;
}

void redis_disconnect(struct redis *r)
{
    free_replies(r);
    if (r->transport != NULL)
        r->transport->close(r->transport);
    r->transport = NULL;
    if (r->reader != NULL)
        redisReaderFree(r->reader);
    r->reader = NULL;
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

/* --- commands ------------------------------------------------------------------------------ */

/* RESP: "*<words>", then "$<length>" and its bytes for each, every line ended by CRLF. By hand, because hiredis's
 * formatter prints each number with printf into memory of its own. */
static void append_count(struct buf *out, char kind, size_t n)
{
    buf_append_char(out, kind);
    buf_append_int(out, (int64_t)n);
    buf_append(out, "\r\n", 2);
}

static void append_command(struct buf *out, size_t argc, const char *const *argv, const size_t *lengths)
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
    append_command(&r->out, argc, argv, lengths);
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

/* --- the stream ---------------------------------------------------------------------------- */

struct exchange {
    const char *out;
    size_t out_len, written;
    redisReply **replies;
    size_t n, n_read;
    size_t unparsed; /* bytes since the last whole reply */
};

static enum status broken(struct err *err, const char *what)
{
    return err_fail(err, STATUS_UNAVAILABLE, "the connection broke: %s", what);
}

static enum status write_some(struct redis *r, struct exchange *x, struct err *err)
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

/* Sends `out` and collects the x->n replies. After a failure the stream is in an unknown state. */
static enum status run_exchange(struct redis *r, struct exchange *x, int64_t deadline_ms, struct err *err)
{
    enum status status = write_some(r, x, err);

    while (status == STATUS_OK && x->n_read < x->n) {
        short events = x->written < x->out_len ? POLLIN | POLLOUT : POLLIN;

        status = redis_transport_wait(r->transport->fd, events, deadline_ms, &events);
        if (status != STATUS_OK)
            return err_fail(err, status, "no answer within %lld ms", (long long)r->timeout_ms);
        if (events & (POLLIN | POLLHUP | POLLERR))
            status = read_some(r, x, err);
        if (status == STATUS_OK && (events & POLLOUT))
            status = write_some(r, x, err);
    }
    return status;
}

/* --- set-up -------------------------------------------------------------------------------- */

enum { SETUP_AUTH, SETUP_SELECT, SETUP_NAME, SETUP_LOADING, SETUP_INFO, SETUP_STEPS };

/* The value of "name:" in a reply of INFO, up to the end of its line. */
static bool info_value(const char *info, const char *name, char *value, size_t size)
{
    const char *line = strstr(info, name);
    size_t len;

    if (line == NULL || (line != info && line[-1] != '\n'))
        return false;
    line += strlen(name);
    len = strcspn(line, "\r\n");
    if (len >= size)
        return false;
    memcpy(value, line, len);
    value[len] = '\0';
    return true;
}

/* Takes role, instance and replicas from INFO replication. */
static enum status read_role(struct redis *r, const redisReply *reply, struct err *err)
{
    char role[16], instance[REDIS_INSTANCE_SIZE], replicas[16];

    if (reply->type == REDIS_REPLY_ERROR)
        return err_fail(err, STATUS_UNAVAILABLE, "INFO replication: %s", reply->str);
    if (reply->type != REDIS_REPLY_STRING || !info_value(reply->str, "role:", role, sizeof role) ||
        !info_value(reply->str, "master_replid:", instance, sizeof instance) ||
        strlen(instance) != REDIS_INSTANCE_SIZE - 1 ||
        !info_value(reply->str, "connected_slaves:", replicas, sizeof replicas))
        return err_fail(err, STATUS_UNAVAILABLE,
                        "INFO replication names no role and master_replid: not a Redis server?");
    if (strcmp(role, "master") != 0)
        return err_fail(err, STATUS_UNAVAILABLE, "the server is a %s, not the master", role);
    memcpy(r->instance, instance, sizeof r->instance);
    r->has_replicas = strcmp(replicas, "0") != 0;
    return STATUS_OK;
}

static size_t append_setup(const struct redis *r, struct buf *out, int steps[SETUP_STEPS])
{
    char database[24];
    const char *auth[3] = {"AUTH", r->url.user, r->url.password};
    const char *old_auth[2] = {"AUTH", r->url.password};
    size_t n = 0;

    if (r->url.password[0] != '\0') {
        if (r->url.user[0] != '\0')
            append_command(out, 3, auth, NULL);
        else
            append_command(out, 2, old_auth, NULL);
        steps[n++] = SETUP_AUTH;
    }
    if (r->url.database != 0) {
        (void)snprintf(database, sizeof database, "%lld", (long long)r->url.database);
        append_command(out, 2, (const char *const[]){"SELECT", database}, NULL);
        steps[n++] = SETUP_SELECT;
    }
    if (r->client_name[0] != '\0') {
        append_command(out, 3, (const char *const[]){"CLIENT", "SETNAME", r->client_name}, NULL);
        steps[n++] = SETUP_NAME;
    }
    append_command(out, 2, (const char *const[]){"INFO", "persistence"}, NULL);
    steps[n++] = SETUP_LOADING;
    append_command(out, 2, (const char *const[]){"INFO", "replication"}, NULL);
    steps[n++] = SETUP_INFO;
    return n;
}

/* INFO is answered while everything else still gets LOADING. */
static enum status judge_loading(const redisReply *reply, struct err *err)
{
    char loading[16];

    if (reply->type == REDIS_REPLY_STRING && info_value(reply->str, "loading:", loading, sizeof loading) &&
        strcmp(loading, "0") != 0)
        return err_fail(err, STATUS_UNAVAILABLE, "the server is loading its data");
    return STATUS_OK;
}

static enum status judge_setup(struct redis *r, int step, const redisReply *reply, struct err *err)
{
    if (step == SETUP_INFO)
        return read_role(r, reply, err);
    if (step == SETUP_LOADING)
        return judge_loading(reply, err);
    if (reply->type != REDIS_REPLY_ERROR || step == SETUP_NAME) /* a name is a convenience */
        return STATUS_OK;
    return err_fail(err, STATUS_UNAVAILABLE, "%s: %s", step == SETUP_AUTH ? "AUTH" : "SELECT", reply->str);
}

static enum status set_up(struct redis *r, int64_t deadline_ms, struct err *err)
{
    struct buf out = BUF_INIT;
    redisReply *replies[SETUP_STEPS] = {NULL};
    int steps[SETUP_STEPS] = {0};
    struct exchange x = {.replies = replies};
    enum status status;

    x.n = append_setup(r, &out, steps);
    status = buf_status(&out);
    if (status != STATUS_OK) {
        status = err_fail(err, status, "out of memory");
    } else {
        x.out = out.data;
        x.out_len = out.len;
        status = run_exchange(r, &x, deadline_ms, err);
    }
    for (size_t i = 0; i < x.n_read; i++) {
        if (status == STATUS_OK)
            status = judge_setup(r, steps[i], replies[i], err);
        freeReplyObject(replies[i]);
    }
    if (out.cap > 0)
        explicit_bzero(out.data, out.cap);
    buf_release(&out);
    return status;
}

/* The server went away while nobody looked, or sent something nobody asked for; or others cannot connect, and it is for
 * us to find out when they can. */
static bool is_stale(const struct redis *r)
{
    char byte;

    return r->role_in_doubt || (r->probes && breaker_state(r->breaker) != BREAKER_CLOSED) ||
           r->silences != breaker_silences(r->breaker) ||
           (clock_monotonic_ms() - r->used_at_ms > PROBE_IDLE_MS &&
            (recv(r->transport->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN));
}

static enum status open_connection(struct redis *r, int64_t deadline_ms, struct err *err)
{
    enum status status = redis_transport_open(&r->url, deadline_ms, &r->transport, err);

    if (status == STATUS_OK && r->tls != NULL)
        status = redis_tls_wrap(r->tls, r->url.host, deadline_ms, &r->transport, err);
    if (status != STATUS_OK)
        return status;
    r->reader = redisReaderCreate();
    if (r->reader == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    r->reader->maxbuf = 0; /* keep the buffer: freeing it costs every large reply a walk of reallocations */
    return set_up(r, deadline_ms, err);
}

static void report_failure(struct redis *r, enum status status, const char *why)
{
    breaker_fail(r->breaker, status == STATUS_TIMEOUT ? BREAKER_SILENT : BREAKER_REFUSED, why, clock_monotonic_ms());
}

static enum status connect_by(struct redis *r, int64_t deadline_ms, struct err *err)
{
    struct err why = {0};
    enum status status;

    if (r->transport != NULL && !is_stale(r))
        return STATUS_OK;
    redis_disconnect(r);
    status = breaker_admit(r->breaker, r->probes, clock_monotonic_ms(), &why);
    if (status != STATUS_OK)
        return err_fail(err, status, "Redis at %s: %s", r->where, why.text);
    r->silences = breaker_silences(r->breaker);
    status = open_connection(r, deadline_ms, &why);
    if (status != STATUS_OK) {
        redis_disconnect(r);
        report_failure(r, status, why.text);
        return err_fail(err, STATUS_UNAVAILABLE, "Redis at %s: %s", r->where, why.text);
    }
    breaker_succeed(r->breaker, clock_monotonic_ms());
    r->used_at_ms = clock_monotonic_ms();
    return STATUS_OK;
}

enum status redis_connect(struct redis *r, struct err *err)
{
    return connect_by(r, clock_monotonic_ms() + r->timeout_ms, err);
}

enum status redis_heartbeat(struct redis *r, struct err *err)
{
    bool was_connected = redis_is_connected(r);
    const struct redis_reply *reply;
    enum status status = redis_connect(r, err);

    if (status != STATUS_OK || !was_connected)
        return status;
    status = redis_command(r, &reply, err, "INFO", "replication", NULL);
    if (status == STATUS_OK)
        status = redis_read_role(r, reply, err);
    return status;
}

enum status redis_read_role(struct redis *r, const struct redis_reply *reply, struct err *err)
{
    enum status status = read_role(r, (const redisReply *)reply, err);

    if (status != STATUS_OK)
        r->role_in_doubt = true;
    return status;
}

/* --- replies ------------------------------------------------------------------------------- */

static bool reserve_replies(struct redis *r, size_t n)
{
    redisReply **grown;

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
    status = connect_by(r, deadline_ms, why);
    if (status != STATUS_OK)
        return status;
    assert(r->transport != NULL);
    status = run_exchange(r, &x, deadline_ms, why);
    r->n_replies = x.n_read;
    if (status != STATUS_OK) {
        *ret_broke = status == STATUS_UNAVAILABLE;
        redis_disconnect(r);
        err_prefix(why, "Redis at %s", r->where);
        if (status == STATUS_TIMEOUT)
            report_failure(r, status, why->text);
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
            report_failure(r, status, why.text);
    }
    return status == STATUS_OK ? STATUS_OK : err_fail(err, status, "%s", why.text);
}

static enum status flush(struct redis *r, bool repeatable, struct err *err)
{
    enum status status;

    free_replies(r);
    if (buf_status(&r->out) != STATUS_OK || !reserve_replies(r, r->n_appended))
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

const struct redis_reply *redis_reply_at(const struct redis *r, size_t i)
{
    assert(i < r->n_replies);
    return (const struct redis_reply *)r->replies[i];
}

static const redisReply *inner(const struct redis_reply *reply)
{
    return (const redisReply *)reply;
}

enum redis_reply_type redis_reply_type_of(const struct redis_reply *reply)
{
    switch (inner(reply)->type) {
    case REDIS_REPLY_STRING: return REDIS_STRING;
    case REDIS_REPLY_INTEGER: return REDIS_INTEGER;
    case REDIS_REPLY_ARRAY: return REDIS_ARRAY;
    case REDIS_REPLY_STATUS: return REDIS_STATUS;
    case REDIS_REPLY_ERROR: return REDIS_ERROR;
    default: return REDIS_NIL; /* RESP2 knows no other */
    }
}

const char *redis_reply_bytes(const struct redis_reply *reply, size_t *ret_len)
{
    *ret_len = (size_t)inner(reply)->len;
    return inner(reply)->str;
}

int64_t redis_reply_integer(const struct redis_reply *reply)
{
    return inner(reply)->type == REDIS_REPLY_INTEGER ? inner(reply)->integer : 0;
}

size_t redis_reply_length(const struct redis_reply *reply)
{
    return inner(reply)->type == REDIS_REPLY_ARRAY ? (size_t)inner(reply)->elements : 0;
}

const struct redis_reply *redis_reply_element(const struct redis_reply *reply, size_t i)
{
    assert(i < redis_reply_length(reply));
    return (const struct redis_reply *)inner(reply)->element[i];
}

enum redis_error_class redis_reply_error_class(const struct redis_reply *reply)
{
    return inner(reply)->type == REDIS_REPLY_ERROR ? redis_classify_error(inner(reply)->str) : REDIS_ERROR_NONE;
}

enum status redis_reply_status(const struct redis_reply *reply, struct err *err)
{
    enum redis_error_class error_class = redis_reply_error_class(reply);

    if (error_class == REDIS_ERROR_NONE)
        return STATUS_OK;
    return err_fail(err, redis_error_status(error_class), "Redis: %s", inner(reply)->str);
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

/* --- messages ------------------------------------------------------------------------------ */

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
            status = write_some(r, &x, &why);
    }
    buf_clear(&r->out);
    r->n_appended = 0;
    return status == STATUS_OK ? STATUS_OK : lose(r, status, &why, err);
}

/* One message out of what has arrived; *ret_reply stays NULL when none is whole. */
static enum status take_message(struct redis *r, redisReply **ret_reply, struct err *err)
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

enum status redis_receive(struct redis *r, int64_t deadline_ms, const struct redis_reply **ret_reply, struct err *err)
{
    struct err why = {0};

    free_replies(r);
    if (r->transport == NULL)
        return err_fail(err, STATUS_UNAVAILABLE, "not connected");
    if (!reserve_replies(r, 1))
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    for (;;) {
        redisReply *message = NULL;
        enum status status = take_message(r, &message, &why);
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
