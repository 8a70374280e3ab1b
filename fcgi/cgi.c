/* The same router and handlers as under FastCGI, and the same threads for what is not a hit: they are started when they are
 * needed, for this one request, and waited for. A hit starts none. There is no memory of our own (L1), and nobody is
 * left to carry out later what could not be done now, so a webhook whose invalidation Redis did not acknowledge is refused:
 * it stands in the outbox, but until a worker has been there another process could serve an older number. */
#include "fcgi/cgi.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/answer.h"
#include "fcgi/cors.h"
#include "fcgi/document_response.h"
#include "fcgi/metrics.h"
#include "fcgi/misses.h"
#include "fcgi/router.h"
#include "fcgi/session_work.h"
#include "fcgi/webhook_lane.h"
#include "lib/base/log.h"
#include "lib/base/parse_number.h"
#include "lib/store/job_stream.h"

#define MAX_DRAINED (16 * 1024 * 1024) /* bytes of a body of unknown length */

extern char **environ;

struct cgi {
    struct responder responder;
    struct handler_context context;
    struct exchange *x;
};

static sem_t done; /* what other threads were asked for */

bool cgi_is_request(void)
{
    return getenv("GATEWAY_INTERFACE") && getenv("REQUEST_METHOD");
}

/* --- the request ---------------------------------------------------------------------------------- */

static void read_environment(struct request *r)
{
    for (char **entry = environ; *entry; entry++) {
        const char *equals = strchr(*entry, '=');
        if (equals)
            request_add_param(r, *entry, (size_t)(equals - *entry), equals + 1, strlen(equals + 1));
    }
}

/* Standard input need not end: as much is read as CONTENT_LENGTH says (RFC 3875, 4.2). A body that came in chunks has none; its end
 * is that of the input. What is too much of it is read and dropped, for a web server may give up on one that does not read. */
static enum status read_body(struct request *r, size_t limit)
{
    const char *text = request_param(r, PARAM_CONTENT_LENGTH);
    bool announced = text && *text, chunked = !announced && getenv("HTTP_TRANSFER_ENCODING");
    int64_t left = chunked ? MAX_DRAINED : 0;
    char piece[8192];

    if (announced && parse_int64(text, 0, INT64_MAX, &left) != STATUS_OK)
        return STATUS_OK; /* request_parse() says why */
    if (announced && (uint64_t)left > limit)
        return STATUS_LIMIT;
    while (left > 0) {
        ssize_t n = read(STDIN_FILENO, piece, (uint64_t)left < sizeof(piece) ? (size_t)left : sizeof(piece));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break; /* cut on its way: request_parse() compares */
        if (r->body.len <= limit)
            buf_append(&r->body, piece, (size_t)n);
        left -= n;
    }
    return r->body.len > limit ? STATUS_LIMIT : STATUS_OK;
}

/* --- the answer ----------------------------------------------------------------------------------- */

static bool write_all(const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

void cgi_refuse(void)
{
    static const char answer[] =
        "Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\n\r\n"
        "pnlcache.fcgi is not set up; the web server's error log says why.\n";

    (void)write_all(answer, sizeof(answer) - 1);
}

static void notice_done(struct exchange *x)
{
    (void)x;
    sem_post(&done);
}

/* Without a thread: nobody else waits. */
static enum status change_session(struct cgi *cgi, struct err *err)
{
    struct session_work work;
    enum status status = session_work_init(&work, &cgi->responder, err);

    if (status == STATUS_OK)
        session_work_serve(&work, cgi->x);
    session_work_release(&work);
    return status;
}

/* Starts the thread that does the work, waits for it, and ends it. */
static enum status do_deferred(struct cgi *cgi, struct err *err)
{
    struct responder *r = &cgi->responder;
    enum status status = STATUS_INTERNAL;

    switch (cgi->x->work) {
    case WORK_DOCUMENT:
    case WORK_PRELOAD:
        status = misses_start(r, notice_done, &r->misses, err);
        if (status == STATUS_OK)
            status = misses_submit(r->misses, cgi->x);
        break;
    case WORK_WEBHOOK:
        status = webhook_lane_start(r, notice_done, &r->webhook_lane, err);
        if (status == STATUS_OK)
            status = webhook_lane_submit(r->webhook_lane, cgi->x);
        break;
    case WORK_OPERATION:
        if (cgi->x->operate == metrics_answer)
            return err_fail(err, STATUS_NOT_FOUND, "a process of one request has no metrics");
        status = operations_start(r, notice_done, &r->operations, err);
        if (status == STATUS_OK)
            status = operations_submit(r->operations, cgi->x);
        break;
    case WORK_LOGIN:
    case WORK_LOGOUT:
    case WORK_LOGOUT_ALL: return change_session(cgi, err);
    }
    while (status == STATUS_OK && sem_wait(&done) != 0 && errno == EINTR) {
    }
    misses_stop(&r->misses);
    webhook_lane_stop(&r->webhook_lane);
    operations_stop(&r->operations);
    return status;
}

static bool answer_from_redis(struct cgi *cgi)
{
    struct exchange *x = cgi->x;
    struct cache_lookup lookup = {.key = x->key.data, .user_id = x->user_id, .tags = answer_tags(x)};
    struct err err;

    return cgi->context.redis &&
           cache_lookup_many(cgi->responder.cache, cgi->context.redis, &lookup, 1, &err) == STATUS_OK &&
           lookup.verdict == CACHE_HIT &&
           document_respond_stored(x, &lookup.header, lookup.body, false, SOURCE_REDIS,
                                   answer_max_age_s(cgi->responder.settings, x)) == STATUS_OK;
}

/* Nobody has looked at the servers in this process, so their breakers know nothing yet. */
static void look_at_servers(struct cgi *cgi)
{
    struct db *db = NULL;
    struct err err;

    if (cgi->context.redis && redis_connect(cgi->context.redis, &err) != STATUS_OK)
        log_debug("Redis does not answer", LOG_STR("error", err.text));
    if (responder_new_db(&cgi->responder, &db, &err) != STATUS_OK || db_connect(db, &err) != STATUS_OK)
        log_debug("the database does not answer", LOG_STR("error", err.text));
    db_free(&db);
}

static void finish_webhook(struct cgi *cgi)
{
    struct exchange *x = cgi->x;
    struct responder *r = &cgi->responder;
    struct err err;

    if (x->response.http_status == 202 && cgi->context.redis &&
        pending_carry_out(r->pending, r->local, cgi->context.redis, &err) != STATUS_OK)
        response_problem(&x->response, &x->request, 503, "Redis does not acknowledge; send it again", NULL, NULL);
}

/* Reading all files would be most of a hit's work. Events, orders and preloads name datasets, or the tags that these bring along. */
static bool needs_datasets(const char *path)
{
    static const char *const others[] = {"/api/cache/", "/api/user/", "/api/webhooks/"};

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strncmp(path, others[i], strlen(others[i])) == 0)
            return true;
    return !router_has(path);
}

static void serve(struct cgi *cgi)
{
    struct exchange *x = cgi->x;
    struct err err = {.text = ""};
    enum status status = STATUS_OK;

    if (strcmp(request_path(&x->request), "/readyz") == 0)
        look_at_servers(cgi);
    if (needs_datasets(request_path(&x->request)) &&
        responder_take_datasets(&cgi->responder, cgi->responder.settings, NULL, &err) != STATUS_OK)
        log_error("datasets not read", LOG_STR("error", err.text));
    enum next_step next = router_dispatch(&cgi->context, x);
    if (next == NEXT_SESSION) {
        session_work_read(&cgi->responder, cgi->context.redis, &x, 1);
        next = router_dispatch(&cgi->context, x);
    }
    if (next == NEXT_SEND)
        return;
    /* No process lives long enough to settle: hits are counted exactly too. */
    if (next == NEXT_LOOKUP && !limits_confirm_reads(cgi->responder.limits, cgi->context.redis, x))
        return;
    if (next == NEXT_LOOKUP && answer_from_redis(cgi))
        return;
    status = do_deferred(cgi, &err);
    if (status != STATUS_OK) {
        if (status != STATUS_NOT_FOUND)
            log_error("request failed", LOG_STR("request", x->request.id), LOG_STR("error", err.text));
        response_problem(&x->response, &x->request, status_to_http(status), NULL, NULL, NULL);
    } else if (x->work == WORK_WEBHOOK) {
        finish_webhook(cgi);
    }
}

static void answer(struct cgi *cgi)
{
    struct exchange *x = cgi->x;
    struct err err = {.text = ""};

    request_arrive(&x->request);
    read_environment(&x->request);
    cors_judge(cgi->responder.settings->cors_origins, &x->request);
    enum status body = read_body(&x->request, (size_t)cgi->responder.settings->max_body);
    enum status status = request_parse(&x->request, &err);
    if (body == STATUS_LIMIT)
        response_problem(&x->response, &x->request, 413, NULL, NULL, NULL);
    else if (status != STATUS_OK)
        response_problem(&x->response, &x->request, status == STATUS_LIMIT ? 414 : status_to_http(status), err.text,
                         NULL, NULL);
    else
        serve(cgi);
}

/* Tells the scheduled jobs who reads, and Redis of the session's use. */
static void touch(struct cgi *cgi)
{
    const struct exchange *x = cgi->x;
    struct err err;

    if (x->session.slides && x->session.read)
        session_work_slide(&cgi->responder, cgi->context.redis, x->session.name, &x->session.lookup.session);

    if (x->user_id[0] && x->response.http_status < 400 && cgi->context.redis &&
        active_users_touch(cgi->responder.cache, cgi->context.redis, x->user_id, &err) != STATUS_OK)
        log_debug("activity not noted", LOG_STR("error", err.text));
}

static enum status prepare(struct cgi *cgi, const struct settings *settings, struct err *err)
{
    struct handler_context *context = &cgi->context;

    enum status status = responder_init(&cgi->responder, settings, err);
    if (status == STATUS_OK)
        status = responder_new_redis(&cgi->responder, "pnlcache.fcgi:cgi", &context->redis, err);
    if (status == STATUS_OK)
        status = token_cache_new(settings, cgi->responder.local, &context->tokens, err);
    if (status == STATUS_OK)
        status = local_reader_new(cgi->responder.local, &context->local, err);
    if (status == STATUS_OK)
        status = exchange_new(&cgi->x, err);
    context->responder = &cgi->responder;
    context->secrets = cgi->responder.secrets;
    return status;
}

enum status cgi_serve(const struct settings *settings, struct err *err)
{
    struct cgi *cgi = calloc(1, sizeof(*cgi));

    if (!cgi || sem_init(&done, 0, 0) != 0) {
        free(cgi);
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    }
    enum status status = prepare(cgi, settings, err);
    if (status == STATUS_OK) {
        answer(cgi);
        if (!write_all(cgi->x->response.head.data, cgi->x->response.head.len) ||
            !write_all(cgi->x->response.body, cgi->x->response.body_len))
            log_debug("the web server is gone");
        touch(cgi);
    }
    exchange_free(&cgi->x);
    token_cache_free(&cgi->context.tokens);
    redis_free(&cgi->context.redis);
    responder_release(&cgi->responder);
    free(cgi);
    sem_destroy(&done);
    return status;
}
