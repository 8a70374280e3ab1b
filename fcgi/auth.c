#include "fcgi/auth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fcgi/session_cookie.h"
#include "lib/store/seeded_hash.h"

#define SLOTS 2048 /* a power of two; a token that falls on another's slot replaces it */

/* The token itself, not a digest of it: a digest costs more than all the rest of a look-up. Whoever reads our memory finds
 * the keys there too. How long a comparison takes tells nothing of the token: it begins only when the seeded hashes are
 * equal. */
struct slot {
    char *token; /* or a session's id; NULL: unused */
    size_t token_len;
    uint64_t hash;
    uint64_t session; /* its number; 0: a token */
    char session_name[SESSION_NAME_SIZE];
    struct claims claims;
};

struct token_cache {
    const struct settings *settings;
    unsigned modes;
    struct local_cache *local;
    uint64_t seed;
    struct claims latest; /* of what is being verified, or of a remote user */
    struct slot slots[SLOTS];
};

enum status token_cache_new(const struct settings *settings, struct local_cache *local, struct token_cache **ret_cache,
                            struct err *err)
{
    struct token_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    cache->seed = hash_seed_draw();
    cache->settings = settings;
    cache->modes = auth_modes_parse(settings->auth_mode);
    cache->local = local;
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

/* Where the text is, or would go. */
static struct slot *slot_of(struct token_cache *cache, const char *text, size_t len, uint64_t *ret_hash)
{
    *ret_hash = hash_seeded(text, len, cache->seed);
    return &cache->slots[*ret_hash % SLOTS];
}

static bool slot_holds(const struct slot *slot, const char *text, size_t len, uint64_t hash, struct instant now)
{
    int64_t now_s = now.us / US_PER_SECOND;

    return slot->token && slot->hash == hash && slot->token_len == len && memcmp(slot->token, text, len) == 0 &&
           now_s < slot->claims.expires_s && now_s >= slot->claims.not_before_s;
}

/* Remembers the latest claims; without memory they are served, not remembered. */
static const struct claims *fill_slot(const struct token_cache *cache, struct slot *slot, const char *text, size_t len,
                                      uint64_t hash)
{
    free(slot->token);
    slot->token = strndup(text, len);
    slot->token_len = len;
    slot->hash = hash;
    slot->session = 0;
    slot->claims = cache->latest;
    return &slot->claims;
}

static enum status take_token(const struct jwt_verifier *verifier, struct token_cache *cache, const char *token,
                              struct instant now, const struct claims **ret_claims, struct err *err)
{
    if (!verifier || !token)
        return err_fail(err, STATUS_NOT_FOUND, "a bearer token is needed");
    size_t len = strlen(token);
    uint64_t hash;
    struct slot *slot = slot_of(cache, token, len, &hash);

    if (slot_holds(slot, token, len, hash, now) && slot->session == 0) { /* a session's id is no token */
        *ret_claims = &slot->claims;
        return STATUS_OK;
    }
    enum status status = jwt_verify(verifier, token, len, now, &cache->latest, err);
    if (status == STATUS_OK)
        *ret_claims = fill_slot(cache, slot, token, len, hash);
    return status;
}

/* --- sessions ------------------------------------------------------------------------------------- */

enum status auth_find_session(const struct settings *settings, const struct request *request, const char **ret_id,
                              struct err *err)
{
    const char *cookies = request_param(request, PARAM_COOKIE);
    size_t len;

    enum status status = cookies ? cookie_find(cookies, settings->session_cookie, ret_id, &len) : STATUS_NOT_FOUND;
    if (status == STATUS_NOT_FOUND)
        return err_fail(err, status, "a session is needed");
    if (status != STATUS_OK)
        return err_fail(err, status, "two different session cookies");
    if (!session_id_is_plausible(*ret_id, len))
        return err_fail(err, STATUS_INVALID, "the session cookie is malformed");
    return STATUS_OK;
}

static enum status take_looked_up(const struct exchange_session *s, struct claims *claims, struct err *err)
{
    const struct session *session = &s->lookup.session;

    if (s->lookup.status == STATUS_NOT_FOUND)
        return err_fail(err, STATUS_NOT_FOUND, "the session has ended; log in again");
    if (s->lookup.status != STATUS_OK)
        return err_fail(err, s->lookup.status, "sessions cannot be looked up at the moment");
    *claims = (struct claims){.role = session->role == ROLE_ADMIN ? ROLE_ADMIN : ROLE_USER,
                              .not_before_s = session->created_s,
                              .expires_s = session->expires_s,
                              .by_cookie = true};
    memcpy(claims->user_id, session->user_id, sizeof(claims->user_id));
    return STATUS_OK;
}

static enum status take_session(struct token_cache *cache, struct exchange *x, const char *id, struct instant now,
                                const struct claims **ret_claims, struct err *err)
{
    struct exchange_session *s = &x->session;
    uint64_t hash;
    struct slot *slot = slot_of(cache, id, SESSION_ID_LEN, &hash);

    if (s->read) {
        enum status status = take_looked_up(s, &cache->latest, err);
        if (status != STATUS_OK)
            return status;
        *ret_claims = &cache->latest;
        if (s->number == 0)
            return STATUS_OK;
        *ret_claims = fill_slot(cache, slot, id, SESSION_ID_LEN, hash);
        slot->session = s->number;
        memcpy(slot->session_name, s->name, sizeof(slot->session_name));
        return STATUS_OK;
    }
    if (slot_holds(slot, id, SESSION_ID_LEN, hash, now) &&
        local_cache_session_stands(cache->local, slot->session_name, slot->session, x->request.arrived_us / 1000)) {
        memcpy(s->name, slot->session_name, sizeof(s->name));
        *ret_claims = &slot->claims;
        return STATUS_OK;
    }
    session_name_of(id, s->name);
    return err_fail(err, STATUS_CONFLICT, "the session is not known yet");
}

/* --- all together --------------------------------------------------------------------------------- */

enum status auth_identify_login(const struct jwt_verifier *verifier, struct token_cache *cache,
                                const struct request *request, struct instant now, const struct claims **ret_claims,
                                struct err *err)
{
    return take_token(verifier, cache, bearer_token(request), now, ret_claims, err);
}

enum status auth_identify(const struct jwt_verifier *verifier, struct token_cache *cache, struct exchange *x,
                          unsigned accepted, struct instant now, const struct claims **ret_claims, struct err *err)
{
    unsigned modes = cache->modes & accepted;
    const char *token = modes & AUTH_JWT ? bearer_token(&x->request) : NULL, *id = "";

    if (token)
        return take_token(verifier, cache, token, now, ret_claims, err);
    if (modes & AUTH_SESSION) {
        enum status status = auth_find_session(cache->settings, &x->request, &id, err);
        if (status != STATUS_NOT_FOUND)
            return status == STATUS_OK ? take_session(cache, x, id, now, ret_claims, err) : status;
    }
    if (modes & AUTH_REMOTE_USER) {
        enum status status = take_remote_user(cache, &x->request, err);
        if (status == STATUS_OK)
            *ret_claims = &cache->latest;
        return status;
    }
    return err_fail(err, STATUS_NOT_FOUND, modes & AUTH_JWT ? "a bearer token is needed" : "a session is needed");
}
