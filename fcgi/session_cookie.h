/* The session's cookie, and what follows from its value. Pure but for the random numbers. */
#ifndef PNLCACHE_FCGI_SESSION_COOKIE_H
#define PNLCACHE_FCGI_SESSION_COOKIE_H

#include "lib/base/buf.h"
#include "lib/base/settings.h"
#include "lib/store/session_store.h"

/* 256 random bits as base64url: whoever has it is the session's user. */
#define SESSION_ID_LEN 43

/* The rules that bind SESSION_* to each other and to REDIS_ENABLED. STATUS_INVALID names the setting. */
enum status session_settings_check(const struct settings *settings, struct err *err) MUST_CHECK;

/* The value of the cookie of this name in a Cookie header (RFC 6265, 4.2.1), which may hold anything; borrowed from it. Other cookies may be
 * malformed. STATUS_NOT_FOUND: there is none; STATUS_INVALID: several, of different values. */
enum status cookie_find(const char *cookies, const char *name, const char **ret_value, size_t *ret_len) MUST_CHECK;

/* Appends a fresh id. STATUS_UNAVAILABLE: no random numbers. */
enum status session_id_append(struct buf *id, struct err *err) MUST_CHECK;
/* Whether it has an id's form: only then can there be a session. */
bool session_id_is_plausible(const char *id, size_t len);

/* The name a session goes by in Redis: the SHA-256 of its id, in hexadecimal. */
void session_name_of(const char *id, char ret_name[SESSION_NAME_SIZE]);
/* Appends what X-CSRF-Token has to be: a digest of the id that is not the name. It is told to who may read our answers, so to no other
 * site's page. */
void session_csrf_append(struct buf *token, const char *id);

/* Appends the header line that gives the browser the cookie; takes it away when `id` is NULL. */
void session_cookie_append(struct buf *headers, const struct settings *settings, const char *id);

#endif
