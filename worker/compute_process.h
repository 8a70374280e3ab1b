/* The process that computes for one consumer thread: `pnlcache-worker compute`, started from our own program file and
 * kept for as long as it lives. What can crash on a user's data (or be killed for its memory) does so there; the consumer, which holds
 * the jobs, sees the end, names the signal, and starts another one.
 *
 * The two talk over a socket pair: a request is one packet of user ids, the answer one packet for each user that cannot be
 * computed and one for the end. The child inherits nothing but that socket, standard error and the settings in force, and
 * never outlives the thread that started it.
 *
 *   absent --first request--> idle --request--> busy --end packet--> idle
 *                               \--gone---------> \--gone, killed, past its time--> absent */
#ifndef PNLCACHE_WORKER_COMPUTE_PROCESS_H
#define PNLCACHE_WORKER_COMPUTE_PROCESS_H

#include "lib/base/settings.h"

#define COMPUTE_USERS_MAX 64

struct compute_process;

/* Starts nothing yet. The settings are borrowed. */
enum status compute_process_new(const struct settings *settings, struct compute_process **ret_process,
                                struct err *err) MUST_CHECK;
/* Ends the child, at once when it is busy. */
void compute_process_free(struct compute_process **process);

enum compute_end {
    COMPUTE_DONE,      /* everybody was computed but for those with a failure of their own */
    COMPUTE_FAILED,    /* as a whole; *err says why: a server is away, or the query fails */
    COMPUTE_CRASHED,   /* the child died or took too long; *err names the signal */
    COMPUTE_ABANDONED, /* the watcher wanted no more */
};

/* Why one user of several could not be computed. */
struct compute_failure {
    enum status status; /* STATUS_OK: it was */
    char reason[512];
};

struct compute_watch {
    int64_t timeout_ms;           /* the child is killed after that */
    bool (*go_on)(void *context); /* every 200 ms while it works; false: abandon */
    void *context;
};

/* Recomputes what of these users' analytics is not valid (at most COMPUTE_USERS_MAX). No users: only sees to it that the
 * child runs and its servers answer. `failures` has n entries. *ret_status and *err
 * say why, unless COMPUTE_DONE. */
enum compute_end compute_process_run(struct compute_process *process, size_t n, const char *const *user_ids,
                                     struct compute_failure *failures, const struct compute_watch *watch,
                                     enum status *ret_status, struct err *err) MUST_CHECK;

/* --- between the two --------------------------------------------------------------------------- */

#define COMPUTE_SOCKET_FD 3
#define COMPUTE_SETTINGS_FD 4

struct compute_reply {
    enum { COMPUTE_REPLY_USER, COMPUTE_REPLY_END } kind;
    enum status status;
    size_t user; /* position in the request */
    char text[512];
};
/* A request is the ids, each with its NUL. */
#define COMPUTE_REQUEST_MAX (COMPUTE_USERS_MAX * 129)

#endif
