/* Gzip of stored bodies. Compressors are large, so each thread keeps one. */
#include <libdeflate.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/cache_internal.h"
#include "lib/store/gzip.h"

enum { GZIP_WORTH = 1024, GZIP_SMALLEST = 18 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t compressor_key, decompressor_key;
static bool keys_made;

static void free_compressor(void *c)
{
    gzip_free(c);
}

static void free_decompressor(void *d)
{
    libdeflate_free_decompressor(d);
}

static void make_keys(void)
{
    keys_made = pthread_key_create(&compressor_key, free_compressor) == 0 &&
                pthread_key_create(&decompressor_key, free_decompressor) == 0;
}

static struct gzip *own_compressor(void)
{
    struct gzip *c;

    (void)pthread_once(&once, make_keys);
    if (!keys_made)
        return NULL;
    c = pthread_getspecific(compressor_key);
    if (c == NULL && (c = gzip_new()) != NULL && pthread_setspecific(compressor_key, c) != 0) {
        gzip_free(c);
        c = NULL;
    }
    return c;
}

static struct libdeflate_decompressor *own_decompressor(void)
{
    struct libdeflate_decompressor *d;

    (void)pthread_once(&once, make_keys);
    if (!keys_made)
        return NULL;
    d = pthread_getspecific(decompressor_key);
    if (d == NULL && (d = libdeflate_alloc_decompressor()) != NULL && pthread_setspecific(decompressor_key, d) != 0) {
        libdeflate_free_decompressor(d);
        d = NULL;
    }
    return d;
}

bool cache_compress(const char *bytes, size_t len, struct buf *out)
{
    struct gzip *compressor;
    size_t n;

    if (len <= GZIP_WORTH || (compressor = own_compressor()) == NULL || !buf_reserve(out, len))
        return false;
    n = gzip_compress(compressor, bytes, len, out->data + out->len, len - 1);
    if (n == 0)
        return false; /* would not be smaller */
    out->len += n;
    out->data[out->len] = '\0';
    return true;
}

/* len 0: is kept as it is. */
struct packed_body {
    const struct cache_body *body;
    size_t offset, len;
};

enum status packed_bodies_init(struct packed_bodies *packed, size_t n)
{
    buf_init(&packed->bytes);
    packed->n_slots = 2 * n;
    packed->slots = calloc(packed->n_slots, sizeof *packed->slots);
    return packed->slots != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

void packed_bodies_release(struct packed_bodies *packed)
{
    buf_release(&packed->bytes);
    free(packed->slots);
}

static bool same_bytes(const struct cache_body *a, const struct cache_body *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

bool packed_bodies_find(struct packed_bodies *packed, const struct cache_body *body, uint64_t sum,
                        const char **ret_bytes, size_t *ret_len)
{
    struct packed_body *slot = &packed->slots[sum % packed->n_slots];

    if (slot->body == NULL || !same_bytes(slot->body, body)) {
        *slot = (struct packed_body){.body = body, .offset = packed->bytes.len};
        if (cache_compress(body->bytes, body->len, &packed->bytes))
            slot->len = packed->bytes.len - slot->offset;
    }
    *ret_bytes = packed->bytes.data + slot->offset;
    *ret_len = slot->len;
    return slot->len > 0;
}

/* The last four bytes of a gzip member: the size it unpacks to. */
static size_t unpacked_size(const char *body, size_t len)
{
    const unsigned char *tail = (const unsigned char *)body + len - 4;

    return (size_t)tail[0] | (size_t)tail[1] << 8 | (size_t)tail[2] << 16 | (size_t)tail[3] << 24;
}

enum status cache_body_unpack(const struct cache_header *header, const char *body, size_t max, struct buf *out)
{
    struct libdeflate_decompressor *decompressor;
    size_t size = header->body_size;

    if (header->encoding == CACHE_GZIP) {
        if (header->body_size < GZIP_SMALLEST)
            return STATUS_INVALID;
        size = unpacked_size(body, header->body_size);
    }
    if (size > max)
        return STATUS_LIMIT;
    if (header->encoding != CACHE_GZIP) {
        buf_append(out, body, size);
        return buf_status(out);
    }
    decompressor = own_decompressor();
    if (decompressor == NULL || !buf_reserve(out, size))
        return STATUS_NO_MEMORY;
    if (libdeflate_gzip_decompress(decompressor, body, header->body_size, out->data + out->len, size, NULL) !=
        LIBDEFLATE_SUCCESS)
        return STATUS_INVALID;
    out->len += size;
    out->data[out->len] = '\0';
    return STATUS_OK;
}
