/* How each document is built: its data by section, and the envelope around them. The responder (on a miss) and the jobs
 * (ahead of time) both come here, so that they cannot disagree. */
#ifndef PNLCACHE_JOBS_DOCUMENT_BODY_H
#define PNLCACHE_JOBS_DOCUMENT_BODY_H

#include "jobs/document.h"
#include "jobs/document_source.h"

/* Whether document_write() takes it from a report of the preset ranges of its asset, computed for many at once. */
bool document_is_of_presets(const struct document_request *request);

/* Writes the body (envelope, data, meta) of a document into `out` (appended) and fills *ret_body but for its cost; its
 * bytes point into `out` until that changes. The report was computed from the source's journal for the request's
 * asset; `range` is the request's in it. STATUS_NOT_FOUND: the request names something that is not there, *err says
 * what; `out` is as it was. */
enum status document_write(const struct document_source *source, struct report *report, size_t range,
                           const struct document_request *request, struct buf *out, struct cache_body *ret_body,
                           struct err *err) MUST_CHECK;
/* The same for any document: computes the one range that it covers into the report first. */
enum status document_build(const struct document_source *source, struct report *report,
                           const struct document_request *request, struct buf *out, struct cache_body *ret_body,
                           struct err *err) MUST_CHECK;

/* The whole read-through of one document: snapshot, read, compute, write. The epochs must have been opened before. That
 * something is not there is an answer too: STATUS_OK with not_found and nothing_there. nothing_there alone: zeros about a
 * symbol the user never traded. STATUS_INVALID: the user's settings cannot be used. */
enum status document_compute(struct db *db, const struct document_request *request, const char *user_id,
                             struct buf *out, struct cache_body *ret_body, struct err *err) MUST_CHECK;

#endif
