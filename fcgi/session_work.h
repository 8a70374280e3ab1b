/* What is done about sessions where waiting for Redis is no harm: logging in and out, and noting their use; and the reading of
 * those a turn's requests come with. */
#ifndef PNLCACHE_FCGI_SESSION_WORK_H
#define PNLCACHE_FCGI_SESSION_WORK_H

#include "fcgi/auth.h"
#include "fcgi/responder.h"

/* One thread's. */
struct session_work {
    struct responder *responder;
    struct redis *redis;
    struct token_cache *tokens;
    uint64_t secrets_generation;
};
/* The caller releases it whatever the status. */
enum status session_work_init(struct session_work *work, struct responder *responder, struct err *err) MUST_CHECK;
void session_work_release(struct session_work *work);

/* Answers a WORK_LOGIN, WORK_LOGOUT or WORK_LOGOUT_ALL. */
void session_work_serve(struct session_work *work, struct exchange *x);
/* Tells Redis that a session was used; of it user and created_s count. */
void session_work_slide(struct responder *responder, struct redis *redis, const char *name,
                        const struct session *session);

/* Reads the sessions of n exchanges (NEXT_SESSION) in one round trip; each is then to be dispatched again. */
#define SESSIONS_AT_ONCE 64
void session_work_read(struct responder *responder, struct redis *redis, struct exchange *const *list, size_t n);

/* 200 or 201 about a session, with the header lines of `headers` (may be NULL). */
void session_respond(struct exchange *x, int http_status, const char *id, const struct claims *claims,
                     const char *headers);

#endif
