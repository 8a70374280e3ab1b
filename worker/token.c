#include "worker/token.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "lib/base/text.h"
#include "lib/json/json_writer.h"
#include "lib/store/cache.h"

static void write_claims(struct buf *out, const struct token_claims *claims)
{
    int64_t now_s = claims->issued_at.us / US_PER_SECOND;
    struct json_writer w;

    json_init(&w, out);
    json_object_begin(&w);
    json_key(&w, "sub");
    json_string(&w, claims->user_id);
    if (claims->role != NULL) {
        json_key(&w, "role");
        json_string(&w, claims->role);
    }
    if (claims->audience != NULL && claims->audience[0] != '\0') {
        json_key(&w, "aud");
        json_string(&w, claims->audience);
    }
    if (claims->issuer != NULL && claims->issuer[0] != '\0') {
        json_key(&w, "iss");
        json_string(&w, claims->issuer);
    }
    json_key(&w, "iat");
    json_int(&w, now_s);
    json_key(&w, "exp");
    json_int(&w, now_s + claims->ttl_s);
    json_object_end(&w);
}

static enum status sign(struct buf *token, const char *secret, struct err *err)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int mac_len = 0;

    if (HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)token->data, token->len, mac,
             &mac_len) == NULL)
        return err_fail(err, STATUS_INTERNAL, "OpenSSL could not sign the token");
    buf_append_char(token, '.');
    base64url_append(token, mac, mac_len);
    return buf_status(token);
}

enum status token_append(struct buf *out, const struct token_claims *claims, const char *secret, struct err *err)
{
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    struct buf token = BUF_INIT, payload = BUF_INIT;
    enum status status;

    if (!user_id_is_valid(claims->user_id))
        return err_fail(err, STATUS_INVALID, "the user id must be 1 to %d bytes of UTF-8 without control characters",
                        USER_ID_MAX);
    if (strlen(secret) < TOKEN_SECRET_MIN)
        return err_fail(err, STATUS_INVALID,
                        "JWT_SECRET has %zu bytes; set it to the secret the responder runs with, at least %d bytes",
                        strlen(secret), TOKEN_SECRET_MIN);
    write_claims(&payload, claims);
    base64url_append(&token, header, sizeof header - 1);
    buf_append_char(&token, '.');
    base64url_append(&token, payload.data, payload.len);
    status = buf_status(&payload) == STATUS_OK ? buf_status(&token) : STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        status = sign(&token, secret, err);
    if (status == STATUS_OK)
        buf_append(out, token.data, token.len);
    buf_release(&payload);
    buf_release(&token);
    return status;
}
