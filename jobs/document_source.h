/* What the documents of one user are written from, all of one snapshot: the journal, and what the user wrote about
 * trades and the latest prices when a document needs them. */
#ifndef PNLCACHE_JOBS_DOCUMENT_SOURCE_H
#define PNLCACHE_JOBS_DOCUMENT_SOURCE_H

#include "jobs/analytics/annotations.h"
#include "jobs/analytics/price_table.h"
#include "lib/store/db.h"

struct trade_reader;

struct document_source {
    const char *user_id; /* borrowed */
    struct instant computed_at;
    const struct journal *journal;  /* borrowed */
    struct annotations annotations; /* of the kinds that were needed */
    struct price_table prices;      /* of open positions; empty when nobody needs them */
    struct trade_reader *reader;    /* the journal's owner, when it was read by document_source_read() */
};

/* A source of somebody else's journal, without annotations and prices. */
void document_source_init(struct document_source *source, const char *user_id, const struct journal *journal,
                          struct instant computed_at);
void document_source_release(struct document_source *source);
/* The kinds of annotations (annotation_reader.h) that documents with these needs take. */
unsigned document_source_annotations(unsigned needs);
/* Reads what documents with these needs (document.h, or-ed) take, into an initialised source without a journal. Inside a
 * snapshot; afterwards the connection is free. STATUS_INVALID: the user's settings cannot be used. */
enum status document_source_read(struct document_source *source, struct db *db, unsigned needs, struct instant as_of,
                                 struct err *err) MUST_CHECK;

#endif
