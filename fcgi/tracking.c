#include "fcgi/tracking.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/store/session_store.h"

#define CHANNEL "__redis__:invalidate"
#define BEAT_INTERVAL_MS 500
#define BEAT_BOUND_MS 500 /* for its message to arrive */
#define WRITE_MS 250      /* messages wait for as long as writing a beat takes */
#define RETRY_MS 100      /* besides the back-off of the connections */
#define REFUSED_MS 2000   /* before asking again a Redis that refuses */

/* Over `maxmemory` SET is refused, but not within a script that has begun with a write that frees memory. */
static const char beat_script[] = "redis.call('DEL', KEYS[1]) redis.call('SET', KEYS[1], '1') "
                                  "return redis.call('DEL', KEYS[1])";

static_assert(BEAT_INTERVAL_MS + BEAT_BOUND_MS <= LOCAL_PROOF_MS, "a beat in time keeps the epochs current");

struct tracking {
    struct responder *responder;
    struct epoch_cache *epochs;
    struct redis *subscriber, *writer;
    pthread_t thread;
    int stop; /* eventfd */
    bool stopping, has_sessions;

    /* The present session. */
    char session[17], instance[REDIS_INSTANCE_SIZE];
    bool subscribed;
    bool refused; /* not for now, but by this Redis and these rights */
    uint64_t n_beats;
    struct buf beat; /* the key whose message is awaited */
    bool beat_seen;

    enum local_state state;
    bool state_was_told;
};

/* --- messages ----------------------------------------------------------------------------------- */

static bool is_text(const struct redis_reply *reply, const char *text)
{
    size_t len = 0;
    const char *bytes = redis_reply_type_of(reply) == REDIS_STRING ? redis_reply_bytes(reply, &len) : "";

    return len == strlen(text) && memcmp(bytes, text, len) == 0;
}

static void take_key(struct tracking *t, const struct redis_reply *key)
{
    char user_id[USER_ID_MAX + 1], session[SESSION_NAME_SIZE];
    size_t len;

    if (is_text(key, t->beat.data)) {
        t->beat_seen = true;
        return;
    }
    if (redis_reply_type_of(key) != REDIS_STRING)
        return;
    const char *bytes = redis_reply_bytes(key, &len);
    if (cache_parse_epoch_key(t->responder->cache, bytes, len, user_id))
        epoch_cache_forget(t->epochs, user_id[0] ? user_id : NULL);
    else if (session_parse_key(t->responder->cache, bytes, len, session))
        local_cache_forget_session(t->responder->local, session);
}

/* An error that no waiting heals: a command that is not known or not allowed. */
static enum status judge(struct tracking *t, const struct redis_reply *reply, struct err *err)
{
    enum redis_error_class error_class = redis_reply_error_class(reply);

    t->refused = t->refused || error_class == REDIS_ERROR_AUTH || error_class == REDIS_ERROR_BUG;
    return redis_reply_status(reply, err);
}

/* ["message", channel, [key...]]; nil instead of the keys: everything was flushed. */
static enum status take_message(struct tracking *t, const struct redis_reply *message, struct err *err)
{
    enum status status = judge(t, message, err);
    if (status != STATUS_OK)
        return status;
    if (redis_reply_length(message) == 3 && is_text(redis_reply_element(message, 0), "subscribe")) {
        t->subscribed = true;
        return STATUS_OK;
    }
    if (redis_reply_length(message) != 3 || !is_text(redis_reply_element(message, 0), "message"))
        return err_fail(err, STATUS_INVALID, "Redis sent something that is no message");
    const struct redis_reply *keys = redis_reply_element(message, 2);
    if (redis_reply_type_of(keys) != REDIS_ARRAY)
        epoch_cache_forget_all(t->epochs);
    for (size_t i = 0; i < redis_reply_length(keys); i++)
        take_key(t, redis_reply_element(keys, i));
    return STATUS_OK;
}

/* Until something arrives on `fd` (-1: on nothing), the time comes, or we are to stop. */
static void wait_for(struct tracking *t, int fd, int64_t until_ms)
{
    struct pollfd watched[] = {{.fd = t->stop, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    int64_t left_ms = until_ms - clock_monotonic_ms();

    if (poll(watched, 2, left_ms > 0 ? (int)left_ms : 0) > 0 && watched[0].revents)
        t->stopping = true;
}

/* Takes messages until `*done`, which they set, or until the time comes: STATUS_TIMEOUT. */
static enum status listen_until(struct tracking *t, const bool *done, int64_t until_ms, struct err *err)
{
    const struct redis_reply *message;

    while (!*done && !t->stopping) {
        enum status status = redis_receive(t->subscriber, 0, &message, err);
        if (status == STATUS_OK)
            status = take_message(t, message, err);
        else if (status == STATUS_TIMEOUT && clock_monotonic_ms() < until_ms) {
            wait_for(t, redis_socket(t->subscriber), until_ms);
            status = STATUS_OK;
        }
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* --- a session ---------------------------------------------------------------------------------- */

static enum status command(struct tracking *t, struct redis *redis, struct err *err)
{
    enum status status = redis_flush(redis, err);
    return status == STATUS_OK ? judge(t, redis_reply_at(redis, 0), err) : status;
}

static enum status turn_tracking_on(struct tracking *t, struct err *err)
{
    struct buf epochs = BUF_INIT, sessions = BUF_INIT;
    char id[24];

    redis_append_words(t->subscriber, "CLIENT", "ID", NULL);
    enum status status = command(t, t->subscriber, err);
    if (status != STATUS_OK)
        return status;
    snprintf(id, sizeof(id), "%lld", (long long)redis_reply_integer(redis_reply_at(t->subscriber, 0)));
    cache_append_epoch_prefix(t->responder->cache, &epochs);
    session_append_prefix(t->responder->cache, &sessions);
    status = buf_status(&epochs) == STATUS_OK ? buf_status(&sessions) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        /* The list ends early where there are no sessions. */
        redis_append_words(t->subscriber, "CLIENT", "TRACKING", "ON", "REDIRECT", id, "BCAST", "PREFIX", epochs.data,
                           t->has_sessions ? "PREFIX" : NULL, sessions.data, NULL);
        status = command(t, t->subscriber, err);
    }
    buf_release(&epochs);
    buf_release(&sessions);
    return status;
}

static enum status subscribe(struct tracking *t, struct err *err)
{
    enum status status = turn_tracking_on(t, err);

    memcpy(t->instance, redis_instance(t->subscriber), sizeof(t->instance));
    if (status == STATUS_OK) {
        redis_append_words(t->subscriber, "SUBSCRIBE", CHANNEL, NULL);
        status = redis_send(t->subscriber, err);
    }
    if (status == STATUS_OK)
        status = listen_until(t, &t->subscribed, clock_monotonic_ms() + BEAT_BOUND_MS, err);
    if (status == STATUS_TIMEOUT)
        return err_fail(err, status, "the subscription was not confirmed within %d ms", BEAT_BOUND_MS);
    return status;
}

/* A name for each beat, so that a late message of an earlier one proves nothing. */
static enum status name_beat(struct tracking *t)
{
    buf_clear(&t->beat);
    cache_append_epoch_prefix(t->responder->cache, &t->beat);
    buf_append_string(&t->beat, "beat:");
    buf_append_string(&t->beat, t->session);
    buf_append_char(&t->beat, ':');
    buf_append_int(&t->beat, (int64_t)++t->n_beats);
    t->beat_seen = false;
    return buf_status(&t->beat);
}

/* What the writer's connection says about who answers there. */
static enum status check_instance(struct tracking *t, const struct redis_reply *reply, struct err *err)
{
    enum status status = redis_read_role(t->writer, reply, err);
    if (status == STATUS_OK && strcmp(redis_instance(t->writer), t->instance) != 0)
        status = err_fail(err, STATUS_UNAVAILABLE, "Redis was replaced by another instance");
    if (status != STATUS_OK)
        epoch_cache_forget_all(t->epochs); /* an invalidation may have been lost with the old one */
    return status;
}

/* Writes a key and waits for its message. All that was invalidated before *ret_sent_ms has then been reported. */
static enum status beat(struct tracking *t, int64_t *ret_sent_ms, struct err *err)
{
    int64_t sent_ms = clock_monotonic_ms();

    enum status status = name_beat(t);
    if (status != STATUS_OK)
        return err_fail(err, status, "out of memory");
    redis_append_words(t->writer, "EVAL", beat_script, "1", t->beat.data, NULL);
    redis_append_words(t->writer, "INFO", "replication", NULL);
    status = redis_flush(t->writer, err);
    if (status == STATUS_OK)
        status = judge(t, redis_reply_at(t->writer, 0), err);
    if (status == STATUS_OK)
        status = check_instance(t, redis_reply_at(t->writer, 1), err);
    if (status == STATUS_OK)
        status = listen_until(t, &t->beat_seen, sent_ms + BEAT_BOUND_MS, err);
    if (status == STATUS_TIMEOUT)
        return err_fail(err, status, "no message of a key written %d ms ago", BEAT_BOUND_MS);
    *ret_sent_ms = sent_ms;
    return status;
}

static void tell_state(struct tracking *t, enum local_state state, const struct err *err)
{
    local_cache_set_state(t->responder->local, state);
    if (t->state_was_told && t->state == state)
        return;
    t->state_was_told = true;
    t->state = state;
    switch (state) {
    case LOCAL_ON: log_info("L1 is on", LOG_STR("instance", t->instance)); break;
    case LOCAL_DOUBT: log_warn("L1 is in doubt: every read asks Redis", LOG_STR("reason", err->text)); break;
    case LOCAL_OFF: log_warn("L1 is off: Redis refuses what it needs", LOG_STR("reason", err->text)); break;
    }
}

static void begin_session(struct tracking *t)
{
    uint64_t random = 0;

    (void)!getrandom(&random, sizeof(random), 0);
    hex64_format(random, t->session);
    t->subscribed = t->refused = false;
    t->n_beats = 0;
}

/* Returns when it has ended, or when we are to stop. */
static enum status run_session(struct tracking *t, struct err *err)
{
    static const bool never = false;
    int64_t sent_ms = 0;

    begin_session(t);
    enum status status = subscribe(t, err);
    if (status == STATUS_OK)
        status = beat(t, &sent_ms, err);
    if (status != STATUS_OK || t->stopping)
        return status;
    epoch_cache_begin_session(t->epochs, t->instance, sent_ms);
    tell_state(t, LOCAL_ON, NULL);
    while (!t->stopping) {
        status = listen_until(t, &never, sent_ms + BEAT_INTERVAL_MS, err);
        if (status == STATUS_TIMEOUT)
            status = beat(t, &sent_ms, err);
        if (status != STATUS_OK || t->stopping)
            return status;
        epoch_cache_prove(t->epochs, sent_ms);
    }
    return STATUS_OK;
}

static void *run(void *arg)
{
    struct tracking *t = arg;

    while (!t->stopping) {
        struct err err = {.text = ""};
        (void)!run_session(t, &err);
        epoch_cache_doubt(t->epochs);
        redis_disconnect(t->subscriber);
        redis_disconnect(t->writer);
        if (t->stopping)
            break;
        tell_state(t, t->refused ? LOCAL_OFF : LOCAL_DOUBT, &err);
        wait_for(t, -1, clock_monotonic_ms() + (t->refused ? REFUSED_MS : RETRY_MS));
    }
    return NULL;
}

/* --- life ----------------------------------------------------------------------------------------- */

static void tracking_free(struct tracking **tracking)
{
    struct tracking *t = *tracking;

    redis_free(&t->subscriber);
    redis_free(&t->writer);
    buf_release(&t->beat);
    if (t->stop >= 0)
        close(t->stop);
    free(t);
    *tracking = NULL;
}

static enum status prepare(struct tracking *t, struct err *err)
{
    const struct settings *s = t->responder->settings;
    struct redis_options options = {
        .url = s->redis_url,
        .client_name = "pnlcache.fcgi:tracking",
        .timeout_ms = s->redis_timeout_ms < WRITE_MS ? s->redis_timeout_ms : WRITE_MS,
    };

    t->stop = eventfd(0, EFD_CLOEXEC);
    if (t->stop < 0)
        return err_fail(err, STATUS_UNAVAILABLE, "eventfd: %s", strerror(errno));
    enum status status = redis_new(&options, &t->subscriber, err);
    options.client_name = "pnlcache.fcgi:beat";
    if (status == STATUS_OK)
        status = redis_new(&options, &t->writer, err);
    return status;
}

enum status tracking_start(struct responder *responder, struct tracking **ret_tracking, struct err *err)
{
    *ret_tracking = NULL;
    if (!local_cache_needs_tracking(responder->local))
        return STATUS_OK;
    struct tracking *t = calloc(1, sizeof(*t));
    if (!t)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    t->responder = responder;
    t->epochs = local_cache_epochs(responder->local);
    t->has_sessions = auth_modes_parse(responder->settings->auth_mode) & AUTH_SESSION;
    buf_init(&t->beat);
    enum status status = prepare(t, err);
    if (status == STATUS_OK && pthread_create(&t->thread, NULL, run, t) != 0)
        status = err_fail(err, STATUS_UNAVAILABLE, "cannot start the tracking thread: %s", strerror(errno));
    if (status == STATUS_OK)
        *ret_tracking = t;
    else
        tracking_free(&t);
    return status;
}

void tracking_stop(struct tracking **tracking)
{
    uint64_t one = 1;

    if (!*tracking)
        return;
    if (write((*tracking)->stop, &one, sizeof(one)) < 0)
        log_error("eventfd failed", LOG_STR("error", strerror(errno)));
    pthread_join((*tracking)->thread, NULL);
    tracking_free(tracking);
}
