/* Webhooks carried out together, by one thread of the lane with its own connections. */
#ifndef PNLCACHE_FCGI_WEBHOOK_BATCH_H
#define PNLCACHE_FCGI_WEBHOOK_BATCH_H

#include "fcgi/exchange.h"
#include "fcgi/responder.h"

#define WEBHOOK_BATCH_MAX 256

struct webhook_batch;

enum status webhook_batch_new(struct responder *responder, void (*on_done)(struct exchange *x),
                              struct webhook_batch **ret_batch, struct err *err) MUST_CHECK;
void webhook_batch_free(struct webhook_batch **batch);
/* Answers each of the n (at most WEBHOOK_BATCH_MAX) and hands it to on_done; nothing is kept. */
void webhook_batch_serve(struct webhook_batch *batch, struct exchange *const *calls, size_t n);

#endif
