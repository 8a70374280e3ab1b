/* Key names, and what may be in them. */
#include <string.h>
#include <xxhash.h>

#include "lib/base/text.h"
#include "lib/store/cache_internal.h"

#define EPOCH_FAMILY "epoch:"
#define EPOCH_SHARED "shared"

/* How many bytes of the text stand for themselves in a key; no user id of these alone is refused. */
static size_t plain_run(const char *text)
{
    static const bool plain[256] = {['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['0' ... '9'] = true, ['_'] = true,
                                    ['.'] = true,         ['@'] = true,         ['|'] = true,         ['-'] = true};
    size_t len = 0;

    while (plain[(unsigned char)text[len]])
        len++;
    return len;
}

bool user_id_is_valid(const char *user_id)
{
    size_t len = plain_run(user_id);

    if (user_id[len] == '\0')
        return len > 0 && len <= USER_ID_MAX;
    len = strnlen(user_id, USER_ID_MAX + 1);
    if (len == 0 || len > USER_ID_MAX || !utf8_is_valid(user_id, len))
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)user_id[i];

        /* C0, DEL, and C1 (U+0080..U+009F, in UTF-8 C2 80..C2 9F) */
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)user_id[i + 1] < 0xa0))
            return false;
    }
    return true;
}

void cache_append_user(struct buf *key, const char *user_id)
{
    static const char digits[] = "0123456789ABCDEF";

    for (const char *c = user_id; *c != '\0';) {
        size_t run = plain_run(c);
        unsigned char byte;

        buf_append(key, c, run);
        c += run;
        byte = (unsigned char)*c;
        if (byte != '\0') {
            buf_append(key, (const char[]){'%', digits[byte >> 4], digits[byte & 15]}, 3);
            c++;
        }
    }
}

void cache_hash(const void *bytes, size_t len, char text[CACHE_HASH_LEN + 1])
{
    XXH128_hash_t hash = XXH3_128bits(bytes, len);

    hex64_format(hash.high64, text);
    hex64_format(hash.low64, text + CACHE_HASH_LEN / 2);
}

void cache_append_hash(struct buf *key, const void *bytes, size_t len)
{
    char text[CACHE_HASH_LEN + 1];

    cache_hash(bytes, len, text);
    buf_append(key, text, CACHE_HASH_LEN);
}

void cache_append_prefix(const struct cache *cache, struct buf *key)
{
    buf_append_string(key, cache->prefix);
}

void cache_append_epoch_prefix(const struct cache *cache, struct buf *key)
{
    cache_append_prefix(cache, key);
    buf_append_string(key, EPOCH_FAMILY);
}

void cache_append_epoch_key(const struct cache *cache, struct buf *key, const char *user_id)
{
    cache_append_epoch_prefix(cache, key);
    if (user_id == NULL) {
        buf_append_string(key, EPOCH_SHARED);
        return;
    }
    buf_append_char(key, '{');
    cache_append_user(key, user_id);
    buf_append_char(key, '}');
}

bool cache_parse_epoch_key(const struct cache *cache, const char *key, size_t len, char user_id[USER_ID_MAX + 1])
{
    size_t prefix = strlen(cache->prefix), before = prefix + strlen(EPOCH_FAMILY);
    struct buf text = BUF_INIT;
    bool good = false;

    if (len < before || memcmp(key, cache->prefix, prefix) != 0 ||
        memcmp(key + prefix, EPOCH_FAMILY, before - prefix) != 0)
        return false;
    key += before;
    len -= before;
    if (len == strlen(EPOCH_SHARED) && memcmp(key, EPOCH_SHARED, len) == 0) {
        user_id[0] = '\0';
        return true;
    }
    if (len > 2 && key[0] == '{' && key[len - 1] == '}' &&
        percent_decode(key + 1, len - 2, false, &text) == STATUS_OK && text.len <= USER_ID_MAX) {
        memcpy(user_id, text.data, text.len);
        user_id[text.len] = '\0';
        good = true;
    }
    buf_release(&text);
    return good;
}

uint64_t cache_key_hash(const char *key)
{
    return XXH3_64bits(key, strlen(key));
}
