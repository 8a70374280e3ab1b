#include <string.h>

#include "fcgi/cache_operations.h"
#include "fcgi/envelope.h"
#include "fcgi/meter.h"
#include "fcgi/router.h"
#include "jobs/key_census.h"
#include "lib/base/log.h"
#include "lib/store/redis_info.h"

static void key_int(struct json_writer *w, const char *key, int64_t value)
{
    json_key_text(w, key, strlen(key));
    json_int(w, value);
}

static int64_t hits_of(const int64_t results[RESPONSE_TIERS])
{
    return results[TIER_L1] + results[TIER_REDIS];
}

/* Computed for the request, or for want of a valid value; a stale answer is neither hit nor miss. */
static int64_t misses_of(const int64_t results[RESPONSE_TIERS])
{
    return results[TIER_STORED] + results[TIER_MISS] + results[TIER_BYPASS];
}

/* null: nothing was asked yet. */
static void write_hit_rate(struct json_writer *w, const int64_t results[RESPONSE_TIERS])
{
    int64_t hits = hits_of(results);

    json_key(w, "hit_rate");
    json_ratio(w, hits, hits + misses_of(results), 6);
}

/* --- endpoints ------------------------------------------------------------------------------ */

static void write_route(struct json_writer *w, size_t number, const struct meter_route *route)
{
    char label[METER_LABEL_SIZE];

    router_label(number, label);
    json_object_begin(w);
    json_key(w, "route");
    json_string(w, label);
    key_int(w, "requests", route->requests);
    key_int(w, "errors", route->errors);
    key_int(w, "hits_l1", route->results[TIER_L1]);
    key_int(w, "hits_redis", route->results[TIER_REDIS]);
    key_int(w, "misses", misses_of(route->results));
    key_int(w, "stale", route->results[TIER_STALE]);
    write_hit_rate(w, route->results);
    json_object_end(w);
}

/* Those that were asked. The sums go into *total. */
static void write_routes(struct json_writer *w, struct meters *meters, struct meter_route *total)
{
    json_key(w, "endpoints");
    json_array_begin(w);
    for (size_t i = 0; i < METER_ROUTES; i++) {
        struct meter_route route;
        meters_read_route(meters, i, &route);
        total->requests += route.requests;
        total->errors += route.errors;
        for (size_t tier = 0; tier < RESPONSE_TIERS; tier++)
            total->results[tier] += route.results[tier];
        if (route.requests > 0)
            write_route(w, i, &route);
    }
    json_array_end(w);
}

static void write_mean(struct json_writer *w, const char *key, const struct meter_times *times, unsigned tiers)
{
    int64_t answers = 0, us = 0;

    for (size_t tier = 0; tier < RESPONSE_TIERS; tier++)
        if (tiers & 1U << tier) {
            answers += times->answers[tier];
            us += times->total_us[tier];
        }
    json_key_text(w, key, strlen(key));
    json_ratio(w, us, (wide_int)answers * 1000000, 6);
}

static void write_totals(struct json_writer *w, struct meters *meters, const struct meter_route *total)
{
    struct meter_times times;

    meters_read_times(meters, &times);
    json_key(w, "total");
    json_object_begin(w);
    key_int(w, "requests", total->requests);
    key_int(w, "errors", total->errors);
    key_int(w, "hits", hits_of(total->results));
    key_int(w, "misses", misses_of(total->results));
    write_hit_rate(w, total->results);
    write_mean(w, "average_hit_seconds", &times, 1U << TIER_L1 | 1U << TIER_REDIS);
    write_mean(w, "average_miss_seconds", &times, 1U << TIER_STORED | 1U << TIER_MISS | 1U << TIER_BYPASS);
    json_object_end(w);
}

/* --- the cache ------------------------------------------------------------------------------ */

static void write_memory(struct json_writer *w, struct local_cache *local)
{
    struct local_counters c;

    local_cache_read_counters(local, &c);
    json_key(w, "memory");
    json_object_begin(w);
    json_key(w, "state");
    json_string(w, local_cache_state_name(local));
    key_int(w, "entries", (int64_t)c.usage.entries);
    key_int(w, "bytes", (int64_t)c.usage.bytes);
    key_int(w, "evicted", (int64_t)c.usage.evicted);
    json_object_end(w);
}

static void write_values(struct json_writer *w, const struct cache *cache)
{
    struct cache_counters c;

    cache_read_counters(cache, &c);
    json_key(w, "values");
    json_object_begin(w);
    key_int(w, "stored", (int64_t)c.stored);
    key_int(w, "unchanged", (int64_t)c.unchanged);
    key_int(w, "refused", (int64_t)c.refused);
    key_int(w, "too_large", (int64_t)c.too_large);
    key_int(w, "invalidations", (int64_t)c.invalidations);
    json_key(w, "invalid");
    json_object_begin(w);
    for (enum cache_verdict v = CACHE_MISS_DAMAGED; v < CACHE_VERDICTS; v++)
        key_int(w, cache_verdict_name(v), (int64_t)c.verdicts[v]);
    json_object_end(w);
    json_object_end(w);
}

/* --- Redis ---------------------------------------------------------------------------------- */

static void write_info(struct json_writer *w, const char *info)
{
    static const char *const texts[] = {"redis_version", "role", "maxmemory_policy"};
    static const char *const numbers[] = {
        "uptime_in_seconds", "connected_clients", "used_memory",   "used_memory_peak", "maxmemory",
        "evicted_keys",      "expired_keys",      "keyspace_hits", "keyspace_misses",  "total_commands_processed"};
    char text[64];
    int64_t number;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (redis_info_value(info, texts[i], text, sizeof(text))) {
            json_key_text(w, texts[i], strlen(texts[i]));
            json_string(w, text);
        }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (redis_info_number(info, numbers[i], &number))
            key_int(w, numbers[i], number);
}

/* A count of each family would be a walk over all keys: it is the one that the job `prune` made last. */
static void write_census(struct json_writer *w, const struct key_census *census)
{
    char text[INSTANT_TEXT_SIZE];

    json_key(w, "keys_by_family");
    json_object_begin(w);
    json_key(w, "counted_at");
    if (census->counted_at.us > 0) {
        instant_format(census->counted_at, text);
        json_string(w, text);
    } else {
        json_null(w);
    }
    json_key(w, "families");
    json_object_begin(w);
    for (size_t i = 0; i < census->n; i++)
        key_int(w, census->families[i].name, census->families[i].keys);
    json_object_end(w);
    json_object_end(w);
}

static enum status read_redis(struct operation_context *o, struct buf *info, int64_t *ret_keys,
                              struct key_census *census, struct err *err)
{
    const char *bytes;
    size_t len;

    if (!o->redis)
        return err_fail(err, STATUS_UNAVAILABLE, "REDIS_ENABLED is false");
    redis_append_words(o->redis, "INFO", NULL);
    redis_append_words(o->redis, "DBSIZE", NULL);
    enum status status = redis_flush(o->redis, err);
    for (size_t i = 0; i < 2 && status == STATUS_OK; i++)
        status = redis_reply_status(redis_reply_at(o->redis, i), err);
    if (status != STATUS_OK)
        return status;
    bytes = redis_reply_bytes(redis_reply_at(o->redis, 0), &len);
    buf_append(info, bytes, len);
    *ret_keys = redis_reply_integer(redis_reply_at(o->redis, 1));
    return buf_status(info) == STATUS_OK ? key_census_read(o->responder->cache, o->redis, census, err)
                                         : STATUS_NO_MEMORY;
}

/* null: it does not answer, and nothing is made up. */
static void write_redis(struct operation_context *o, struct json_writer *w)
{
    struct key_census census = {.n = 0};
    struct buf info = BUF_INIT;
    struct err err = {""};
    int64_t keys = 0;

    json_key(w, "redis");
    if (read_redis(o, &info, &keys, &census, &err) == STATUS_OK) {
        json_object_begin(w);
        write_info(w, info.data);
        key_int(w, "keys", keys);
        write_census(w, &census);
        json_object_end(w);
    } else {
        log_debug("statistics without Redis", LOG_STR("error", err.text));
        json_null(w);
    }
    buf_release(&info);
}

/* --- the answer ----------------------------------------------------------------------------- */

void cache_show_stats(struct operation_context *o, struct exchange *x)
{
    struct meter_route total = {.requests = 0};
    struct responder *r = o->responder;
    char since[INSTANT_TEXT_SIZE];
    struct json_writer w;

    envelope_begin(x, &w);
    json_key(&w, "since");
    instant_format((struct instant){o->started_s * US_PER_SECOND}, since);
    json_string(&w, since);
    write_routes(&w, r->meters, &total);
    write_totals(&w, r->meters, &total);
    write_memory(&w, r->local);
    write_values(&w, r->cache);
    write_redis(o, &w);
    envelope_end(x, &w, 200, NULL);
}
