#include "fcgi/auth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fcgi/hmac.h"

#define SLOTS 2048 /* a power of two; a token that falls on another's slot replaces it */

struct slot {
    unsigned char digest[SHA256_SIZE];
    bool used;
    struct claims claims;
};

struct token_cache {
    struct claims latest; /* of a token that could not be kept */
    struct slot slots[SLOTS];
};

enum status token_cache_new(struct token_cache **ret_cache, struct err *err)
{
    struct token_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    *ret_cache = cache;
    return STATUS_OK;
}

void token_cache_free(struct token_cache **cache)
{
    free(*cache);
    *cache = NULL;
}

void token_cache_clear(struct token_cache *cache)
{
    for (size_t i = 0; i < SLOTS; i++)
        cache->slots[i].used = false;
}

/* The scheme's name has no case; one or more spaces follow (RFC 6750, 2.1; RFC 9110, 11.4). */
static const char *bearer_token(const struct request *request)
{
    const char *text = request_param(request, PARAM_AUTHORIZATION);
    if (!text || strncasecmp(text, "Bearer", 6) != 0 || text[6] != ' ')
        return NULL;
    return text + 6 + strspn(text + 6, " ");
}

enum status auth_identify(const struct jwt_verifier *verifier, struct token_cache *cache, const struct request *request,
                          struct instant now, const struct claims **ret_claims, struct err *err)
{
    const char *token = bearer_token(request);
    unsigned char digest[SHA256_SIZE];
    size_t index;

    if (!token)
        return err_fail(err, STATUS_NOT_FOUND, "there is no bearer token");
    size_t len = strlen(token);
    sha256_digest(token, len, digest);
    memcpy(&index, digest, sizeof(index));
    struct slot *slot = &cache->slots[index % SLOTS];
    int64_t now_s = now.us / US_PER_SECOND;
    if (slot->used && memcmp(slot->digest, digest, SHA256_SIZE) == 0 && now_s < slot->claims.expires_s &&
        now_s >= slot->claims.not_before_s) {
        *ret_claims = &slot->claims;
        return STATUS_OK;
    }
    enum status status = jwt_verify(verifier, token, len, now, &cache->latest, err);
    if (status != STATUS_OK)
        return status;
    memcpy(slot->digest, digest, SHA256_SIZE);
    slot->claims = cache->latest;
    slot->used = true;
    *ret_claims = &slot->claims;
    return STATUS_OK;
}
