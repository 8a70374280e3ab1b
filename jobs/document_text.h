/* The one canonical text of a request for a document: every field, in fixed order. Its hash names the keys that have no
 * family of their own, and it is how a request is remembered (wanted.h), so it is read back too. */
#ifndef PNLCACHE_JOBS_DOCUMENT_TEXT_H
#define PNLCACHE_JOBS_DOCUMENT_TEXT_H

#include "jobs/document.h"

#define DOCUMENT_SYMBOL_MAX 64 /* bytes of a symbol that may be asked for */

/* Appends the text; equal requests have equal texts, whatever stands in fields that are not in use. */
void document_append_text(const struct document_request *request, struct buf *text);
/* Reads what document_append_text() wrote of a request as the responder makes them. STATUS_INVALID: anything else, be it
 * another spelling, a field out of its bounds or one that its section does not have. The symbol is borrowed from `text`. */
enum status document_parse_text(const char *text, struct document_request *ret_request) MUST_CHECK;

/* The section's name, as in texts and keys. */
const char *document_section_name(enum section section);
/* The asset class as in texts and keys: "combined" for all. */
const char *document_asset_name(enum asset asset);
/* Appends ":name" for each dimension of the set. */
void document_append_dimensions(struct buf *out, unsigned dimensions);

#endif
