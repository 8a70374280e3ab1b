#include "fcgi/document_response.h"

#include "fcgi/answer.h"

static bool accepts_gzip(struct exchange *x)
{
    if (x->coding == CODING_UNREAD)
        x->coding =
            http_accepts_gzip(request_param(&x->request, PARAM_ACCEPT_ENCODING)) ? CODING_GZIP : CODING_IDENTITY;
    return x->coding == CODING_GZIP;
}

/* Of a value that says that there is no such document; `text` need not end with a NUL. */
static enum status respond_not_found(struct exchange *x, const struct cache_header *header, const char *text,
                                     size_t len, enum cache_source source)
{
    struct http_document document = {.header = header, .source = source};

    buf_clear(&x->body);
    buf_append(&x->body, text, len);
    if (buf_status(&x->body) != STATUS_OK)
        return STATUS_NO_MEMORY;
    http_respond_not_found(&x->response, &x->request, &document, x->body.data);
    return STATUS_OK;
}

enum status document_respond_stored(struct exchange *x, const struct cache_header *header, const char *body, bool copy,
                                    enum cache_source source, int64_t max_age_s)
{
    bool gzip = header->encoding == CACHE_GZIP && accepts_gzip(x);
    struct http_document document = {
        .header = header,
        .bytes = body,
        .len = header->body_size,
        .encoding = gzip ? CACHE_GZIP : CACHE_IDENTITY,
        .source = source,
        .shared = answer_is_shared(x),
        .max_age_s = max_age_s,
    };

    if (header->encoding == CACHE_NOT_FOUND)
        return respond_not_found(x, header, body, header->body_size, source);
    if (copy || (header->encoding == CACHE_GZIP && !gzip)) {
        buf_clear(&x->body);
        if (gzip || header->encoding == CACHE_IDENTITY) {
            buf_append(&x->body, body, header->body_size);
        } else {
            enum status status = cache_body_unpack(header, body, DOCUMENT_MAX_BODY, &x->body);
            if (status != STATUS_OK)
                return status;
        }
        if (buf_status(&x->body) != STATUS_OK)
            return STATUS_NO_MEMORY;
        document.bytes = x->body.data;
        document.len = x->body.len;
    }
    http_respond_document(&x->response, &x->request, &document);
    return STATUS_OK;
}

enum status document_respond_computed(struct exchange *x, const struct cache_header *header,
                                      const struct cache_body *body, enum cache_source source, int64_t max_age_s)
{
    bool gzip = accepts_gzip(x);

    if (body->not_found)
        return respond_not_found(x, header, body->bytes, body->len, source);
    buf_clear(&x->body);
    gzip = gzip && cache_compress(body->bytes, body->len, &x->body);
    if (!gzip) {
        buf_clear(&x->body);
        buf_append(&x->body, body->bytes, body->len);
    }
    if (buf_status(&x->body) != STATUS_OK)
        return STATUS_NO_MEMORY;
    struct http_document document = {
        .header = header,
        .bytes = x->body.data,
        .len = x->body.len,
        .encoding = gzip ? CACHE_GZIP : CACHE_IDENTITY,
        .source = source,
        .shared = answer_is_shared(x),
        .max_age_s = max_age_s,
    };
    http_respond_document(&x->response, &x->request, &document);
    return STATUS_OK;
}
