#include "fcgi/jwt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/hmac.h"
#include "lib/base/text.h"
#include "lib/json/json_reader.h"

struct jwt_verifier {
    struct hmac_key *key;
    char *audience, *issuer;
};

enum status jwt_verifier_new(const struct jwt_options *options, struct jwt_verifier **ret_verifier, struct err *err)
{
    size_t len = strlen(options->secret);
    if (len < JWT_MIN_SECRET)
        return err_fail(err, STATUS_INVALID,
                        "JWT_SECRET has %zu bytes; set the HS256 secret of your tokens, at least %d bytes", len,
                        JWT_MIN_SECRET);
    struct jwt_verifier *v = calloc(1, sizeof(*v));
    if (!v || !(v->audience = strdup(options->audience)) || !(v->issuer = strdup(options->issuer))) {
        jwt_verifier_free(&v);
        return err_fail(err, STATUS_NO_MEMORY, "out of memory");
    }
    enum status status = hmac_key_new(options->secret, len, &v->key, err);
    if (status != STATUS_OK) {
        jwt_verifier_free(&v);
        return status;
    }
    *ret_verifier = v;
    return STATUS_OK;
}

void jwt_verifier_free(struct jwt_verifier **verifier)
{
    struct jwt_verifier *v = *verifier;
    if (!v)
        return;
    hmac_key_free(&v->key);
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

static enum status check_signature(const struct jwt_verifier *v, const char *token, const struct parts *p,
                                   struct err *err)
{
    struct buf given = BUF_INIT;
    unsigned char expected[HMAC_SIZE];
    struct hmac_part text = {token, p->signed_len};

    enum status status = base64url_decode(p->signature, p->signature_len, &given);
    if (status != STATUS_OK) {
        status = err_fail(err, status, "the signature is not base64url");
        goto out;
    }
    status = hmac_sign(v->key, &text, 1, expected, err);
    if (status == STATUS_OK && (given.len != HMAC_SIZE || !hmac_equal(given.data, expected, HMAC_SIZE)))
        status = err_fail(err, STATUS_INVALID, "the signature is wrong");
out:
    buf_release(&given);
    return status;
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

static enum status check_header(const struct parts *p, struct err *err)
{
    struct json_document *document = NULL;

    enum status status = parse_part(p->header, p->header_len, "header", &document, err);
    if (status != STATUS_OK)
        return status;
    const struct json_value *root = json_root(document);
    const struct json_value *algorithm = json_member(root, "alg"), *type = json_member(root, "typ");
    const char *name = algorithm ? json_get_string(algorithm) : NULL;
    if (!name || strcmp(name, "HS256") != 0)
        status = err_fail(err, STATUS_INVALID, "the algorithm is not HS256");
    else if (json_member(root, "crit"))
        status = err_fail(err, STATUS_INVALID, "the token has critical extensions");
    else if (type && !json_get_string(type))
        status = err_fail(err, STATUS_INVALID, "'typ' is not a string");
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
    enum status status = check_signature(verifier, token, &parts, err);
    if (status == STATUS_OK)
        status = check_header(&parts, err);
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
