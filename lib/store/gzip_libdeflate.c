/* Level 1: for a few kilobytes of short fields a higher level's search finds next to nothing; level 6 takes twice the time
 * for 3 % fewer bytes (docs/benchmarks.md). */
#include <libdeflate.h>
#include <stdlib.h>

#include "lib/store/gzip.h"

enum { LEVEL = 1 };

struct gzip {
    struct libdeflate_compressor *compressor;
};

struct gzip *gzip_new(void)
{
    struct gzip *g = calloc(1, sizeof *g);

    if (g != NULL && (g->compressor = libdeflate_alloc_compressor(LEVEL)) == NULL) {
        free(g);
        return NULL;
    }
    return g;
}

void gzip_free(struct gzip *g)
{
    if (g == NULL)
        return;
    libdeflate_free_compressor(g->compressor);
    free(g);
}

size_t gzip_compress(struct gzip *g, const char *bytes, size_t len, char *out, size_t room)
{
    return libdeflate_gzip_compress(g->compressor, bytes, len, out, room);
}
