#include "fcgi/meter.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/prometheus.h"

/* The statuses that we send; the last stands for any other. */
static const int codes[METER_CODES] = {200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 406,
                                       413, 414, 415, 422, 429, 431, 500, 501, 503, 0};

static const struct {
    int64_t us;
    const char *text;
} buckets[METER_BUCKETS] = {
    {100, "0.0001"}, {250, "0.00025"}, {500, "0.0005"}, {1000, "0.001"},  {2500, "0.0025"}, {5000, "0.005"},
    {10000, "0.01"}, {25000, "0.025"}, {50000, "0.05"}, {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"},
    {1000000, "1"},  {2500000, "2.5"}, {5000000, "5"},  {10000000, "10"},
};

static const char *const tiers[RESPONSE_TIERS] = {
    [TIER_NONE] = "none", [TIER_L1] = "l1",         [TIER_REDIS] = "redis", [TIER_STORED] = "miss_stored",
    [TIER_MISS] = "miss", [TIER_BYPASS] = "bypass", [TIER_STALE] = "stale",
};

typedef _Atomic uint64_t counter;

struct meter {
    /* A cache line of its own: the thread writes here with each request. */
    _Alignas(64) counter requests[METER_ROUTES][METER_CODES];
    counter results[METER_ROUTES][RESPONSE_TIERS];
    counter durations[RESPONSE_TIERS][METER_BUCKETS + 1]; /* the last: longer than all of them */
    counter duration_us[RESPONSE_TIERS];
    counter known;
    struct meter *next;
};

struct meters {
    pthread_mutex_t lock;
    struct meter *first;
};

enum status meters_new(struct meters **ret_meters, struct err *err)
{
    struct meters *m = calloc(1, sizeof(*m));

    if (!m)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    pthread_mutex_init(&m->lock, NULL);
    *ret_meters = m;
    return STATUS_OK;
}

void meters_free(struct meters **meters)
{
    struct meters *m = *meters;

    if (!m)
        return;
    while (m->first) {
        struct meter *meter = m->first;
        m->first = meter->next;
        free(meter);
    }
    pthread_mutex_destroy(&m->lock);
    free(m);
    *meters = NULL;
}

enum status meter_new(struct meters *meters, struct meter **ret_meter, struct err *err)
{
    struct meter *meter = aligned_alloc(_Alignof(struct meter), sizeof(*meter));

    if (!meter)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    memset(meter, 0, sizeof(*meter));
    pthread_mutex_lock(&meters->lock);
    meter->next = meters->first;
    meters->first = meter;
    pthread_mutex_unlock(&meters->lock);
    *ret_meter = meter;
    return STATUS_OK;
}

/* --- counting ------------------------------------------------------------------------------------- */

/* No other thread writes it. */
static void add(counter *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static size_t code_index(int http_status)
{
    size_t i = 0;

    while (i < METER_CODES - 1 && codes[i] != http_status)
        i++;
    return i;
}

void meter_count(struct meter *meter, const struct exchange *x, int64_t now_us)
{
    int64_t took_us = now_us - x->request.arrived_us;
    enum response_tier tier = x->response.tier;
    size_t bucket = 0;

    while (bucket < METER_BUCKETS && took_us > buckets[bucket].us)
        bucket++;
    add(&meter->requests[x->route][code_index(x->response.http_status)], 1);
    add(&meter->durations[tier][bucket], 1);
    add(&meter->duration_us[tier], (uint64_t)took_us);
    if (x->known)
        add(&meter->known, 1);
    if (tier != TIER_NONE)
        add(&meter->results[x->route][tier], 1);
}

/* --- telling -------------------------------------------------------------------------------------- */

/* The sum over the threads of the counter at `offset` in a meter; the lock is held. */
static int64_t sum(const struct meters *m, size_t offset)
{
    uint64_t total = 0;

    for (const struct meter *meter = m->first; meter; meter = meter->next)
        total +=
            atomic_load_explicit((const counter *)(const void *)((const char *)meter + offset), memory_order_relaxed);
    return (int64_t)total;
}
#define SUM(m, member) sum(m, offsetof(struct meter, member))

void meters_read_route(struct meters *m, size_t route, struct meter_route *ret_route)
{
    *ret_route = (struct meter_route){.requests = 0};
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < METER_CODES; i++) {
        int64_t n = SUM(m, requests[route][i]);
        ret_route->requests += n;
        ret_route->errors += codes[i] >= 500 ? n : 0;
    }
    for (size_t tier = 0; tier < RESPONSE_TIERS; tier++)
        ret_route->results[tier] = SUM(m, results[route][tier]);
    pthread_mutex_unlock(&m->lock);
}

void meters_read_times(struct meters *m, struct meter_times *ret_times)
{
    *ret_times = (struct meter_times){.answers = {0}};
    pthread_mutex_lock(&m->lock);
    for (size_t tier = 0; tier < RESPONSE_TIERS; tier++) {
        for (size_t i = 0; i <= METER_BUCKETS; i++)
            ret_times->answers[tier] += SUM(m, durations[tier][i]);
        ret_times->total_us[tier] = SUM(m, duration_us[tier]);
    }
    pthread_mutex_unlock(&m->lock);
}

static void write_requests(const struct meters *m, meter_labeller *label_of, struct buf *out)
{
    static const char name[] = "pnlcache_http_requests_total";
    char labels[160], code[8], label[METER_LABEL_SIZE];

    prometheus_family(out, name, "counter", "Requests answered, by route and status.");
    for (size_t route = 0; route < METER_ROUTES; route++)
        for (size_t i = 0; i < METER_CODES; i++) {
            int64_t n = SUM(m, requests[route][i]);
            if (n == 0)
                continue;
            snprintf(code, sizeof(code), "%d", codes[i]);
            label_of(route, label);
            snprintf(labels, sizeof(labels), "route=\"%s\",code=\"%s\"", label, codes[i] ? code : "other");
            prometheus_sample(out, name, labels, n);
        }
}

static void write_results(const struct meters *m, meter_labeller *label_of, struct buf *out)
{
    static const char name[] = "pnlcache_cache_requests_total";
    char labels[160], label[METER_LABEL_SIZE];

    prometheus_family(
        out, name, "counter",
        "Cached answers, by route and where they came from: the responder's memory (l1), redis, or computed.");
    for (size_t route = 0; route < METER_ROUTES; route++)
        for (size_t tier = TIER_NONE + 1; tier < RESPONSE_TIERS; tier++) {
            int64_t n = SUM(m, results[route][tier]);
            if (n == 0)
                continue;
            label_of(route, label);
            snprintf(labels, sizeof(labels), "route=\"%s\",result=\"%s\"", label, tiers[tier]);
            prometheus_sample(out, name, labels, n);
        }
}

static void write_durations(const struct meters *m, struct buf *out)
{
    char labels[64];

    prometheus_family(out, "pnlcache_http_request_duration_seconds", "histogram",
                      "From a request's arrival to its answer, by where the answer came from.");
    for (size_t tier = 0; tier < RESPONSE_TIERS; tier++) {
        int64_t n = 0;
        for (size_t i = 0; i <= METER_BUCKETS; i++) {
            n += SUM(m, durations[tier][i]);
            snprintf(labels, sizeof(labels), "tier=\"%s\",le=\"%s\"", tiers[tier],
                     i < METER_BUCKETS ? buckets[i].text : "+Inf");
            prometheus_sample(out, "pnlcache_http_request_duration_seconds_bucket", labels, n);
        }
        snprintf(labels, sizeof(labels), "tier=\"%s\"", tiers[tier]);
        prometheus_seconds(out, "pnlcache_http_request_duration_seconds_sum", labels, SUM(m, duration_us[tier]));
        prometheus_sample(out, "pnlcache_http_request_duration_seconds_count", labels, n);
    }
}

void meters_write(struct meters *m, meter_labeller *label_of, struct buf *out)
{
    pthread_mutex_lock(&m->lock);
    write_requests(m, label_of, out);
    prometheus_family(out, "pnlcache_http_requests_known_total", "counter",
                      "Requests that came before, byte for byte, so that they were not parsed again.");
    prometheus_sample(out, "pnlcache_http_requests_known_total", NULL, SUM(m, known));
    write_results(m, label_of, out);
    write_durations(m, out);
    pthread_mutex_unlock(&m->lock);
}
