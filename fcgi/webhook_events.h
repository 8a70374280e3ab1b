/* The body of a webhook (api.md 7): one event or an array of them, judged as a whole and merged by user. Pure: no socket. */
#ifndef PNLCACHE_FCGI_WEBHOOK_EVENTS_H
#define PNLCACHE_FCGI_WEBHOOK_EVENTS_H

#include "fcgi/response.h"
#include "jobs/event.h"

#define WEBHOOK_MAX_EVENTS 1000

/* What happened to one user, or to what all share. */
struct webhook_change {
    char user_id[USER_ID_MAX + 1]; /* "": only shared tags */
    struct cache_tags tags;
    bool erased;      /* user.deleted */
    const char *type; /* of one of its events; static */
};

struct webhook_events {
    size_t accepted; /* events */
    size_t n;        /* changes, each user once */
    struct webhook_change *changes;
};

/* What is wrong: "[3].data.user_id" with an array, "data.user_id" with a single event. */
struct webhook_problems {
    size_t n;
    struct problem_field *list;
};

/* HTTP's word for the body: 202, with *ret_events filled; 400 with *err: no JSON, or neither event nor array of 1 to
 * WEBHOOK_MAX_EVENTS; 400 or 422 with *ret_problems: every event that is malformed or names an unknown type, tag, asset or
 * unusable user id, all of them (400 when any is malformed); 503: out of memory. Both results are initialised whatever
 * comes, and released by the caller. */
int webhook_events_parse(const char *body, size_t len, struct webhook_events *ret_events,
                         struct webhook_problems *ret_problems, struct err *err);
void webhook_events_release(struct webhook_events *events);
void webhook_problems_release(struct webhook_problems *problems);

#endif
