#include "fcgi/webhook_signature.h"

#include <stdlib.h>
#include <string.h>

#include "fcgi/hmac.h"
#include "lib/base/parse_number.h"
#include "lib/base/text.h"

#define MAX_KEYS 8
#define MAX_SIGNATURES 16
#define SEPARATORS ", \t"

struct webhook_keys {
    size_t n;
    struct hmac_key *keys[MAX_KEYS];
};

static enum status add_key(struct webhook_keys *keys, const char *text, size_t len, struct err *err)
{
    struct buf secret = BUF_INIT;
    enum status status;

    if (keys->n == MAX_KEYS)
        return err_fail(err, STATUS_INVALID, "WEBHOOK_SECRETS holds more than %d secrets", MAX_KEYS);
    if (len < 6 || memcmp(text, "whsec_", 6) != 0 || base64_decode(text + 6, len - 6, &secret) != STATUS_OK)
        status = err_fail(err, STATUS_INVALID, "WEBHOOK_SECRETS: secret %zu is not whsec_ and base64", keys->n + 1);
    else if (secret.len < WEBHOOK_MIN_SECRET)
        status = err_fail(err, STATUS_INVALID, "WEBHOOK_SECRETS: secret %zu has %zu bytes; at least %d are needed",
                          keys->n + 1, secret.len, WEBHOOK_MIN_SECRET);
    else
        status = hmac_key_new(secret.data, secret.len, &keys->keys[keys->n], err);
    if (status == STATUS_OK)
        keys->n++;
    buf_release(&secret);
    return status;
}

enum status webhook_keys_new(const char *secrets, struct webhook_keys **ret_keys, struct err *err)
{
    struct webhook_keys *keys = calloc(1, sizeof(*keys));
    if (!keys)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    const char *p = secrets;
    for (;;) {
        p += strspn(p, SEPARATORS);
        if (strncmp(p, "v1,", 3) == 0)
            p += 3;
        size_t len = strcspn(p, SEPARATORS);
        if (len == 0)
            break;
        enum status status = add_key(keys, p, len, err);
        if (status != STATUS_OK) {
            webhook_keys_free(&keys);
            return status;
        }
        p += len;
    }
    *ret_keys = keys;
    return STATUS_OK;
}

void webhook_keys_free(struct webhook_keys **keys)
{
    if (!*keys)
        return;
    for (size_t i = 0; i < (*keys)->n; i++)
        hmac_key_free(&(*keys)->keys[i]);
    free(*keys);
    *keys = NULL;
}

static bool id_is_valid(const char *id)
{
    size_t len = strlen(id);
    if (len == 0 || len > WEBHOOK_MAX_ID)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)id[i] <= 0x20 || id[i] == 0x7f || id[i] == '.')
            return false;
    return true;
}

/* 1 to 11 digits: cannot overflow anything below. */
static bool timestamp_is_valid(const char *text, int64_t *ret_seconds)
{
    size_t len = strlen(text);
    return len >= 1 && len <= 11 && strspn(text, "0123456789") == len &&
           parse_int64(text, 0, INT64_C(99999999999), ret_seconds) == STATUS_OK;
}

/* Decodes "v1,<base64>"; false for another version or a damaged one. */
static bool decode_signature(const char *text, size_t len, unsigned char ret_mac[HMAC_SIZE])
{
    struct buf mac = BUF_INIT;
    bool good = len > 3 && memcmp(text, "v1,", 3) == 0 && base64_decode(text + 3, len - 3, &mac) == STATUS_OK &&
                mac.len == HMAC_SIZE;
    if (good)
        memcpy(ret_mac, mac.data, HMAC_SIZE);
    buf_release(&mac);
    return good;
}

/* All signatures against all keys, without stopping at the first that fits. */
static bool any_fits(const struct webhook_keys *keys, const struct hmac_part *parts, size_t n_parts,
                     const char *signatures)
{
    unsigned char expected[MAX_KEYS][HMAC_SIZE];
    bool fits = false;

    for (size_t k = 0; k < keys->n; k++)
        hmac_sign(keys->keys[k], parts, n_parts, expected[k]);
    const char *p = signatures;
    for (size_t i = 0; i < MAX_SIGNATURES; i++) {
        p += strspn(p, " ");
        size_t len = strcspn(p, " ");
        unsigned char given[HMAC_SIZE];
        if (len == 0)
            break;
        bool decoded = decode_signature(p, len, given);
        for (size_t k = 0; decoded && k < keys->n; k++)
            fits |= hmac_equal(given, expected[k], HMAC_SIZE);
        p += len;
    }
    return fits;
}

enum webhook_verdict webhook_verify(const struct webhook_keys *keys, const char *id, const char *timestamp,
                                    const char *signatures, const void *body, size_t body_len, struct instant now,
                                    int64_t tolerance_s, int64_t *ret_ahead_s)
{
    int64_t sent_s;

    *ret_ahead_s = 0;
    if (!signatures || !*signatures)
        return WEBHOOK_UNSIGNED;
    if (!id || !id_is_valid(id))
        return WEBHOOK_BAD_ID;
    if (!timestamp || !timestamp_is_valid(timestamp, &sent_s))
        return WEBHOOK_BAD_TIME;
    struct hmac_part parts[] = {{id, strlen(id)}, {".", 1}, {timestamp, strlen(timestamp)}, {".", 1}, {body, body_len}};
    if (!any_fits(keys, parts, sizeof(parts) / sizeof(parts[0]), signatures))
        return WEBHOOK_FORGED;
    *ret_ahead_s = sent_s - now.us / US_PER_SECOND;
    return *ret_ahead_s > tolerance_s || *ret_ahead_s < -tolerance_s ? WEBHOOK_STALE : WEBHOOK_GOOD;
}
