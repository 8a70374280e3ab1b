/* The thread that begins and ends sessions, and tells Redis of their use: what waits for Redis does not belong on a thread that serves
 * hits. Logins are counted exactly. */
#ifndef PNLCACHE_FCGI_SESSION_LANE_H
#define PNLCACHE_FCGI_SESSION_LANE_H

#include "fcgi/exchange.h"
#include "fcgi/jwt.h"
#include "fcgi/lane.h"
#include "fcgi/responder.h"

struct session_lane;

/* `on_done` is called on its thread when an exchange's response is complete. *ret_lane is NULL where AUTH_MODE has no sessions. */
enum status session_lane_start(struct responder *responder, void (*on_done)(struct exchange *x),
                               struct session_lane **ret_lane, struct err *err) MUST_CHECK;
/* Carries out what waits, ends the thread and frees everything. */
void session_lane_stop(struct session_lane **lane);

/* A WORK_LOGIN; a WORK_LOGOUT or WORK_LOGOUT_ALL whose session (or user) is known. STATUS_LIMIT: too many wait. */
enum status session_lane_submit(struct session_lane *lane, struct exchange *x) MUST_CHECK;
/* The claims' session of this name was used; when too much waits its next use will tell. */
void session_lane_slide(struct session_lane *lane, const char *name, const struct claims *claims);
/* Of both kinds. */
void session_lane_read_queue(struct session_lane *lane, struct queue_counters *ret_counters);

#endif
