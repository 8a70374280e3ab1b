/* pnlcache.fcgi: answers a web server's requests over FastCGI. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/cgi.h"
#include "fcgi/listener.h"
#include "fcgi/loop.h"
#include "fcgi/misses.h"
#include "fcgi/operations.h"
#include "fcgi/refresher.h"
#include "fcgi/request_reader.h"
#include "fcgi/session_lane.h"
#include "fcgi/stop_guard.h"
#include "fcgi/tracking.h"
#include "fcgi/warmer.h"
#include "fcgi/webhook_lane.h"
#include "lib/base/log.h"
#include "lib/base/service_notify.h"

#define LOG_INTERVAL_MS 60000 /* of the sums of L1 */
#define STOP_MARGIN_MS 500    /* of STOP_TIMEOUT, for the rest when clients have been waited for */

enum { EXIT_USAGE = 2, EXIT_CONFIG = 78 /* EX_CONFIG */ };

static enum log_level parse_log_level(const char *text)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], text) == 0)
            return (enum log_level)i;
    return LOG_LEVEL_INFO; /* the settings table allows no other text */
}

/* What settings_load() cannot judge: secrets and connection strings. Redis and PostgreSQL may well be down. */
static enum status check(const struct settings *settings, struct err *err)
{
    struct responder *responder = calloc(1, sizeof(*responder));
    struct db *db = NULL;
    struct redis *redis = NULL;

    if (!responder)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    enum status status = responder_init(responder, settings, err);
    if (status == STATUS_OK) {
        status = responder_new_db(responder, &db, err);
        if (status != STATUS_OK)
            err_prefix(err, "DATABASE_URL");
    }
    if (status == STATUS_OK)
        status = responder_take_datasets(responder, settings, db, err);
    if (status == STATUS_OK) {
        status = responder_new_redis(responder, "pnlcache.fcgi", &redis, err);
        if (status != STATUS_OK)
            err_prefix(err, "REDIS_URL");
    }
    redis_free(&redis);
    db_free(&db);
    responder_release(responder);
    free(responder);
    return status;
}

/* A kept connection costs a descriptor, so ask for as many as MAX_CONNECTIONS needs. */
static void raise_descriptor_limit(const struct settings *settings)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)settings->max_connections +
                    (rlim_t)(settings->threads + settings->miss_threads + settings->webhook_threads) * 4 + 64;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > wanted ? wanted : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
        log_warn("fewer descriptors than MAX_CONNECTIONS needs", LOG_INT("limit", (int64_t)limit.rlim_cur));
}

/* The signals that the main thread waits for; blocked before any thread starts, so that no other thread gets them. libfcgi has
 * installed handlers of its own for some: they are put back. */
static void set_signals(sigset_t *ret_awaited)
{
    struct sigaction standard = {.sa_handler = SIG_DFL}, ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGTERM, &standard, NULL);
    sigaction(SIGUSR1, &standard, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigemptyset(ret_awaited);
    sigaddset(ret_awaited, SIGTERM);
    sigaddset(ret_awaited, SIGINT);
    sigaddset(ret_awaited, SIGHUP);
    pthread_sigmask(SIG_BLOCK, ret_awaited, NULL);
}

/* The statements are tried first, over a connection of its own. */
static enum status reload_datasets(struct responder *responder, const struct settings *fresh, struct err *err)
{
    struct db *db = NULL;
    enum status status = responder_new_db(responder, &db, err);

    if (status == STATUS_OK)
        status = responder_take_datasets(responder, fresh, db, err);
    db_free(&db);
    return status;
}

/* Secrets, datasets and the log's level follow the file; the rest needs a restart, and whoever changed it is told so. */
static void name_what_needs_a_restart(const struct settings *running, const struct settings *fresh)
{
    static const char *const taken[] = {"JWT_SECRET",          "JWT_KEYS",        "JWT_AUDIENCE",
                                        "JWT_ISSUER",          "WEBHOOK_SECRETS", "WEBHOOK_TOLERANCE",
                                        "DATASET_DIR",         "DATASET_TTL",     "CACHE_DEFAULT_TTL",
                                        "COLLECTION_MAX_ROWS", "LOG_LEVEL",       NULL};
    struct buf names = BUF_INIT;

    settings_append_differences(running, fresh, taken, &names);
    if (buf_status(&names) == STATUS_OK && names.len > 0)
        log_warn("changed settings need a restart, the old values stay", LOG_STR("settings", names.data));
    buf_release(&names);
}

enum reloaded { RELOAD_ALL, RELOAD_KEYS };

/* All or nothing of it. */
static void reload(struct responder *responder, enum reloaded what)
{
    struct settings *fresh = NULL;
    struct secrets *secrets = NULL;
    struct err err;

    service_notify_reloading();
    enum status status = settings_load(&fresh, &err);
    if (status == STATUS_OK)
        status = responder_new_secrets(responder, fresh, &secrets, &err);
    if (status == STATUS_OK && what == RELOAD_ALL)
        status = reload_datasets(responder, fresh, &err);
    if (status == STATUS_OK)
        responder_take_secrets(responder, &secrets);
    if (status == STATUS_OK && what == RELOAD_ALL) {
        log_set_level(parse_log_level(fresh->log_level));
        log_info("settings reloaded");
        name_what_needs_a_restart(responder->settings, fresh);
    } else if (status == STATUS_OK) {
        log_info("keys reloaded");
    } else {
        log_error("settings not reloaded, the old ones stay", LOG_STR("error", err.text));
    }
    secrets_put(&secrets);
    settings_free(&fresh);
    service_notify("READY=1"); /* also with the old settings: the reload is over */
}

/* Keys are rotated by replacing their file. A version that cannot be used is complained about once. */
static void follow_key_file(struct responder *responder, struct file_mark *seen)
{
    struct secrets *secrets = secrets_get(responder);
    struct file_mark mark = file_mark_take(secrets->key_file);

    secrets_put(&secrets);
    if (file_mark_equal(&mark, seen))
        return;
    *seen = mark;
    reload(responder, RELOAD_KEYS); /* what else is being edited has nothing to do with it */
}

/* The loops prove progress: each begins a turn at least once a second. A thread that computes a miss may take its time. */
static bool loops_beat(struct loop *const *loops, int64_t n, int64_t within_ms)
{
    int64_t since_ms = clock_monotonic_ms() - within_ms;
    for (int64_t i = 0; i < n; i++)
        if (loop_beat_ms(loops[i]) < since_ms)
            return false;
    return true;
}

/* Waits for the signal to stop; once a second carries out what Redis refused, looks at the key file and feeds the service
 * manager's watchdog. */
static void watch(struct responder *responder, struct loop *const *loops, int64_t n_loops, const sigset_t *awaited)
{
    const int64_t watchdog_ms = service_watchdog_ms();
    const int64_t step_ms = watchdog_ms > 0 && watchdog_ms / 3 < 1000 ? watchdog_ms / 3 : 1000;
    const struct timespec step = {step_ms / 1000, step_ms % 1000 * 1000000};
    struct file_mark keys = responder->secrets->key_mark;
    struct redis *redis = NULL;
    int64_t log_at_ms = clock_monotonic_ms() + LOG_INTERVAL_MS;
    struct err err;

    if (responder_new_redis(responder, "pnlcache.fcgi:pending", &redis, &err) != STATUS_OK)
        log_error("no connection for pending invalidations", LOG_STR("error", err.text));
    for (;;) {
        int signal_number = sigtimedwait(awaited, NULL, &step);
        if (signal_number == SIGTERM || signal_number == SIGINT)
            break;
        if (signal_number == SIGHUP)
            reload(responder, RELOAD_ALL);
        if (watchdog_ms > 0 && loops_beat(loops, n_loops, watchdog_ms))
            service_notify("WATCHDOG=1");
        follow_key_file(responder, &keys);
        if (redis && pending_carry_out(responder->pending, responder->local, redis, &err) != STATUS_OK)
            log_debug("invalidations are pending", LOG_STR("error", err.text));
        if (redis && limits_settle(responder->limits, redis, &err) != STATUS_OK)
            log_debug("rate limits hold in this process alone", LOG_STR("error", err.text));
        if (clock_monotonic_ms() >= log_at_ms) {
            local_cache_log(responder->local);
            log_at_ms += LOG_INTERVAL_MS;
        }
    }
    local_cache_log(responder->local);
    redis_free(&redis);
}

/* Waits until requests in flight are answered, or the time is over and nobody works at them. */
static void stop_loops(struct loop **loops, int64_t n, int64_t deadline_ms)
{
    for (int64_t i = 0; i < n; i++)
        loop_stop(loops[i], deadline_ms);
    for (int64_t i = 0; i < n; i++)
        loop_join(&loops[i]);
}

static enum status serve(struct responder *responder, struct listener *listener, const sigset_t *awaited,
                         struct err *err)
{
    const struct settings *settings = responder->settings;
    struct loop_options options = {responder, listener->fd, listener->ours, &responder->n_connections};
    struct tracking *tracking = NULL;
    struct loop **loops = calloc((size_t)settings->threads, sizeof(struct loop *));
    int64_t n = 0;

    if (!loops)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    enum status status = health_start(responder->health, responder, err);
    if (status == STATUS_OK)
        status = tracking_start(responder, &tracking, err);
    if (status == STATUS_OK)
        status = misses_start(responder, loop_complete, &responder->misses, err);
    if (status == STATUS_OK)
        status = webhook_lane_start(responder, loop_complete, &responder->webhook_lane, err);
    if (status == STATUS_OK)
        status = session_lane_start(responder, loop_complete, &responder->session_lane, err);
    if (status == STATUS_OK)
        status = warmer_start(responder, &responder->warmer, err);
    if (status == STATUS_OK)
        status = operations_start(responder, loop_complete, &responder->operations, err);
    if (status == STATUS_OK)
        status = refresher_start(responder, &responder->refresher, err);
    while (status == STATUS_OK && n < settings->threads) {
        status = loop_start(&options, &loops[n], err);
        n += status == STATUS_OK;
    }
    if (status == STATUS_OK) {
        log_info("ready", LOG_STR("listen", listener->ours ? settings->listen : "inherited"),
                 LOG_STR("version", PNLCACHE_VERSION));
        service_notify("READY=1");
        watch(responder, loops, n, awaited);
        service_notify("STOPPING=1");
        log_info("stopping");
    }
    listener_unlink(listener);
    int64_t stop_ms = settings->stop_timeout_s > 0 ? settings->stop_timeout_s * 1000 : STOP_MARGIN_MS;
    stop_guard_start(clock_monotonic_ms() + stop_ms, status == STATUS_OK ? EXIT_SUCCESS : EXIT_FAILURE);
    stop_loops(loops, n, clock_monotonic_ms() + stop_ms - STOP_MARGIN_MS);
    misses_stop(&responder->misses);
    webhook_lane_stop(&responder->webhook_lane);
    session_lane_stop(&responder->session_lane);
    operations_stop(&responder->operations);
    warmer_stop(&responder->warmer);
    refresher_stop(&responder->refresher);
    tracking_stop(&tracking);
    health_stop(responder->health);
    free(loops);
    return status;
}

static enum status run(const struct settings *settings, struct err *err)
{
    struct responder *responder = calloc(1, sizeof(*responder));
    struct listener listener = {.fd = -1};
    sigset_t awaited;

    if (!responder)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    enum status status = request_reader_init(err);
    if (status != STATUS_OK)
        goto out_responder;
    set_signals(&awaited);
    raise_descriptor_limit(settings);
    status = responder_init(responder, settings, err);
    if (status == STATUS_OK)
        status = responder_take_datasets(responder, settings, NULL, err);
    if (status == STATUS_OK)
        status = listener_open(settings, &listener, err);
    if (status == STATUS_OK)
        status = serve(responder, &listener, &awaited, err);
    listener_unlink(&listener);
    listener_close(&listener);
    responder_release(responder);
out_responder:
    free(responder);
    return status;
}

static int print_usage(FILE *to)
{
    struct buf text = BUF_INIT;

    buf_append_string(&text, "usage: pnlcache.fcgi [--help | --version | --check]\n\n"
                             "Answers a web server's requests over FastCGI. --check judges the settings and ends.\n"
                             "Settings come from the file that PNLCACHE_CONF names and from the environment:\n\n");
    settings_append_help(&text);
    int written = fputs(text.data, to);
    buf_release(&text);
    return written < 0 || fflush(to) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* One request, then the end. Threads are made for a miss or a webhook only, one of them; the responder's own memory would
 * die with us. */
static int serve_cgi(void)
{
    struct settings *settings = NULL;
    struct err err = {.text = ""};

    signal(SIGPIPE, SIG_IGN);
    enum status status = settings_load(&settings, &err);
    if (status == STATUS_OK) {
        log_init("pnlcache.fcgi", parse_log_level(settings->log_level), settings->log_format);
        settings->miss_threads = settings->webhook_threads = 1;
        settings->cache_max_memory_entries = 0;
        status = cgi_serve(settings, &err);
    }
    settings_free(&settings);
    if (status == STATUS_OK)
        return EXIT_SUCCESS;
    cgi_refuse();
    fprintf(stderr, "pnlcache.fcgi: %s\n", err.text);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    const char *option = argc > 1 ? argv[1] : "";
    struct settings *settings = NULL;
    struct err err = {.text = ""};

    if (argc == 2 && strcmp(option, "--help") == 0)
        return print_usage(stdout);
    if (argc == 2 && strcmp(option, "--version") == 0)
        return puts("pnlcache.fcgi " PNLCACHE_VERSION " (" PNLCACHE_COMMIT ")") < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    if (argc > 2 || (argc == 2 && strcmp(option, "--check") != 0)) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (cgi_is_request())
        return serve_cgi();
    enum status status = settings_load(&settings, &err);
    if (status == STATUS_OK) {
        log_init("pnlcache.fcgi", parse_log_level(settings->log_level), settings->log_format);
        status = check(settings, &err);
    }
    if (status == STATUS_OK && argc == 1)
        status = run(settings, &err);
    settings_free(&settings);
    if (status == STATUS_OK)
        return EXIT_SUCCESS;
    fprintf(stderr, "pnlcache.fcgi: %s\n", err.text);
    return status == STATUS_INVALID ? EXIT_CONFIG : EXIT_FAILURE;
}
