#include "fcgi/jwt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/jwt_keys.h"
#include "lib/base/text.h"
#include "lib/json/json_reader.h"

struct jwt_verifier {
    struct jwt_keys *keys;
    char *audience, *issuer;
};

enum status jwt_verifier_new(const struct jwt_options *options, struct jwt_verifier **ret_verifier, struct err *err)
{
    struct jwt_verifier *v = calloc(1, sizeof(*v));
    if (!v || !(v->audience = strdup(options->audience)) || !(v->issuer = strdup(options->issuer))) {
        jwt_verifier_free(&v);
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    }
    enum status status = jwt_keys_new(options->secret, options->keys, &v->keys, err);
    if (status == STATUS_OK)
        *ret_verifier = v;
    else
        jwt_verifier_free(&v);
    return status;
}

void jwt_verifier_free(struct jwt_verifier **verifier)
{
    struct jwt_verifier *v = *verifier;
    if (!v)
        return;
    jwt_keys_free(&v->keys);
    free(v->audience);
    free(v->issuer);
    free(v);
    *verifier = NULL;
}

/* header.payload.signature */
struct parts {
    const char *header, *payload, *signature;
    size_t header_len, payload_len, signature_len, signed_len;
};

static bool split(const char *token, size_t len, struct parts *p)
{
    const char *first = memchr(token, '.', len);
    const char *second = first ? memchr(first + 1, '.', len - (size_t)(first + 1 - token)) : NULL;
    if (!second || memchr(second + 1, '.', len - (size_t)(second + 1 - token)))
        return false;
    p->header = token;
    p->header_len = (size_t)(first - token);
    p->payload = first + 1;
    p->payload_len = (size_t)(second - p->payload);
    p->signature = second + 1;
    p->signature_len = len - (size_t)(p->signature - token);
    p->signed_len = (size_t)(second - token);
    return true;
}

static enum status parse_part(const char *text, size_t len, const char *what, struct json_document **ret_document,
                              struct err *err)
{
    struct buf json = BUF_INIT;
    struct json_document *document = NULL;

    enum status status = base64url_decode(text, len, &json);
    if (status != STATUS_OK) {
        status = err_fail(err, status, "the %s is not base64url", what);
        goto out;
    }
    status = json_parse(json.data, json.len, &document, err);
    if (status == STATUS_OK && json_type_of(json_root(document)) != JSON_OBJECT)
        status = err_fail(err, STATUS_INVALID, "not an object");
    if (status != STATUS_OK) {
        err_prefix(err, "%s", what);
        goto out;
    }
    *ret_document = document;
    document = NULL;
out:
    json_document_free(&document);
    buf_release(&json);
    return status;
}

static enum status check_signature(const struct jwt_verifier *v, const char *token, const struct parts *p,
                                   const char *algorithm, const char *key_id, struct err *err)
{
    struct buf given = BUF_INIT;

    enum status status = base64url_decode(p->signature, p->signature_len, &given);
    if (status == STATUS_OK)
        status = jwt_keys_verify(v->keys, algorithm, key_id, token, p->signed_len, given.data, given.len, err);
    else
        status = err_fail(err, status, "the signature is not base64url");
    buf_release(&given);
    return status;
}

/* The header, and the signature by the key it asks for. */
static enum status check_signed(const struct jwt_verifier *v, const char *token, const struct parts *p, struct err *err)
{
    struct json_document *document = NULL;

    enum status status = parse_part(p->header, p->header_len, "header", &document, err);
    if (status != STATUS_OK)
        return status;
    const struct json_value *root = json_root(document);
    const struct json_value *type = json_member(root, "typ"), *id = json_member(root, "kid");
    const char *algorithm = json_get_string(json_member(root, "alg")), *key_id = json_get_string(id);
    if (!algorithm)
        status = err_fail(err, STATUS_INVALID, "the header has no 'alg'");
    else if (json_member(root, "crit"))
        status = err_fail(err, STATUS_INVALID, "the token has critical extensions");
    else if (type && !json_get_string(type))
        status = err_fail(err, STATUS_INVALID, "'typ' is not a string");
    else if (id && (!key_id || strlen(key_id) > JWT_MAX_KEY_ID))
        status = err_fail(err, STATUS_INVALID, "'kid' is not a text of at most %d bytes", JWT_MAX_KEY_ID);
    else
        status = check_signature(v, token, p, algorithm, key_id, err);
    json_document_free(&document);
    return status;
}

/* A whole number of seconds; absent leaves *ret_seconds alone. */
static enum status get_time(const struct json_value *root, const char *name, int64_t *ret_seconds, struct err *err)
{
    const struct json_value *value = json_member(root, name);
    if (value && json_get_int(value, ret_seconds) != STATUS_OK)
        return err_fail(err, STATUS_INVALID, "'%s' is not a whole number", name);
    return STATUS_OK;
}

static enum status check_times(const struct json_value *root, struct instant now, struct claims *claims,
                               struct err *err)
{
    int64_t now_s = now.us / US_PER_SECOND, expires_s = 0, not_before_s = INT64_MIN / 2, issued_s = 0;

    if (!json_member(root, "exp"))
        return err_fail(err, STATUS_INVALID, "'exp' is missing");
    enum status status = get_time(root, "exp", &expires_s, err);
    if (status == STATUS_OK)
        status = get_time(root, "nbf", &not_before_s, err);
    if (status == STATUS_OK)
        status = get_time(root, "iat", &issued_s, err);
    if (status != STATUS_OK)
        return status;
    claims->expires_s = expires_s + JWT_LEEWAY_SECONDS;
    claims->not_before_s = not_before_s - JWT_LEEWAY_SECONDS;
    if (now_s >= claims->expires_s)
        return err_fail(err, STATUS_INVALID, "the token has expired");
    if (now_s < claims->not_before_s)
        return err_fail(err, STATUS_INVALID, "the token is not valid yet");
    return STATUS_OK;
}

static bool is_string(const struct json_value *value, const char *expected)
{
    const char *text = value ? json_get_string(value) : NULL;
    return text && strcmp(text, expected) == 0;
}

/* A string, or a list that holds it (RFC 7519, 4.1.3). */
static bool names_audience(const struct json_value *value, const char *audience)
{
    if (!value || json_type_of(value) != JSON_ARRAY)
        return is_string(value, audience);
    for (const struct json_value *v = json_first_child(value); v; v = json_next_sibling(v))
        if (is_string(v, audience))
            return true;
    return false;
}

static enum role parse_role(const struct json_value *root)
{
    const struct json_value *value = json_member(root, "role");
    if (is_string(value, "service_role"))
        return ROLE_SERVICE;
    return is_string(value, "admin") ? ROLE_ADMIN : ROLE_USER;
}

static enum status check_claims(const struct jwt_verifier *v, const struct json_value *root, struct instant now,
                                struct claims *claims, struct err *err)
{
    const struct json_value *subject = json_member(root, "sub");
    const char *user_id = subject ? json_get_string(subject) : NULL;

    if (v->audience[0] && !names_audience(json_member(root, "aud"), v->audience))
        return err_fail(err, STATUS_INVALID, "'aud' is not JWT_AUDIENCE");
    if (v->issuer[0] && !is_string(json_member(root, "iss"), v->issuer))
        return err_fail(err, STATUS_INVALID, "'iss' is not JWT_ISSUER");
    claims->role = parse_role(root);
    claims->by_cookie = false;
    if (subject ? !user_id || !user_id_is_valid(user_id) : claims->role == ROLE_USER)
        return err_fail(err, STATUS_INVALID, "'sub' is missing or not a user id");
    snprintf(claims->user_id, sizeof(claims->user_id), "%s", user_id ? user_id : "");
    return check_times(root, now, claims, err);
}

enum status jwt_verify(const struct jwt_verifier *verifier, const char *token, size_t len, struct instant now,
                       struct claims *ret_claims, struct err *err)
{
    struct json_document *payload = NULL;
    struct claims claims;
    struct parts parts;

    if (len > JWT_MAX_SIZE)
        return err_fail(err, STATUS_INVALID, "the token is over %d bytes", JWT_MAX_SIZE);
    if (!split(token, len, &parts))
        return err_fail(err, STATUS_INVALID, "the token has not three parts");
    enum status status = check_signed(verifier, token, &parts, err);
    if (status == STATUS_OK)
        status = parse_part(parts.payload, parts.payload_len, "payload", &payload, err);
    if (status != STATUS_OK)
        return status;
    status = check_claims(verifier, json_root(payload), now, &claims, err);
    json_document_free(&payload);
    if (status == STATUS_OK)
        *ret_claims = claims;
    return status;
}
