#include <string.h>

#include "jobs/audit_internal.h"
#include "jobs/collection.h"
#include "jobs/document_body.h"
#include "lib/json/json_reader.h"
#include "lib/store/outbox.h"

#define META ",\"meta\":" /* what follows the data in every body */

const struct cache_tags *audit_tags(const struct audit_value *value)
{
    return value->dataset != NULL ? &value->dataset->tags : document_tags(&value->request);
}

void audit_append_key(const struct audit *a, const struct audit_value *value, struct buf *key)
{
    if (value->dataset != NULL)
        collection_append_key(a->options->cache, value->dataset, value->user_id, key);
    else
        document_append_key(a->options->cache, &value->request, value->user_id, key);
}

/* --- what is stored ------------------------------------------------------------------------------- */

static enum status look(struct audit *a, const struct audit_value *value, struct cache_lookup *ret_lookup,
                        struct err *err)
{
    *ret_lookup = (struct cache_lookup){.key = a->key.data, .user_id = value->user_id, .tags = audit_tags(value)};
    return cache_lookup_many(a->options->cache, a->options->redis, ret_lookup, 1, err);
}

bool audit_is_auditable(const struct cache_lookup *lookup)
{
    return lookup->verdict == CACHE_HIT && lookup->header.encoding != CACHE_NOT_FOUND;
}

/* meta.as_of of a body. */
static enum status read_as_of(const char *body, size_t len, struct instant *ret_as_of, struct err *err)
{
    struct json_document *document = NULL;
    const char *text;
    enum status status = json_parse(body, len, &document, err);

    if (status != STATUS_OK)
        return status;
    text = json_get_string(json_member(json_member(json_root(document), "meta"), "as_of"));
    if (text == NULL || instant_parse(text, ret_as_of) != STATUS_OK)
        status = err_fail(err, STATUS_INVALID, "meta.as_of is no instant");
    json_document_free(&document);
    return status;
}

enum status audit_unpack(const struct audit_value *value, const struct cache_lookup *lookup, struct buf *body,
                         struct instant *ret_as_of, struct err *err)
{
    size_t start = body->len;
    enum status status = cache_body_unpack(&lookup->header, lookup->body, AUDIT_BODY_MAX, body);

    if (status == STATUS_NO_MEMORY)
        return err_fail(err, status, "no memory for a document");
    if (status != STATUS_OK)
        return err_fail(err, STATUS_INVALID, "its gzip is damaged or over %d bytes", AUDIT_BODY_MAX);
    *ret_as_of = lookup->header.computed_at;
    if (value->dataset != NULL)
        return STATUS_OK;
    status = read_as_of(body->data + start, body->len - start, ret_as_of, err);
    return status == STATUS_NO_MEMORY || status == STATUS_OK ? status : STATUS_INVALID;
}

/* What would be served now. SAME: it was read; CHANGED: nothing would; FAILED: it is damaged in a way the read rule lets
 * pass. */
static enum status read_stored(struct audit *a, const struct audit_value *value, enum audit_finding *ret_finding,
                               struct err *err)
{
    struct cache_lookup lookup;
    enum status status = look(a, value, &lookup, err);

    if (status != STATUS_OK)
        return status;
    *ret_finding = AUDIT_CHANGED;
    if (!audit_is_auditable(&lookup))
        return STATUS_OK;
    a->header = lookup.header;
    buf_clear(&a->stored);
    status = audit_unpack(value, &lookup, &a->stored, &a->as_of, &a->why);
    if (status == STATUS_NO_MEMORY)
        return err_fail(err, status, "%s", a->why.text);
    *ret_finding = status == STATUS_OK ? AUDIT_SAME : AUDIT_FAILED;
    return STATUS_OK;
}

/* --- what it should be ----------------------------------------------------------------------------- */

/* Where the data of a body we have just written ends: before its meta, of which the volatile part is at the end. */
static size_t data_end(const struct cache_body *body)
{
    size_t end = body->volatile_start;

    while (end > 0 && (end + strlen(META) > body->len || memcmp(body->bytes + end, META, strlen(META)) != 0))
        end--;
    return end;
}

/* Everything up to and with the beginning of meta: envelope and data. What is not there, or too large to be an answer, is like nothing
 * that is stored. */
bool audit_is_same(const char *stored, size_t stored_len, const struct cache_body *expected, size_t *ret_at)
{
    size_t end, at = 0;

    *ret_at = 0;
    if (expected->not_found || expected->too_large)
        return false;
    end = data_end(expected) + strlen(META);
    while (at < end && at < stored_len && stored[at] == expected->bytes[at])
        at++;
    *ret_at = at;
    return at == end;
}

static enum status compute_list(struct audit *a, const struct audit_value *value, struct cache_body *ret_body,
                                struct err *err)
{
    struct instant as_of;
    enum status status = db_begin_snapshot(a->options->db, &as_of, err);

    if (status != STATUS_OK)
        return status;
    status = collection_compute(a->options->db, value->dataset, value->user_id, &a->expected, ret_body, err);
    db_end(a->options->db);
    return status;
}

static enum status compute(struct audit *a, const struct audit_value *value, enum audit_finding *ret_finding,
                           struct err *err)
{
    struct cache_body body;
    struct err why = {{0}};
    enum status status;

    buf_clear(&a->expected);
    if (value->dataset != NULL) {
        status = compute_list(a, value, &body, &why);
    } else {
        clock_set_override(a->as_of);
        status = document_compute(a->options->db, &value->request, value->user_id, &a->expected, &body, &why);
        clock_clear_override();
    }
    if (status == STATUS_OK) {
        *ret_finding = audit_is_same(a->stored.data, a->stored.len, &body, &a->at) ? AUDIT_SAME : AUDIT_DIFFERENT;
    } else if (status == STATUS_INVALID || status == STATUS_LIMIT) {
        a->why = why;
        *ret_finding = AUDIT_FAILED;
    } else {
        return err_fail(err, status, "%s", why.text);
    }
    return STATUS_OK;
}

/* Whether a difference is one: see the head of audit.h for why in this order. */
static enum status judge_difference(struct audit *a, const struct audit_value *value, enum audit_finding *ret_finding,
                                    struct err *err)
{
    struct cache_lookup lookup;
    bool pending = false;
    enum status status = outbox_concerns(a->options->db, value->user_id, &pending, err);

    if (status == STATUS_OK)
        status = look(a, value, &lookup, err);
    if (status != STATUS_OK)
        return status;
    if (pending)
        *ret_finding = AUDIT_PENDING;
    else if (lookup.verdict != CACHE_HIT || strcmp(lookup.header.etag, a->header.etag) != 0)
        *ret_finding = AUDIT_CHANGED;
    return STATUS_OK;
}

enum status audit_examine(struct audit *a, const struct audit_value *value, enum audit_finding *ret_finding,
                          struct err *err)
{
    enum status status;

    buf_clear(&a->key);
    audit_append_key(a, value, &a->key);
    status = buf_status(&a->key);
    if (status != STATUS_OK)
        return err_fail(err, status, "no memory for a key");
    status = read_stored(a, value, ret_finding, err);
    if (status == STATUS_OK && *ret_finding == AUDIT_SAME)
        status = compute(a, value, ret_finding, err);
    if (status == STATUS_OK && *ret_finding == AUDIT_DIFFERENT)
        status = judge_difference(a, value, ret_finding, err);
    return status;
}
