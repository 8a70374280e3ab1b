/* One request and its response on their way through the responder. A loop thread owns it, lends it to a miss
 * thread when the answer needs the database (to the webhook lane when it is an event), and reuses it afterwards with its memory. */
#ifndef PNLCACHE_FCGI_EXCHANGE_H
#define PNLCACHE_FCGI_EXCHANGE_H

#include "fcgi/request.h"
#include "fcgi/response.h"
#include "jobs/dataset.h"
#include "jobs/document.h"
#include "lib/store/session_store.h"

/* What a handler wants to happen next. */
enum next_step {
    NEXT_SEND,    /* the response is complete */
    NEXT_LOOKUP,  /* look `key` up in L1, then in Redis, together with the turn's other lookups */
    NEXT_SESSION, /* read `session` from Redis, together with the turn's others, then dispatch again */
    NEXT_DEFER,   /* `work` needs a miss thread, or another one that is not the loop's */
};
enum deferred_work {
    WORK_DOCUMENT,
    WORK_WEBHOOK,
    WORK_OPERATION,
    WORK_LOGIN,
    WORK_LOGOUT,
    WORK_LOGOUT_ALL,
    WORK_PRELOAD
};

/* The session that a request comes with, where it is not known already (fcgi/auth.h). */
struct exchange_session {
    char name[SESSION_NAME_SIZE];
    bool read;       /* `lookup` is set */
    bool slides;     /* it was used, and Redis is to know */
    uint64_t number; /* local_cache_begin_session() */
    struct session_lookup lookup;
};

struct exchange;
struct operation_context; /* fcgi/operations.h */

struct exchange {
    struct request request;
    struct response response;
    struct buf body; /* a document's body, when it cannot be borrowed */

    size_t route; /* which of the router's table, from 1; 0: none */
    enum deferred_work work;
    void (*operate)(struct operation_context *o, struct exchange *x); /* of WORK_OPERATION: answers the exchange */
    char user_id[USER_ID_MAX + 1];                                    /* whose document; "": a shared dataset */
    struct document_request document;
    struct dataset_request dataset; /* its dataset is NULL: a document is asked for */
    struct dataset_set *datasets;   /* keeps the dataset alive */
    const char *pattern;            /* of the dataset's path */
    struct buf key;
    struct exchange_session session;
    enum { CODING_UNREAD, CODING_IDENTITY, CODING_GZIP } coding; /* what Accept-Encoding comes to */
    bool known;          /* what is in its parameters was read before (fcgi/known_requests.h) */
    bool admitted;       /* by the limit of its address */
    bool changes;        /* asks for more than an answer: from a session it needs X-CSRF-Token */
    bool recompute;      /* a service or an admin asked for a fresh computation */
    bool writes_through; /* first invalidate what the dataset's tags stand for */
    bool wait;           /* WORK_PRELOAD: answer when it is done */
    bool limited;        /* counted against its user's limit, and not confirmed yet */
    bool bypass;         /* an invalidation of this user has not reached Redis yet */

    struct connection *connection; /* who gets the response */
    struct exchange *next;         /* in whatever list it is */
};

enum status exchange_new(struct exchange **ret_exchange, struct err *err) MUST_CHECK;
void exchange_free(struct exchange **exchange);
/* Ready for the next request; gives back memory beyond what a usual request needs. */
void exchange_clear(struct exchange *x);
/* Ready for the same request once more: what was read from its parameters stays, what was decided does not. */
void exchange_clear_answer(struct exchange *x);
#endif
