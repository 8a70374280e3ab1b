#include "fcgi/session_cookie.h"

#include <openssl/sha.h>
#include <sys/random.h>

#include "lib/base/text.h"

#define BLANKS " \t"
#define CSRF_DOMAIN "csrf:" /* an id holds no colon */

enum status session_settings_check(const struct settings *s, struct err *err)
{
    bool prefixed = strncmp(s->session_cookie, "__Host-", 7) == 0 || strncmp(s->session_cookie, "__Secure-", 9) == 0;

    if (!(auth_modes_parse(s->auth_mode) & AUTH_SESSION))
        return STATUS_OK;
    if (!s->redis_enabled)
        return err_fail(err, STATUS_INVALID, "AUTH_MODE: sessions need Redis, and REDIS_ENABLED is false");
    if (!s->session_cookie_secure && prefixed)
        return err_fail(err, STATUS_INVALID,
                        "SESSION_COOKIE: '%s' must go over https only; SESSION_COOKIE_SECURE is false",
                        s->session_cookie);
    if (!s->session_cookie_secure && strcmp(s->session_cookie_samesite, "None") == 0)
        return err_fail(err, STATUS_INVALID, "SESSION_COOKIE_SAMESITE: None needs SESSION_COOKIE_SECURE");
    return STATUS_OK;
}

enum status cookie_find(const char *cookies, const char *name, const char **ret_value, size_t *ret_len)
{
    size_t name_len = strlen(name);
    const char *found = NULL;
    size_t found_len = 0;

    for (const char *pair = cookies; *pair; pair += *pair == ';') {
        pair += strspn(pair, BLANKS);
        const char *end = pair + strcspn(pair, ";");
        if (strncmp(pair, name, name_len) == 0 && pair[name_len] == '=') {
            const char *value = pair + name_len + 1;
            size_t len = (size_t)(end - value);
            while (len > 0 && strchr(BLANKS, value[len - 1]))
                len--;
            if (found && (len != found_len || memcmp(value, found, len) != 0))
                return STATUS_INVALID;
            found = value;
            found_len = len;
        }
        pair = end;
    }
    if (!found)
        return STATUS_NOT_FOUND;
    *ret_value = found;
    *ret_len = found_len;
    return STATUS_OK;
}

enum status session_id_append(struct buf *id, struct err *err)
{
    unsigned char bytes[SHA256_DIGEST_LENGTH];

    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return err_fail(err, STATUS_UNAVAILABLE, "no random numbers");
    base64url_append(id, bytes, sizeof bytes);
    return buf_status(id) == STATUS_OK ? STATUS_OK : err_fail(err, STATUS_NO_MEMORY, "out of memory");
}

bool session_id_is_plausible(const char *id, size_t len)
{
    return len == SESSION_ID_LEN &&
           strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == len;
}

void session_name_of(const char *id, char ret_name[SESSION_NAME_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[SHA256_DIGEST_LENGTH];

    SHA256((const unsigned char *)id, SESSION_ID_LEN, digest);
    for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        ret_name[2 * i] = digits[digest[i] >> 4];
        ret_name[2 * i + 1] = digits[digest[i] & 15];
    }
    ret_name[SESSION_NAME_LEN] = '\0';
}

void session_csrf_append(struct buf *token, const char *id)
{
    char text[sizeof CSRF_DOMAIN - 1 + SESSION_ID_LEN];
    unsigned char digest[SHA256_DIGEST_LENGTH];

    memcpy(text, CSRF_DOMAIN, sizeof CSRF_DOMAIN - 1);
    memcpy(text + sizeof CSRF_DOMAIN - 1, id, SESSION_ID_LEN);
    SHA256((const unsigned char *)text, sizeof text, digest);
    base64url_append(token, digest, sizeof digest);
}

void session_cookie_append(struct buf *headers, const struct settings *s, const char *id)
{
    buf_append_format(headers, "Set-Cookie: %s=%s; Path=/; Max-Age=%lld; HttpOnly; SameSite=%s%s\r\n",
                      s->session_cookie, id ? id : "", id ? (long long)s->session_lifetime_s : 0,
                      s->session_cookie_samesite, s->session_cookie_secure ? "; Secure" : "");
}
