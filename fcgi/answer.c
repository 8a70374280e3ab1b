#include "fcgi/answer.h"

#include "jobs/document_body.h"
#include "jobs/document_text.h"

const struct cache_tags *answer_tags(const struct exchange *x)
{
    return x->dataset.dataset ? &x->dataset.tags : document_tags(&x->document);
}

int64_t answer_ttl_s(const struct settings *settings, const struct exchange *x, const struct cache_body *body)
{
    if (body->nothing_there)
        return settings->cache_ttl_not_found_s;
    return x->dataset.dataset ? x->dataset.dataset->ttl_s
                              : document_ttl_s(settings, &x->document, body->holds_positions);
}

int64_t answer_max_age_s(const struct settings *settings, const struct exchange *x)
{
    return answer_is_shared(x) ? settings->http_max_age_shared_s : settings->http_max_age_private_s;
}

const char *answer_section(const struct exchange *x)
{
    if (!x->dataset.dataset)
        return document_section_name(x->document.section);
    return answer_is_collection(x) ? x->dataset.dataset->section : NULL;
}

enum status answer_compute(struct db *db, const struct exchange *x, struct buf *out, struct cache_body *ret_body,
                           struct err *err)
{
    if (x->dataset.dataset)
        return dataset_compute(db, &x->dataset, x->user_id, out, ret_body, err);
    return document_compute(db, &x->document, x->user_id, out, ret_body, err);
}
