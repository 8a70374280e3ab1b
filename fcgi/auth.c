#include "fcgi/auth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/settings.h"
#include "lib/store/seeded_hash.h"

#define SLOTS 2048 /* a power of two; a token that falls on another's slot replaces it */

/* The token itself, not a digest of it: a digest costs more than all the rest of a look-up. Whoever reads our memory finds
 * the keys there too. How long a comparison takes tells nothing of the token: it begins only when the seeded hashes are
 * equal. */
struct slot {
    char *token; /* NULL: unused */
    uint64_t hash;
    struct claims claims;
};

struct token_cache {
    unsigned modes;
    uint64_t seed;
    struct claims latest; /* of the token being verified, or of a remote user */
    struct slot slots[SLOTS];
};

enum status token_cache_new(unsigned modes, struct token_cache **ret_cache, struct err *err)
{
    struct token_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    cache->seed = hash_seed_draw();
    cache->modes = modes;
    *ret_cache = cache;
    return STATUS_OK;
}

void token_cache_free(struct token_cache **cache)
{
    if (!*cache)
        return;
    token_cache_clear(*cache);
    free(*cache);
    *cache = NULL;
}

void token_cache_clear(struct token_cache *cache)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (!cache->slots[i].token)
            continue; /* nor is its memory touched */
        free(cache->slots[i].token);
        cache->slots[i].token = NULL;
    }
}

/* The scheme's name has no case; one or more spaces follow (RFC 6750, 2.1; RFC 9110, 11.4). */
static const char *bearer_token(const struct request *request)
{
    const char *text = request_param(request, PARAM_AUTHORIZATION);
    if (!text || strncasecmp(text, "Bearer", 6) != 0 || text[6] != ' ')
        return NULL;
    return text + 6 + strspn(text + 6, " ");
}

/* REMOTE_USER is a parameter of the web server's own; no header of the request can become it. */
static enum status take_remote_user(struct token_cache *cache, const struct request *request, struct err *err)
{
    const char *user_id = request_param(request, PARAM_REMOTE_USER);

    if (!user_id || !*user_id)
        return err_fail(err, STATUS_NOT_FOUND, "the web server names no user");
    if (!user_id_is_valid(user_id))
        return err_fail(err, STATUS_INVALID, "REMOTE_USER is not a user id");
    cache->latest = (struct claims){.role = ROLE_USER, .expires_s = INT64_MAX};
    memcpy(cache->latest.user_id, user_id, strlen(user_id) + 1); /* valid ids fit */
    return STATUS_OK;
}

static enum status take_token(const struct jwt_verifier *verifier, struct token_cache *cache, const char *token,
                              struct instant now, const struct claims **ret_claims, struct err *err)
{
    size_t len = strlen(token);
    uint64_t hash = hash_seeded(token, len, cache->seed);
    struct slot *slot = &cache->slots[hash % SLOTS];
    int64_t now_s = now.us / US_PER_SECOND;

    if (slot->token && slot->hash == hash && strcmp(slot->token, token) == 0 && now_s < slot->claims.expires_s &&
        now_s >= slot->claims.not_before_s) {
        *ret_claims = &slot->claims;
        return STATUS_OK;
    }
    enum status status = jwt_verify(verifier, token, len, now, &cache->latest, err);
    if (status != STATUS_OK)
        return status;
    free(slot->token);
    slot->token = strdup(token); /* without memory it is served, not remembered */
    slot->hash = hash;
    slot->claims = cache->latest;
    *ret_claims = &slot->claims;
    return STATUS_OK;
}

enum status auth_identify(const struct jwt_verifier *verifier, struct token_cache *cache, const struct request *request,
                          struct instant now, const struct claims **ret_claims, struct err *err)
{
    const char *token = verifier ? bearer_token(request) : NULL;

    if (token)
        return take_token(verifier, cache, token, now, ret_claims, err);
    if (!(cache->modes & AUTH_REMOTE_USER))
        return err_fail(err, STATUS_NOT_FOUND, "a bearer token is needed");
    enum status status = take_remote_user(cache, request, err);
    if (status == STATUS_OK)
        *ret_claims = &cache->latest;
    return status;
}
