#include <string.h>

#include "fcgi/cache_operations.h"
#include "fcgi/envelope.h"
#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/store/cache_inspect.h"

static void write_instant(struct json_writer *w, struct instant t)
{
    char text[INSTANT_TEXT_SIZE];

    instant_format(t, text);
    json_string(w, text);
}

static void write_epoch(struct json_writer *w, uint64_t epoch)
{
    char text[17];

    if (epoch == 0) {
        json_null(w);
        return;
    }
    hex64_format(epoch, text);
    json_string(w, text);
}

static void write_epochs(struct json_writer *w, const struct cache_entry *e)
{
    json_key(w, "epochs");
    json_array_begin(w);
    for (size_t i = 0; i < e->header.n_epochs; i++) {
        json_object_begin(w);
        json_key(w, "tag");
        json_string(w, e->header.epochs[i].tag);
        json_key(w, "shared");
        json_bool(w, e->header.epochs[i].shared);
        json_key(w, "of_value");
        write_epoch(w, e->header.epochs[i].epoch);
        json_key(w, "present");
        write_epoch(w, e->present[i]);
        json_object_end(w);
    }
    json_array_end(w);
}

static void write_header(struct json_writer *w, const struct cache_entry *e, const char *instance)
{
    static const char *const encodings[] = {
        [CACHE_IDENTITY] = "identity", [CACHE_GZIP] = "gzip", [CACHE_NOT_FOUND] = "not_found"};
    const struct cache_header *h = &e->header;

    json_key(w, "encoding");
    json_string(w, encodings[h->encoding]);
    json_key(w, "etag");
    json_string(w, h->etag);
    json_key(w, "computed_at");
    write_instant(w, h->computed_at);
    json_key(w, "compute_seconds");
    json_decimal(w, h->cost_us, 6, 6);
    json_key(w, "valid_until");
    write_instant(w, h->valid_until);
    json_key(w, "expires_at");
    write_instant(w, h->expires_at);
    json_key(w, "of_this_instance");
    json_bool(w, strcmp(h->instance, instance) == 0);
    write_epochs(w, e);
}

static void write_entry(struct json_writer *w, const char *key, const struct cache_entry *e, const char *instance)
{
    bool exists = e->verdict != CACHE_MISS_ABSENT;

    json_key(w, "key");
    json_string(w, key);
    json_key(w, "exists");
    json_bool(w, exists);
    json_key(w, "type");
    json_string(w, e->type);
    json_key(w, "valid");
    json_bool(w, e->verdict == CACHE_HIT);
    json_key(w, "reason");
    json_string(w, e->verdict == CACHE_HIT ? NULL : cache_verdict_name(e->verdict));
    if (!exists)
        return;
    json_key(w, "ttl");
    if (e->ttl_ms < 0)
        json_null(w);
    else
        json_decimal(w, e->ttl_ms, 3, 3);
    json_key(w, "size");
    json_int(w, (int64_t)e->size);
    json_key(w, "memory");
    json_int(w, e->memory);
    if (e->verdict != CACHE_MISS_DAMAGED)
        write_header(w, e, instance);
}

void cache_show_key(struct operation_context *o, struct exchange *x)
{
    struct cache_entry entry;
    struct json_writer w;
    struct err err = {""};
    enum status status = STATUS_UNAVAILABLE;

    if (o->redis)
        status = cache_inspect(o->responder->cache, o->redis, x->key.data, &entry, &err);
    if (status != STATUS_OK) {
        log_debug("no look at a key", LOG_STR("request", x->request.id), LOG_STR("error", err.text));
        response_problem(&x->response, &x->request, 503, "Redis does not answer", NULL, NULL);
        return;
    }
    envelope_begin(x, &w);
    write_entry(&w, x->key.data, &entry, redis_instance(o->redis));
    envelope_end(x, &w, 200, NULL);
}
