/* A value from a foreign hand: header, sum and gzip. What parses also formats back to the same line. */
#include <stdlib.h>

#include "lib/store/cache.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);

static void unpack(struct cache_header *header, const char *body)
{
    struct buf out = BUF_INIT;

    if (cache_body_unpack(header, body, 1 << 20, &out) == STATUS_OK && out.len > 1 << 20)
        abort();
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
    struct cache_header header, raw = {.encoding = CACHE_GZIP, .body_size = len};
    struct buf line = BUF_INIT;
    const char *body;

    unpack(&raw, (const char *)bytes);
    if (cache_value_parse((const char *)bytes, len, &header, &body, NULL) != STATUS_OK)
        return 0;
    unpack(&header, body);
    cache_header_append(&line, &header);
    if (line.len != (size_t)(body - (const char *)bytes) || memcmp(line.data, bytes, line.len) != 0)
        abort();
    buf_release(&line);
    return 0;
}
