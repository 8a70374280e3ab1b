#include "jobs/document_source.h"

#include "jobs/annotation_reader.h"
#include "jobs/document.h"
#include "jobs/price_reader.h"
#include "jobs/trade_reader.h"

void document_source_init(struct document_source *source, const char *user_id, const struct journal *journal,
                          struct instant computed_at)
{
    *source = (struct document_source){.user_id = user_id, .journal = journal, .computed_at = computed_at};
    annotations_init(&source->annotations);
    price_table_init(&source->prices);
}

void document_source_release(struct document_source *source)
{
    trade_reader_close(&source->reader);
    annotations_release(&source->annotations);
    price_table_release(&source->prices);
}

unsigned document_source_annotations(unsigned needs)
{
    return ((needs & DOCUMENT_NEEDS_PLAYBOOKS) != 0 ? (unsigned)ANNOTATION_PLAYBOOKS : 0) |
           ((needs & DOCUMENT_NEEDS_RULES) != 0 ? (unsigned)ANNOTATION_RULES : 0) |
           ((needs & DOCUMENT_NEEDS_TAGS) != 0 ? (unsigned)ANNOTATION_TAGS : 0);
}

enum status document_source_read(struct document_source *source, struct db *db, unsigned needs, struct instant as_of,
                                 struct err *err)
{
    const char *id;
    enum status status;

    status = annotation_read(db, source->user_id, document_source_annotations(needs), &source->annotations, err);
    if (status == STATUS_OK)
        status = trade_reader_open(db, 1, &source->user_id, as_of, &source->reader, err);
    if (status != STATUS_OK)
        return status;
    trade_reader_keep_details(source->reader, (needs & DOCUMENT_NEEDS_DETAILS) != 0);
    status = trade_reader_next(source->reader, &id, &source->journal, err);
    if (status == STATUS_OK)
        status = trade_reader_finish(source->reader, err);
    if (status == STATUS_OK && (needs & DOCUMENT_NEEDS_PRICES) != 0)
        status = price_read(db, source->journal, &source->prices, err);
    return status;
}
