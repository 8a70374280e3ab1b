/* What the documents of many users are written from, user by user, in one snapshot and with a number of queries that does not
 * grow with the number of users: one stream of trades for all who need nothing else, one for all who need annotations, which are read
 * before it because a connection that is in the middle of a COPY can do nothing else. In memory are one user's trades and
 * at most SOURCE_STREAM_ANNOTATIONS bytes of annotations (arrays' spare room not counted). Read apart, one by one, are who needs prices,
 * and whose annotations found no room. */
#ifndef PNLCACHE_JOBS_SOURCE_STREAM_H
#define PNLCACHE_JOBS_SOURCE_STREAM_H

#include "jobs/document_source.h"

#define SOURCE_STREAM_ANNOTATIONS ((size_t)16 << 20)

struct source_stream;

struct source_request {
    const char *user_id; /* valid (cache.h) */
    unsigned needs;      /* of the documents, or-ed (document.h) */
    struct instant as_of;
};

/* The requests ascend by the bytes of the user's id, each user once; they are borrowed. Nothing is read yet. */
enum status source_stream_new(struct db *db, const struct source_request *requests, size_t n,
                              struct instant computed_at, struct source_stream **ret_stream,
                              struct err *err) MUST_CHECK;
/* Inside a snapshot: the source of the next user, who is that of the *ret_i-th request; borrowed until the next call. Until the last one
 * was delivered nothing else can use the connection. STATUS_NOT_FOUND: no more, and the connection is free. STATUS_INVALID: the
 * settings of this user cannot be used; *ret_i is set (as with STATUS_LIMIT), and the next call goes on. Any other status ends the stream. */
enum status source_stream_next(struct source_stream *stream, size_t *ret_i, const struct document_source **ret_source,
                               struct err *err) MUST_CHECK;
/* Freeing before the end drops the connection. */
void source_stream_free(struct source_stream **stream);

#endif
