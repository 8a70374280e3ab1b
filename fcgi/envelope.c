#include "fcgi/envelope.h"

void envelope_begin(struct exchange *x, struct json_writer *w)
{
    buf_clear(&x->body);
    json_init(w, &x->body);
    json_object_begin(w);
    json_key(w, "success");
    json_bool(w, true);
    json_key(w, "data");
    json_object_begin(w);
}

void envelope_end(struct exchange *x, struct json_writer *w, int http_status, const char *headers)
{
    json_object_end(w);
    json_key(w, "meta");
    json_object_begin(w);
    json_object_end(w);
    json_object_end(w);
    if (buf_status(&x->body) != STATUS_OK) {
        response_problem(&x->response, &x->request, 503, NULL, NULL, NULL);
        return;
    }
    response_begin(&x->response, &x->request, http_status);
    response_header(&x->response, "Cache-Control", "no-store");
    if (headers)
        buf_append_string(&x->response.head, headers);
    response_finish(&x->response, "application/json", x->body.data, x->body.len, x->request.method != METHOD_HEAD);
}
