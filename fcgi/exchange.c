#include "fcgi/exchange.h"

#include <stdlib.h>

#define KEEP_BYTES (256 * 1024)

enum status exchange_new(struct exchange **ret_exchange, struct err *err)
{
    struct exchange *x = calloc(1, sizeof(*x));
    if (!x)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    request_init(&x->request);
    response_init(&x->response);
    buf_init(&x->body);
    buf_init(&x->key);
    *ret_exchange = x;
    return STATUS_OK;
}

void exchange_free(struct exchange **exchange)
{
    struct exchange *x = *exchange;
    if (!x)
        return;
    request_release(&x->request);
    dataset_request_release(&x->dataset);
    dataset_set_release(&x->datasets);
    response_release(&x->response);
    buf_release(&x->body);
    buf_release(&x->key);
    free(x);
    *exchange = NULL;
}

static void clear(struct buf *b)
{
    if (b->cap > KEEP_BYTES)
        buf_release(b);
    else
        buf_clear(b);
}

void exchange_clear_answer(struct exchange *x)
{
    clear(&x->response.storage);
    clear(&x->body);
    x->recompute = x->bypass = x->limited = x->admitted = x->changes = x->writes_through = x->wait = false;
    x->session.read = x->session.slides = false;
    x->connection = NULL;
    x->next = NULL;
}

void exchange_clear(struct exchange *x)
{
    exchange_clear_answer(x);
    request_clear(&x->request);
    clear(&x->request.body);
    response_forget(&x->response);
    buf_clear(&x->key);
    x->user_id[0] = '\0';
    x->route = 0;
    x->dataset.dataset = NULL;
    dataset_set_release(&x->datasets);
    x->known = false;
    x->coding = CODING_UNREAD;
}
