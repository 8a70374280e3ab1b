#include "jobs/source_stream.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/annotation_reader.h"
#include "jobs/document.h"
#include "jobs/trade_reader.h"

/* Whoever needs no annotations comes first, whatever is wrong with the views of these. */
enum phase { PLAIN, ANNOTATED, APART, PHASES };

struct source_stream {
    struct db *db;
    const struct source_request *requests;
    size_t n;
    struct instant computed_at;
    bool *apart; /* of each request */
    enum phase phase;
    bool is_open; /* the phase */
    /* Those of the phase. */
    size_t n_members, next, *members; /* numbers of requests */
    const char **ids;
    struct annotated_user *annotated; /* of each */
    struct trade_reader *reader;
    struct document_source source; /* the one delivered last */
};

enum status source_stream_new(struct db *db, const struct source_request *requests, size_t n,
                              struct instant computed_at, struct source_stream **ret_stream, struct err *err)
{
    struct source_stream *s = calloc(1, sizeof *s);

    if (s == NULL)
        return err_fail(err, STATUS_NO_MEMORY, "no memory to read %zu users", n);
    *s = (struct source_stream){.db = db, .requests = requests, .n = n, .computed_at = computed_at};
    document_source_init(&s->source, "", NULL, computed_at);
    s->apart = calloc(n + 1, sizeof *s->apart);
    s->members = calloc(n + 1, sizeof *s->members);
    s->ids = calloc(n + 1, sizeof *s->ids);
    s->annotated = calloc(n + 1, sizeof *s->annotated);
    if (s->apart == NULL || s->members == NULL || s->ids == NULL || s->annotated == NULL) {
        source_stream_free(&s);
        return err_fail(err, STATUS_NO_MEMORY, "no memory to read %zu users", n);
    }
    for (size_t i = 0; i < n; i++)
        s->apart[i] = (requests[i].needs & DOCUMENT_NEEDS_PRICES) != 0;
    *ret_stream = s;
    return STATUS_OK;
}

/* --- a phase ------------------------------------------------------------------------------------ */

static enum phase phase_of(const struct source_stream *s, size_t i)
{
    if (s->apart[i])
        return APART;
    return document_source_annotations(s->requests[i].needs) != 0 ? ANNOTATED : PLAIN;
}

static void choose_members(struct source_stream *s)
{
    s->n_members = s->next = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct annotated_user *annotated = &s->annotated[s->n_members];

        if (phase_of(s, i) != s->phase)
            continue;
        *annotated = (struct annotated_user){.user_id = s->requests[i].user_id,
                                             .kinds = document_source_annotations(s->requests[i].needs)};
        annotations_init(&annotated->annotations);
        s->members[s->n_members++] = i;
    }
}

/* They come in a later phase. */
static void put_apart_who_found_no_room(struct source_stream *s)
{
    size_t kept = 0;

    for (size_t k = 0; k < s->n_members; k++) {
        s->apart[s->members[k]] = s->annotated[k].left_out;
        if (s->annotated[k].left_out)
            continue;
        s->annotated[kept] = s->annotated[k];
        s->members[kept++] = s->members[k];
    }
    s->n_members = kept;
}

static enum status open_phase(struct source_stream *s, struct err *err)
{
    enum status status = STATUS_OK;

    choose_members(s);
    s->is_open = true;
    if (s->phase == APART)
        return STATUS_OK;
    if (s->phase == ANNOTATED)
        status = annotation_read_many(s->db, s->annotated, s->n_members, SOURCE_STREAM_ANNOTATIONS, err);
    put_apart_who_found_no_room(s);
    for (size_t k = 0; k < s->n_members; k++)
        s->ids[k] = s->annotated[k].user_id;
    if (status == STATUS_OK && s->n_members > 0)
        status = trade_reader_open(s->db, s->n_members, s->ids, s->requests[s->members[0]].as_of, &s->reader, err);
    return status;
}

static void release_phase(struct source_stream *s)
{
    trade_reader_close(&s->reader);
    for (size_t k = 0; k < s->n_members; k++)
        annotations_release(&s->annotated[k].annotations);
    s->n_members = 0;
    s->is_open = false;
}

static enum status end_phase(struct source_stream *s, struct err *err)
{
    enum status status = s->reader != NULL ? trade_reader_finish(s->reader, err) : STATUS_OK;

    release_phase(s);
    s->phase++;
    return status;
}

void source_stream_free(struct source_stream **stream)
{
    struct source_stream *s = *stream;

    if (s == NULL)
        return;
    document_source_release(&s->source);
    release_phase(s);
    free(s->apart);
    free(s->members);
    free(s->ids);
    free(s->annotated);
    free(s);
    *stream = NULL;
}

/* --- user by user --------------------------------------------------------------------------------- */

static enum status read_of_stream(struct source_stream *s, const struct source_request *request,
                                  struct annotated_user *annotated, struct err *err)
{
    const char *id;
    enum status status;

    trade_reader_set_as_of(s->reader, request->as_of);
    trade_reader_keep_details(s->reader, (request->needs & DOCUMENT_NEEDS_DETAILS) != 0);
    status = trade_reader_next(s->reader, &id, &s->source.journal, err);
    if (status == STATUS_OK && strcmp(id, request->user_id) != 0)
        return err_fail(err, STATUS_INTERNAL, "the reader delivered user %s instead of %s", id, request->user_id);
    s->source.annotations = annotated->annotations;
    annotations_init(&annotated->annotations);
    return status;
}

static enum status read_member(struct source_stream *s, size_t k, struct err *err)
{
    const struct source_request *request = &s->requests[s->members[k]];

    document_source_init(&s->source, request->user_id, NULL, s->computed_at);
    return s->phase == APART ? document_source_read(&s->source, s->db, request->needs, request->as_of, err)
                             : read_of_stream(s, request, &s->annotated[k], err);
}

enum status source_stream_next(struct source_stream *s, size_t *ret_i, const struct document_source **ret_source,
                               struct err *err)
{
    enum status status = STATUS_OK;

    document_source_release(&s->source);
    while (status == STATUS_OK && s->next == s->n_members) {
        if (s->is_open)
            status = end_phase(s, err);
        if (status == STATUS_OK && s->phase == PHASES)
            return STATUS_NOT_FOUND;
        if (status == STATUS_OK)
            status = open_phase(s, err);
    }
    if (status == STATUS_INVALID || status == STATUS_LIMIT) /* a query that fails is no fault of one user's */
        status = STATUS_INTERNAL;
    if (status != STATUS_OK)
        return status;
    *ret_i = s->members[s->next];
    *ret_source = &s->source;
    return read_member(s, s->next++, err);
}
