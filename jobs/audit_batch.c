/* Many stored values against one snapshot. A user's documents that are as of one instant, which those of a job all are, are computed from
 * one reading of the journal; a user's who are as of another one are left to be examined by themselves. */
#include <stdlib.h>
#include <string.h>

#include "jobs/audit_internal.h"
#include "jobs/collection.h"
#include "jobs/document_body.h"
#include "jobs/source_stream.h"

struct batch {
    struct audit *a;
    struct audit_value **documents; /* by user and as_of */
    size_t n_documents;
    struct source_request *requests;
    size_t *first; /* document of each request */
    size_t n_requests;
    struct report *report;
};

static int compare_documents(const void *left, const void *right)
{
    const struct audit_value *a = *(struct audit_value *const *)left, *b = *(struct audit_value *const *)right;
    int order = strcmp(a->user_id, b->user_id);

    return order != 0 ? order : (a->as_of.us > b->as_of.us) - (a->as_of.us < b->as_of.us);
}

static bool is_of_request(const struct source_request *request, const struct audit_value *value)
{
    return strcmp(request->user_id, value->user_id) == 0 && request->as_of.us == value->as_of.us;
}

/* A request for each user, with what all documents of its first as_of need. */
static void fill_requests(struct batch *b)
{
    for (size_t i = 0; i < b->n_documents; i++) {
        const struct audit_value *value = b->documents[i];
        struct source_request *last;

        if (b->n_requests == 0 || strcmp(b->requests[b->n_requests - 1].user_id, value->user_id) != 0) {
            b->first[b->n_requests] = i;
            b->requests[b->n_requests++] = (struct source_request){.user_id = value->user_id, .as_of = value->as_of};
        }
        last = &b->requests[b->n_requests - 1];
        if (is_of_request(last, value))
            last->needs |= document_needs(&value->request);
    }
}

static enum status batch_init(struct batch *b, struct audit *a, struct err *err)
{
    struct audit_chunk *chunk = &a->chunk;
    enum status status;

    *b = (struct batch){.a = a,
                        .documents = calloc(chunk->n + 1, sizeof *b->documents),
                        .requests = calloc(chunk->n + 1, sizeof *b->requests),
                        .first = calloc(chunk->n + 1, sizeof *b->first)};
    if (b->documents == NULL || b->requests == NULL || b->first == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "no memory for a sample");
    status = report_new(&b->report, err);
    for (size_t i = 0; i < chunk->n; i++) {
        chunk->values[i].finding = AUDIT_DIFFERENT;
        if (chunk->values[i].has_body && chunk->values[i].dataset == NULL)
            b->documents[b->n_documents++] = &chunk->values[i];
    }
    qsort(b->documents, b->n_documents, sizeof *b->documents, compare_documents);
    fill_requests(b);
    return status;
}

static void batch_release(struct batch *b)
{
    free(b->documents);
    free(b->requests);
    free(b->first);
    report_free(&b->report);
}

static void note(struct batch *b, struct audit_value *value, enum status status, const struct cache_body *body)
{
    size_t at;

    if (status == STATUS_OK && audit_is_same(b->a->chunk.bodies.data + value->body, value->body_len, body, &at))
        value->finding = AUDIT_SAME;
}

/* Of one user; what cannot be computed is not the same. */
static enum status compute_documents(struct batch *b, size_t request, const struct document_source *source,
                                     struct err *err)
{
    const struct source_request *r = &b->requests[request];
    enum status status = STATUS_OK;

    for (size_t i = b->first[request]; i < b->n_documents && is_of_request(r, b->documents[i]); i++) {
        struct cache_body body;

        buf_clear(&b->a->expected);
        clock_set_override(r->as_of);
        status = document_build(source, b->report, &b->documents[i]->request, &b->a->expected, &body, err);
        clock_clear_override();
        note(b, b->documents[i], status, &body);
        if (status == STATUS_NO_MEMORY)
            return status;
    }
    return STATUS_OK;
}

static enum status compute_users(struct batch *b, struct err *err)
{
    const struct document_source *source;
    struct source_stream *stream = NULL;
    size_t i = 0;
    enum status status = source_stream_new(b->a->options->db, b->requests, b->n_requests, clock_now(), &stream, err);

    while (status == STATUS_OK || status == STATUS_INVALID || status == STATUS_LIMIT) {
        status = source_stream_next(stream, &i, &source, err);
        if (status == STATUS_OK)
            status = compute_documents(b, i, source, err);
    }
    source_stream_free(&stream);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* A statement that fails ends the transaction; it and those after it are left to be examined. */
static enum status compute_lists(struct batch *b, struct err *err)
{
    struct audit_chunk *chunk = &b->a->chunk;
    enum status status = STATUS_OK;

    for (size_t i = 0; i < chunk->n && status == STATUS_OK; i++) {
        struct audit_value *value = &chunk->values[i];
        struct cache_body body;

        if (!value->has_body || value->dataset == NULL)
            continue;
        buf_clear(&b->a->expected);
        status = collection_compute(b->a->options->db, value->dataset, value->user_id, &b->a->expected, &body, err);
        note(b, value, status, &body);
    }
    return status == STATUS_UNAVAILABLE || status == STATUS_NO_MEMORY ? status : STATUS_OK;
}

enum status audit_compute_chunk(struct audit *a, struct err *err)
{
    struct instant as_of;
    struct batch b;
    enum status status = batch_init(&b, a, err);

    if (status == STATUS_OK && a->chunk.n > 0) {
        status = db_begin_snapshot(a->options->db, &as_of, err);
        if (status == STATUS_OK)
            status = compute_users(&b, err);
        if (status == STATUS_OK)
            status = compute_lists(&b, err);
        db_end(a->options->db);
    }
    batch_release(&b);
    return status;
}
