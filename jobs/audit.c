#include "jobs/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "jobs/document_body.h"
#include "jobs/wanted.h"
#include "lib/json/json_reader.h"
#include "lib/store/outbox.h"

#define BODY_MAX (64 << 20)
#define META ",\"meta\":" /* what follows the data in every body */

enum finding { SAME, DIFFERENT, CHANGED, PENDING, FAILED };

struct audit {
    const struct audit_options *options;
    struct audit_counts counts;
    uint64_t random;
    /* The document at hand. */
    const char *user_id;
    struct document_request request;
    struct buf key, stored, expected;
    struct cache_header header;
    struct instant as_of;
    size_t at;
    struct err why; /* of FAILED */
};

/* SplitMix64 (Steele, Lea, Flood 2014): any seed is as good as another. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Moves a random one of order[from .. n) to order[from]. */
static void draw(uint64_t *random, size_t *order, size_t from, size_t n)
{
    size_t other = from + next_random(random) % (n - from), swap = order[from];

    order[from] = order[other];
    order[other] = swap;
}

static bool is_stopped(const struct audit *a)
{
    return a->options->stop != NULL && atomic_load(a->options->stop);
}

/* --- one document ------------------------------------------------------------------------------- */

static enum status look(struct audit *a, struct cache_lookup *ret_lookup, struct err *err)
{
    *ret_lookup = (struct cache_lookup){.key = a->key.data, .user_id = a->user_id, .tags = document_tags(&a->request)};
    return cache_lookup_many(a->options->cache, a->options->redis, ret_lookup, 1, err);
}

/* Served, and a document: that something is not there has no as_of. */
static bool is_auditable(const struct cache_lookup *lookup)
{
    return lookup->verdict == CACHE_HIT && lookup->header.encoding != CACHE_NOT_FOUND;
}

/* meta.as_of of a body. */
static enum status read_as_of(const struct buf *body, struct instant *ret_as_of, struct err *err)
{
    struct json_document *document = NULL;
    const char *text;
    enum status status = json_parse(body->data, body->len, &document, err);

    if (status != STATUS_OK)
        return status;
    text = json_get_string(json_member(json_member(json_root(document), "meta"), "as_of"));
    if (text == NULL || instant_parse(text, ret_as_of) != STATUS_OK)
        status = err_fail(err, STATUS_INVALID, "meta.as_of is no instant");
    json_document_free(&document);
    return status;
}

/* What would be served now. SAME: it was read; CHANGED: nothing would; FAILED: it is damaged in a way the read rule lets
 * pass. */
static enum status read_stored(struct audit *a, enum finding *ret_finding, struct err *err)
{
    struct cache_lookup lookup;
    enum status status = look(a, &lookup, err);

    if (status != STATUS_OK)
        return status;
    *ret_finding = CHANGED;
    if (!is_auditable(&lookup))
        return STATUS_OK;
    a->header = lookup.header;
    buf_clear(&a->stored);
    status = cache_body_unpack(&lookup.header, lookup.body, BODY_MAX, &a->stored);
    if (status == STATUS_NO_MEMORY)
        return err_fail(err, status, "no memory for a document");
    if (status != STATUS_OK)
        status = err_fail(&a->why, status, "its gzip is damaged or over %d bytes", BODY_MAX);
    else
        status = read_as_of(&a->stored, &a->as_of, &a->why);
    *ret_finding = status == STATUS_OK ? SAME : FAILED;
    return STATUS_OK;
}

/* Where the data of a body we have just written ends: before its meta, of which the volatile part is at the end. */
static size_t data_end(const struct cache_body *body)
{
    size_t end = body->volatile_start;

    while (end > 0 && (end + strlen(META) > body->len || memcmp(body->bytes + end, META, strlen(META)) != 0))
        end--;
    return end;
}

/* Everything up to and with the beginning of meta: envelope and data. */
static enum finding compare(struct audit *a, const struct cache_body *expected)
{
    size_t end = data_end(expected) + strlen(META);

    while (a->at < end && a->at < a->stored.len && a->stored.data[a->at] == expected->bytes[a->at])
        a->at++;
    return a->at == end ? SAME : DIFFERENT;
}

static enum status compute(struct audit *a, enum finding *ret_finding, struct err *err)
{
    struct cache_body body;
    struct err why = {{0}};
    enum status status;

    buf_clear(&a->expected);
    a->at = 0;
    clock_set_override(a->as_of);
    status = document_compute(a->options->db, &a->request, a->user_id, &a->expected, &body, &why);
    clock_clear_override();
    if (status == STATUS_OK) {
        *ret_finding = body.not_found ? DIFFERENT : compare(a, &body);
    } else if (status == STATUS_INVALID || status == STATUS_LIMIT) {
        a->why = why;
        *ret_finding = FAILED;
    } else {
        return err_fail(err, status, "%s", why.text);
    }
    return STATUS_OK;
}

/* Whether a difference is one: see the head of audit.h for why in this order. */
static enum status judge_difference(struct audit *a, enum finding *ret_finding, struct err *err)
{
    struct cache_lookup lookup;
    bool pending = false;
    enum status status = outbox_concerns(a->options->db, a->user_id, &pending, err);

    if (status == STATUS_OK)
        status = look(a, &lookup, err);
    if (status != STATUS_OK)
        return status;
    if (pending)
        *ret_finding = PENDING;
    else if (lookup.verdict != CACHE_HIT || strcmp(lookup.header.etag, a->header.etag) != 0)
        *ret_finding = CHANGED;
    return STATUS_OK;
}

static enum status examine(struct audit *a, enum finding *ret_finding, struct err *err)
{
    enum status status = read_stored(a, ret_finding, err);

    if (status == STATUS_OK && *ret_finding == SAME)
        status = compute(a, ret_finding, err);
    if (status == STATUS_OK && *ret_finding == DIFFERENT)
        status = judge_difference(a, ret_finding, err);
    return status;
}

static void report(struct audit *a)
{
    struct audit_mismatch mismatch = {.user_id = a->user_id,
                                      .key = a->key.data,
                                      .header = &a->header,
                                      .as_of = a->as_of,
                                      .stored = a->stored.data,
                                      .stored_len = a->stored.len,
                                      .expected = a->expected.data,
                                      .expected_len = a->expected.len,
                                      .at = a->at};

    a->counts.mismatched++;
    if (a->options->on_mismatch != NULL)
        a->options->on_mismatch(a->options->context, &mismatch);
}

static enum status audit_document(struct audit *a, struct err *err)
{
    struct timespec settle = {AUDIT_SETTLE_MS / 1000, AUDIT_SETTLE_MS % 1000 * 1000000L};
    enum finding finding;
    enum status status;

    buf_clear(&a->key);
    document_append_key(a->options->cache, &a->request, a->user_id, &a->key);
    status = buf_status(&a->key);
    if (status == STATUS_OK)
        status = examine(a, &finding, err);
    if (status == STATUS_OK && finding == DIFFERENT) {
        (void)nanosleep(&settle, NULL); /* a signal only makes it shorter */
        status = examine(a, &finding, err);
    }
    if (status != STATUS_OK)
        return status;
    a->counts.checked += finding == SAME || finding == DIFFERENT;
    a->counts.changed += finding == CHANGED;
    a->counts.pending += finding == PENDING;
    if (finding == DIFFERENT)
        report(a);
    if (finding == FAILED) {
        a->counts.failed++;
        if (a->options->on_failed != NULL)
            a->options->on_failed(a->options->context, a->user_id, a->key.data, a->why.text);
    }
    return STATUS_OK;
}

/* --- which documents ---------------------------------------------------------------------------- */

/* What a user may have in the cache: the precomputed documents, then those asked for lately. */
struct documents {
    struct wanted wanted;
    size_t n, n_valid;
    struct cache_lookup *lookups;
    struct buf keys;
    size_t *order; /* the valid ones first */
};

static void documents_release(struct documents *d)
{
    wanted_release(&d->wanted);
    free(d->lookups);
    free(d->order);
    buf_release(&d->keys);
}

static struct document_request request_of(const struct documents *d, size_t i)
{
    size_t n_precomputed = document_precomputed_count();

    return i < n_precomputed ? document_precomputed(i) : d->wanted.requests[i - n_precomputed];
}

static enum status prepare_lookups(const struct audit *a, struct documents *d)
{
    size_t position = 0;

    for (size_t i = 0; i < d->n; i++) {
        struct document_request request = request_of(d, i);

        document_append_key(a->options->cache, &request, a->user_id, &d->keys);
        buf_append_char(&d->keys, '\0');
        d->lookups[i] = (struct cache_lookup){.user_id = a->user_id, .tags = document_tags(&request)};
    }
    if (buf_status(&d->keys) != STATUS_OK)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < d->n; i++) {
        d->lookups[i].key = d->keys.data + position;
        position += strlen(d->lookups[i].key) + 1;
    }
    return STATUS_OK;
}

/* The numbers of those that would be served now, first in `order`. */
static enum status list_valid(const struct audit *a, struct documents *d, struct err *err)
{
    const struct audit_options *o = a->options;
    enum status status = wanted_read(o->cache, o->redis, o->settings, 1, &a->user_id, &d->wanted, err);

    if (status != STATUS_OK)
        return status;
    d->n = document_precomputed_count() + d->wanted.n;
    d->lookups = calloc(d->n, sizeof *d->lookups);
    d->order = calloc(d->n, sizeof *d->order);
    if (d->lookups == NULL || d->order == NULL || prepare_lookups(a, d) != STATUS_OK)
        return err_fail(err, STATUS_NO_MEMORY, "no memory to look at present documents");
    status = cache_lookup_many(o->cache, o->redis, d->lookups, d->n, err);
    for (size_t i = 0; i < d->n && status == STATUS_OK; i++)
        if (is_auditable(&d->lookups[i]))
            d->order[d->n_valid++] = i;
    return status;
}

/* At most `quota` documents of the user. */
static enum status audit_user(struct audit *a, size_t quota, struct err *err)
{
    struct documents documents = {.keys = BUF_INIT};
    enum status status = list_valid(a, &documents, err);

    for (size_t i = 0; i < documents.n_valid && i < quota && status == STATUS_OK && !is_stopped(a); i++) {
        draw(&a->random, documents.order, i, documents.n_valid);
        a->request = request_of(&documents, documents.order[i]);
        status = audit_document(a, err);
    }
    a->counts.users++;
    documents_release(&documents);
    return status;
}

/* Users in random order, each with as many documents as it takes when all have enough. */
static enum status audit_users(struct audit *a, size_t *order, struct err *err)
{
    const struct audit_options *o = a->options;
    size_t quota = (o->sample + o->n_users - 1) / o->n_users;
    enum status status = STATUS_OK;

    for (size_t i = 0; i < o->n_users; i++)
        order[i] = i;
    for (size_t i = 0; i < o->n_users && status == STATUS_OK && !is_stopped(a); i++) {
        size_t left = o->sample - (a->counts.checked < o->sample ? a->counts.checked : o->sample);

        if (left == 0)
            break;
        draw(&a->random, order, i, o->n_users);
        a->user_id = o->user_ids[order[i]];
        status = audit_user(a, quota < left ? quota : left, err);
        if (o->on_progress != NULL)
            o->on_progress(o->context, a->counts.checked, o->sample);
    }
    return status;
}

enum status audit_run(const struct audit_options *options, struct audit_counts *ret_counts, struct err *err)
{
    struct audit a = {
        .options = options, .random = options->seed, .key = BUF_INIT, .stored = BUF_INIT, .expected = BUF_INIT};
    size_t *order = calloc(options->n_users + 1, sizeof *order);
    enum status status = STATUS_OK;

    if (order == NULL)
        status = err_fail(err, STATUS_NO_MEMORY, "no memory for a list of %zu users", options->n_users);
    else if (options->n_users > 0)
        status = audit_users(&a, order, err);
    *ret_counts = a.counts;
    buf_release(&a.key);
    buf_release(&a.stored);
    buf_release(&a.expected);
    free(order);
    return status;
}

/* --- for the metrics ---------------------------------------------------------------------------- */

static enum status make_record_key(const struct cache *cache, struct buf *key, struct err *err)
{
    cache_append_prefix(cache, key);
    buf_append_string(key, "stats:audit");
    return buf_status(key) == STATUS_OK ? STATUS_OK : err_fail(err, STATUS_NO_MEMORY, "out of memory");
}

enum status audit_read_record(const struct cache *cache, struct redis *redis, struct audit_record *ret_record,
                              struct err *err)
{
    const struct redis_reply *reply;
    struct buf key = BUF_INIT;
    enum status status = make_record_key(cache, &key, err);

    if (status == STATUS_OK)
        status = redis_command(redis, &reply, err, "HMGET", key.data, "checked", "mismatches", "last_time", NULL);
    if (status == STATUS_OK && redis_reply_length(reply) != 3)
        status = err_fail(err, STATUS_INTERNAL, "HMGET answered something unknown");
    if (status == STATUS_OK)
        *ret_record = (struct audit_record){.checked = redis_reply_number(redis_reply_element(reply, 0)),
                                            .mismatches = redis_reply_number(redis_reply_element(reply, 1)),
                                            .last_time_s = redis_reply_number(redis_reply_element(reply, 2))};
    buf_release(&key);
    return status;
}

enum status audit_record(struct cache *cache, struct redis *redis, const struct audit_counts *counts, struct err *err)
{
    struct buf key = BUF_INIT;
    char checked[24], mismatched[24], now[24];
    enum status status;

    status = make_record_key(cache, &key, err);
    if (status == STATUS_OK) {
        (void)snprintf(checked, sizeof checked, "%zu", counts->checked);
        (void)snprintf(mismatched, sizeof mismatched, "%zu", counts->mismatched);
        (void)snprintf(now, sizeof now, "%lld", (long long)(clock_now().us / US_PER_SECOND));
        redis_append_words(redis, "HINCRBY", key.data, "checked", checked, NULL);
        redis_append_words(redis, "HINCRBY", key.data, "mismatches", mismatched, NULL);
        redis_append_words(redis, "HSET", key.data, "last_time", now, "last_checked", checked, "last_mismatches",
                           mismatched, NULL);
        status = redis_flush(redis, err);
        for (size_t i = 0; i < 3 && status == STATUS_OK; i++)
            status = redis_reply_status(redis_reply_at(redis, i), err);
    }
    buf_release(&key);
    return status;
}
