/* The envelope (api.md 1) of an answer that is no cached document: {"success": true, "data": {...}, "meta": {}}, never kept. */
#ifndef PNLCACHE_FCGI_ENVELOPE_H
#define PNLCACHE_FCGI_ENVELOPE_H

#include "fcgi/exchange.h"
#include "lib/json/json_writer.h"

/* Between the two the members of `data` are written. */
void envelope_begin(struct exchange *x, struct json_writer *w);
/* `headers`: more header lines, each ended by CR LF; may be NULL. */
void envelope_end(struct exchange *x, struct json_writer *w, int http_status, const char *headers);

#endif
