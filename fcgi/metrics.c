/* What cannot be read is left out and counted in pnlcache_scrape_errors: a gauge that repeats an old value would be believed. */
#include "fcgi/metrics.h"

#include <stdio.h>
#include <string.h>

#include "fcgi/meter.h"
#include "fcgi/metrics_jobs.h"
#include "fcgi/misses.h"
#include "fcgi/router.h"
#include "fcgi/session_lane.h"
#include "fcgi/webhook_lane.h"
#include "lib/base/log.h"
#include "lib/base/prometheus.h"
#include "lib/store/outbox.h"
#include "lib/store/redis_info.h"

#define MAX_QUEUES 4

/* --- this process --------------------------------------------------------------------------------- */

static void write_process(const struct operation_context *o, struct buf *out)
{
    prometheus_family(out, "pnlcache_build_info", "gauge", "The version that runs.");
    prometheus_sample(out, "pnlcache_build_info", "version=\"" PNLCACHE_VERSION "\"", 1);
    prometheus_single(out, "pnlcache_start_time_seconds", "gauge", "When the responder started.", o->started_s);
    prometheus_single(out, "pnlcache_log_lines_dropped_total", "counter",
                      "Lines the log could not take: its reader is too slow, or gone.", (int64_t)log_dropped());
}

static void write_servers(const struct health *health, struct buf *out)
{
    prometheus_family(out, "pnlcache_breaker_state", "gauge",
                      "Circuit breaker of a server: 0 closed (the server answers), 1 open, 2 probing.");
    prometheus_sample(out, "pnlcache_breaker_state", "server=\"redis\"", breaker_state(health_redis_breaker(health)));
    prometheus_sample(out, "pnlcache_breaker_state", "server=\"database\"",
                      breaker_state(health_database_breaker(health)));
}

struct queue {
    const char *label;
    struct queue_counters counters;
};

static size_t read_queues(const struct responder *r, struct queue queues[MAX_QUEUES])
{
    size_t n = 0;

    queues[n].label = "queue=\"misses\"";
    misses_read_queue(r->misses, &queues[n++].counters);
    queues[n].label = "queue=\"webhooks\"";
    webhook_lane_read_queue(r->webhook_lane, &queues[n++].counters);
    queues[n].label = "queue=\"operations\"";
    operations_read_queue(r->operations, &queues[n++].counters);
    if (r->session_lane) {
        queues[n].label = "queue=\"sessions\"";
        session_lane_read_queue(r->session_lane, &queues[n++].counters);
    }
    return n;
}

static void write_queues(const struct responder *r, struct buf *out)
{
    struct queue queues[MAX_QUEUES];
    size_t n = read_queues(r, queues);

    prometheus_family(out, "pnlcache_queue_length", "gauge",
                      "Requests that wait, by queue; misses also while they are worked at.");
    for (size_t i = 0; i < n; i++)
        prometheus_sample(out, "pnlcache_queue_length", queues[i].label, (int64_t)queues[i].counters.length);
    prometheus_family(out, "pnlcache_queue_limit", "gauge", "The length at which one more request is answered 503.");
    for (size_t i = 0; i < n; i++)
        prometheus_sample(out, "pnlcache_queue_limit", queues[i].label, (int64_t)queues[i].counters.limit);
    prometheus_family(out, "pnlcache_queue_refused_total", "counter", "Requests for which there was no room.");
    for (size_t i = 0; i < n; i++)
        prometheus_sample(out, "pnlcache_queue_refused_total", queues[i].label, (int64_t)queues[i].counters.refused);
    prometheus_family(out, "pnlcache_queue_wait_seconds", "summary",
                      "How long what a thread took from the queue had waited in it.");
    for (size_t i = 0; i < n; i++) {
        prometheus_seconds(out, "pnlcache_queue_wait_seconds_sum", queues[i].label, queues[i].counters.waited_us);
        prometheus_sample(out, "pnlcache_queue_wait_seconds_count", queues[i].label, (int64_t)queues[i].counters.taken);
    }
}

static void write_connections(const struct responder *r, struct buf *out)
{
    static const char pool[] = "pnlcache_database_pool_connections";
    static const char *const states[POOL_STATES] = {
        [POOL_CLOSED] = "closed", [POOL_IDLE] = "idle", [POOL_BUSY] = "busy"};
    size_t counts[POOL_STATES];
    char labels[32];

    prometheus_single(out, "pnlcache_http_connections", "gauge", "Connections that web servers hold open.",
                      atomic_load(&r->n_connections));
    prometheus_single(out, "pnlcache_http_connections_limit", "gauge", "MAX_CONNECTIONS.",
                      r->settings->max_connections);
    prometheus_family(out, pool, "gauge", "The miss threads' connections to the database, by state.");
    misses_count_pool(r->misses, counts);
    for (size_t i = 0; i < POOL_STATES; i++) {
        snprintf(labels, sizeof(labels), "state=\"%s\"", states[i]);
        prometheus_sample(out, pool, labels, (int64_t)counts[i]);
    }
}

static void write_cache(const struct responder *r, struct buf *out)
{
    static const char invalid[] = "pnlcache_cache_invalid_values_total", stores[] = "pnlcache_cache_stores_total";
    struct cache_counters c;
    char labels[64];

    cache_read_counters(r->cache, &c);
    prometheus_family(out, invalid, "counter", "Values found in Redis that could not be served, by reason.");
    for (enum cache_verdict v = CACHE_MISS_DAMAGED; v < CACHE_VERDICTS; v++) {
        snprintf(labels, sizeof(labels), "reason=\"%s\"", cache_verdict_name(v));
        prometheus_sample(out, invalid, labels, (int64_t)c.verdicts[v]);
    }
    prometheus_family(out, stores, "counter", "Values stored in Redis or refused, by outcome.");
    prometheus_sample(out, stores, "outcome=\"stored\"", (int64_t)c.stored);
    prometheus_sample(out, stores, "outcome=\"unchanged\"", (int64_t)c.unchanged);
    prometheus_sample(out, stores, "outcome=\"refused\"", (int64_t)c.refused);
    prometheus_sample(out, stores, "outcome=\"too_large\"", (int64_t)c.too_large);
    prometheus_single(out, "pnlcache_cache_invalidations_total", "counter", "Invalidations that Redis acknowledged.",
                      (int64_t)c.invalidations);
}

static void write_l1(const struct responder *r, struct buf *out)
{
    static const char reads[] = "pnlcache_l1_reads_total";
    static const char *const outcomes[LOCAL_OUTCOMES] = {
        [LOCAL_HIT] = "hit",
        [LOCAL_HIT_DEGRADED] = "hit_degraded",
        [LOCAL_MISS_ABSENT] = "absent",
        [LOCAL_MISS_EPOCH] = "epoch",
        [LOCAL_MISS_OLD] = "old",
        [LOCAL_MISS_DOUBT] = "doubt",
        [LOCAL_BYPASS] = "bypass",
    };
    struct local_counters c;
    char labels[64];

    local_cache_read_counters(r->local, &c);
    prometheus_family(out, reads, "counter", "Reads of the responder's memory, by outcome.");
    for (size_t i = 0; i < LOCAL_OUTCOMES; i++) {
        snprintf(labels, sizeof(labels), "outcome=\"%s\"", outcomes[i]);
        prometheus_sample(out, reads, labels, (int64_t)c.outcomes[i]);
    }
    prometheus_single(out, "pnlcache_l1_in_use", "gauge", "1 while the responder's memory may answer.",
                      strcmp(local_cache_state_name(r->local), "on") == 0);
    prometheus_single(out, "pnlcache_l1_entries", "gauge", "Values in the responder's memory.",
                      (int64_t)c.usage.entries);
    prometheus_single(out, "pnlcache_l1_bytes", "gauge", "Bytes of those values.", (int64_t)c.usage.bytes);
    prometheus_single(out, "pnlcache_l1_evictions_total", "counter", "Values that made room for others.",
                      (int64_t)c.usage.evicted);
}

/* --- the servers ---------------------------------------------------------------------------------- */

static void write_info(const char *text, struct buf *out)
{
    static const struct {
        const char *info, *name, *type, *help;
    } numbers[] = {
        {"used_memory", "pnlcache_redis_memory_bytes", "gauge", "Memory that Redis uses."},
        {"maxmemory", "pnlcache_redis_memory_max_bytes", "gauge", "Its maxmemory; 0: none."},
        {"evicted_keys", "pnlcache_redis_evicted_keys_total", "counter", "Keys that Redis evicted to stay below it."},
        {"expired_keys", "pnlcache_redis_expired_keys_total", "counter", "Keys that ran out."},
        {"connected_clients", "pnlcache_redis_clients", "gauge", "Connections that Redis has."},
    };
    int64_t value;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (redis_info_number(text, numbers[i].info, &value))
            prometheus_single(out, numbers[i].name, numbers[i].type, numbers[i].help, value);
}

static enum status write_redis(struct operation_context *o, struct buf *out, struct err *err)
{
    const struct redis_reply *reply;
    struct buf text = BUF_INIT;
    size_t len;

    enum status status = redis_command(o->redis, &reply, err, "INFO", NULL);
    if (status == STATUS_OK && redis_reply_type_of(reply) == REDIS_STRING) {
        const char *bytes = redis_reply_bytes(reply, &len);
        buf_append(&text, bytes, len);
        if (buf_status(&text) == STATUS_OK)
            write_info(text.data, out);
    }
    buf_release(&text);
    return status;
}

static enum status write_outbox(struct operation_context *o, struct buf *out, struct err *err)
{
    struct outbox_state s;

    enum status status = db_connect(o->db, err);
    if (status == STATUS_OK)
        status = outbox_inspect(o->db, &s, err);
    if (status != STATUS_OK)
        return status;
    prometheus_single(out, "pnlcache_outbox_rows", "gauge", "Changes in pnlcache.change_log, not yet carried out.",
                      s.depth);
    prometheus_family(out, "pnlcache_outbox_oldest_age_seconds", "gauge", "Age of the oldest of them.");
    prometheus_seconds(out, "pnlcache_outbox_oldest_age_seconds", NULL, s.oldest_age_ms * 1000);
    return STATUS_OK;
}

/* --- the answer ----------------------------------------------------------------------------------- */

static void write_all(struct operation_context *o, struct buf *out)
{
    const struct responder *r = o->responder;
    int64_t redis_failed = 0, database_failed;
    struct err err = {.text = ""};

    write_process(o, out);
    meters_write(r->meters, router_label, out);
    write_servers(r->health, out);
    write_queues(r, out);
    write_connections(r, out);
    write_cache(r, out);
    write_l1(r, out);
    if (o->redis)
        redis_failed = write_redis(o, out, &err) != STATUS_OK ||
                       metrics_write_jobs(r->cache, o->redis, out, &err) != STATUS_OK ||
                       metrics_write_audit(r->cache, o->redis, out, &err) != STATUS_OK;
    database_failed = write_outbox(o, out, &err) != STATUS_OK;
    prometheus_family(out, "pnlcache_scrape_errors", "gauge",
                      "1: the server did not answer this scrape, so what it would have told is missing.");
    prometheus_sample(out, "pnlcache_scrape_errors", "server=\"redis\"", redis_failed);
    prometheus_sample(out, "pnlcache_scrape_errors", "server=\"database\"", database_failed);
    if (redis_failed || database_failed)
        log_debug("metrics are incomplete", LOG_STR("error", err.text));
}

void metrics_answer(struct operation_context *o, struct exchange *x)
{
    buf_clear(&x->body);
    write_all(o, &x->body);
    if (buf_status(&x->body) != STATUS_OK) {
        response_problem(&x->response, &x->request, 503, NULL, NULL, NULL);
        return;
    }
    response_begin(&x->response, &x->request, 200);
    response_header(&x->response, "Cache-Control", "no-store");
    response_finish(&x->response, PROMETHEUS_CONTENT_TYPE, x->body.data, x->body.len, x->request.method != METHOD_HEAD);
}
