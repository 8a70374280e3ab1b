/* Packing a buffer as gzip: gzip_isal.c where the Makefile found ISA-L, else gzip_libdeflate.c. Both are tuned for what we
 * store, a few kilobytes of JSON (docs/decisions/0010-gzip.md). */
#ifndef PNLCACHE_STORE_GZIP_H
#define PNLCACHE_STORE_GZIP_H

#include <stddef.h>

struct gzip; /* some hundred kilobytes of working memory; one thread's at a time */

struct gzip *gzip_new(void); /* NULL: no memory */
void gzip_free(struct gzip *gzip);
/* One whole gzip member of up to 4 GB. Bytes written; 0: it would be more than `room`. */
size_t gzip_compress(struct gzip *gzip, const char *bytes, size_t len, char *out, size_t room);

#endif
